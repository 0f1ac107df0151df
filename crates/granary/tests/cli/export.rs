//! Exports and imports: a source goes from one store to another and back, and is as it was.

use std::fs;
use std::io::Read;
use std::path::Path;

use granary_test_postgres::Cluster;
use serde_json::{Value, json};

use super::postgres::Served;
use super::{Run, Server};

/// A source with all that a source may have: contained resources, identifiers, imported times, digits, edges with and
/// without data, records of several versions, one that no longer fits its profile, an end that has more edges than its
/// definition allows by now.
fn fill(server: &Server) {
    let define = |noun: &str, key: &str, json: Value| {
        let file = server.file(&format!("{key}.json"), &json.to_string());
        server
            .granary(&[noun, "apply", "-s", "library", "-f", &file])
            .ends(0);
    };
    let bulk = |args: &[&str], lines: &[Value]| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let args = [&["bulk", "-", "-s", "library", "--wait"], args].concat();
        server.granary_fed(&args, &lines).ends(0);
    };
    server
        .granary_fed(
            &[
                "vocabulary",
                "apply",
                "-f",
                &server.file("moods.json", r#"{"title":"Moods"}"#),
            ],
            "",
        )
        .ends(0);
    define(
        "profile",
        "page",
        json!({"type": "CONTAINED", "properties": {"text": {"type": "symbol"}}}),
    );
    // Two that name each other, so that neither could be put alone first.
    define("profile", "note", json!({"type": "CONTAINED", "properties": {}}));
    define(
        "profile",
        "page",
        json!({"type": "CONTAINED", "properties": {"text": {"type": "symbol"}},
            "contained": {"notes": {"types": ["note"], "cardinality": "0:*"}}}),
    );
    define(
        "profile",
        "note",
        json!({"type": "CONTAINED", "properties": {"mood": {"type": "code",
            "binding": {"vocabulary": {"key": "moods", "strength": "preferred"}}}},
            "contained": {"pages": {"types": ["page"], "cardinality": "0:*"}}}),
    );
    let book = |extra: Value| {
        let mut properties = json!({"title": {"type": "symbol"}, "price": {"type": "decimal"}});
        properties
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"properties": properties, "contained": {"pages": {"types": ["page"], "cardinality": "0:*"}}})
    };
    define("profile", "book", book(json!({"old": {"type": "symbol"}})));
    let books: Vec<Value> = (0..3_000)
        .map(|n| json!({"id": format!("b{n:04}"), "data": {"title": format!("Book {n} é\u{0}\"\\"), "old": "x"}}))
        .collect();
    bulk(&["--type", "book"], &books);
    let full = r#"{"id":"b0001","data":{"title":"Full","price":1.10},"contained":{"pages":[{"type":"page","data":{"text":"a"},"contained":{"notes":[{"id":"n1","type":"note","data":{}}]}},{"id":"p2","type":"page","data":{}}]},"meta":{"createdAt":"1999-01-01T00:00:00Z","updatedAt":"2001-01-01T00:00:00.5Z","identifier":[{"system":"isbn","value":"1:2","use":"official"},{"value":"z"}]}}"#;
    server
        .granary_fed(
            &[
                "bulk", "-", "-s", "library", "--type", "book", "--action", "upsert", "--wait",
            ],
            full,
        )
        .ends(0);
    for n in 0..3 {
        let again = json!({"id": "b0002", "data": {"title": format!("again {n}")}});
        bulk(&["--type", "book", "--action", "upsert"], &[again]);
    }
    bulk(
        &["--type", "book", "--action", "delete"],
        &[json!({"id": "b0003"})],
    );
    let author = |n: u32| json!({"id": format!("a{n}"), "data": {"name": format!("Author {n}")}});
    bulk(&["--type", "author"], &(0..5).map(author).collect::<Vec<_>>());
    let by = |book: u32, author: u32| {
        json!({"from": {"id": format!("b{book:04}"), "type": "book"},
            "to": {"id": format!("a{author}"), "type": "author"}})
    };
    let edges: Vec<Value> = (10..1_300).map(|n| by(n, n % 5)).collect();
    bulk(&["--relationships", "--type", "by"], &edges);
    bulk(&["--relationships", "--type", "by"], &[by(1, 1), by(1, 2)]);
    // What is stored does not fit what is defined any more.
    define(
        "profile",
        "book",
        book(json!({"new": {"type": "symbol", "rules": [{"required": true}]}})),
    );
    let end = |profile, key, cardinality| json!({"profileKey": profile, "includeKey": key, "includeCardinality": cardinality});
    define(
        "relationship-definition",
        "by",
        json!({"from": end("book", "writtenBy", "0:1"), "to": end("author", "wrote", "0:*"),
            "properties": {"since": {"type": "date"}}}),
    );
    let edge =
        r#"{"from":{"id":"b0005","type":"book"},"to":{"id":"a0","type":"author"},"data":{"since":"1999"}}"#;
    server
        .granary_fed(
            &[
                "bulk",
                "-",
                "-s",
                "library",
                "--relationships",
                "--type",
                "by",
                "--wait",
            ],
            edge,
        )
        .ends(0);
}

/// The lines of an export, that of its moment apart.
fn lines(path: &Path) -> (Value, Vec<String>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let header = serde_json::from_str(&lines.next().unwrap()).unwrap();
    (header, lines.collect())
}

/// Exports the source `library` to a file of this name.
fn exported(granary: impl Fn(&[&str]) -> Run, path: &Path) {
    let run = granary(&["export", "-s", "library", "-o", path.to_str().unwrap()]).ends(0);
    assert!(run.stderr.contains("Exported"), "{}", run.stderr);
    let left = fs::read_dir(path.parent().unwrap()).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(!left.any(|name| name.to_str().unwrap().ends_with(".unfinished")));
}

#[test]
fn what_goes_to_a_pipe_is_what_goes_to_a_file() {
    let server = Server::start();
    let titles = [
        "a\u{1b}]8;;x",
        "b\u{7f}\u{1}\u{b}",
        "c\u{1b}[31m",
        "d\u{9b}1m",
        "e\u{1b}P",
        "last",
    ];
    let lines: String = titles
        .iter()
        .map(|title| format!("{}\n", json!({"data": {"title": title}})))
        .collect();
    let bulk = ["bulk", "-", "-s", "library", "--type", "book", "--wait"];
    server.granary_fed(&bulk, &lines).ends(0);
    for format in ["csv", "ndjson"] {
        let export = ["export", "-s", "library", "--type", "book", "--format", format];
        let path = server.folder.path().join("x");
        let to_file = [&export[..], &["-o", path.to_str().unwrap()]].concat();
        server.granary(&to_file).ends(0);
        let to_pipe = server.granary(&export).ends(0).stdout;
        let read = |text: &str| {
            let records = text
                .lines()
                .filter(|line| line.contains("last") || line.contains("title"));
            (text.len(), records.count())
        };
        assert_eq!(
            read(&to_pipe),
            read(&fs::read_to_string(&path).unwrap()),
            "{format}"
        );
        assert!(to_pipe.contains("last"), "{to_pipe:?}");
    }
    let list = ["list", "book", "-s", "library", "--json"];
    let listed = server.granary(&list).ends(0).stdout;
    assert!(listed.contains("b\u{7f}"), "{listed:?}");
}

#[test]
fn a_source_goes_to_postgresql_and_back_and_is_the_same() {
    let first = Server::start();
    fill(&first);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    exported(|args| first.granary(args), &path("1.ndjson"));

    let cluster = Cluster::shared();
    cluster.create_database("moved", None);
    let store = cluster.url("moved");
    let second = Served::start(&["--store", &store]);
    let from = path("1.ndjson");
    let import = ["import", from.to_str().unwrap(), "-s", "library", "--json"];
    // Vocabularies are not of a source.
    let refused = second.granary(&import, "").ends(1);
    assert!(refused.stderr.contains("moods"), "{}", refused.stderr);
    let moods = first.file("moods.json", r#"{"title":"Moods"}"#);
    second.granary(&["vocabulary", "apply", "-f", &moods], "").ends(0);
    let done = second.granary(&import, "").ends(0).json().remove(0);
    let expected = json!({"source": "library", "profiles": 4, "relationshipDefinitions": 1, "resources": 3_004,
        "relationships": 1_293});
    assert_eq!(done, expected);
    exported(|args| second.granary(args, ""), &path("2.ndjson"));

    let third = Server::empty();
    third.granary(&["vocabulary", "apply", "-f", &moods]).ends(0);
    let from = path("2.ndjson");
    third
        .granary(&["import", from.to_str().unwrap(), "-s", "library"])
        .ends(0);
    exported(|args| third.granary(args), &path("3.ndjson"));

    let (header, was) = lines(&path("1.ndjson"));
    assert_eq!(
        (&header["export"]["format"], &header["export"]["source"]),
        (&json!(1), &json!("library"))
    );
    for name in ["2.ndjson", "3.ndjson"] {
        let (_, is) = lines(&path(name));
        let differs = was.iter().zip(&is).find(|(was, is)| was != is);
        assert_eq!(differs, None, "{name}");
        assert_eq!(is.len(), was.len(), "{name}");
    }
    // It has all that was asked for: versions, times, identifiers, digits.
    let b0001 = was
        .iter()
        .find(|line| line.starts_with(r#"{"resource":{"id":"b0001""#))
        .unwrap();
    for part in [
        r#""price":1.10"#,
        r#""createdAt":"1999-01-01T00:00:00.000Z","updatedAt":"2001-01-01T00:00:00.500Z""#,
        r#""identifier":[{"system":"isbn","value":"1:2","use":"official"},{"value":"z"}]"#,
        r#""version":2"#,
    ] {
        assert!(b0001.contains(part), "{part} in {b0001}");
    }
    let isbn = third
        .granary(&["get", "book", "isbn:1%3A2:official", "-s", "library", "--json"])
        .ends(0);
    assert_eq!(isbn.json()[0]["id"], "b0001");

    // What was put back is not put back over what is there.
    let again = third
        .granary(&["import", from.to_str().unwrap(), "-s", "library"])
        .ends(1);
    assert!(again.stderr.contains("holds records"), "{}", again.stderr);
    let hint = "(`granary source delete library --purge`)";
    assert!(again.stderr.contains(hint), "{}", again.stderr);
    third.granary(&["source", "delete", "library", "--purge"]).ends(0);
    third
        .granary(&["import", from.to_str().unwrap(), "-s", "library"])
        .ends(0);
    second.stops(0);
}

#[test]
fn the_records_of_one_type_are_exported() {
    let server = Server::start();
    let books = "{\"id\":\"b1\",\"data\":{\"title\":\"x\"}}\n{\"id\":\"b2\",\"data\":{\"title\":\"y\"}}\n";
    let bulk = ["bulk", "-", "-s", "library", "--type", "book", "--wait"];
    server.granary_fed(&bulk, books).ends(0);
    server
        .granary_fed(
            &["bulk", "-", "-s", "library", "--type", "author", "--wait"],
            r#"{"data":{"name":"z"}}"#,
        )
        .ends(0);
    let run = server
        .granary(&["export", "-s", "library", "--type", "book"])
        .ends(0);
    let lines = run.json();
    assert_eq!(lines[0]["export"]["type"], "book");
    let ids: Vec<&Value> = lines
        .iter()
        .filter_map(|line| line.get("resource"))
        .map(|r| &r["id"])
        .collect();
    assert_eq!(ids, [&json!("b1"), &json!("b2")]);
    let end =
        json!({"end": {"profiles": 2, "relationshipDefinitions": 1, "resources": 2, "relationships": 0}});
    assert_eq!(lines.last(), Some(&end));
    let none = server
        .granary(&["export", "-s", "library", "--type", "none", "-o", "none.ndjson"])
        .ends(1);
    assert!(
        none.stderr
            .contains("no ROOT profile and no relationship definition 'none'"),
        "{}",
        none.stderr
    );
    assert!(!Path::new("none.ndjson.unfinished").exists());
}

#[test]
fn an_export_is_compressed_where_its_name_says_so_and_can_be_imported() {
    let server = Server::start();
    let books: String = (0..2_000)
        .map(|n| format!("{{\"id\":\"b{n}\",\"data\":{{\"title\":\"a book like another\"}}}}\n"))
        .collect();
    let bulk = ["bulk", "-", "-s", "library", "--type", "book", "--wait"];
    server.granary_fed(&bulk, &books).ends(0);
    let plain = server.granary(&["export", "-s", "library"]).ends(0).stdout;
    let [_, records @ ..] = &plain.lines().collect::<Vec<_>>()[..] else {
        panic!("an export has lines");
    };
    for (name, magic) in [
        ("x.ndjson.gz", &[0x1f, 0x8b][..]),
        ("x.ndjson.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
    ] {
        let path = server.folder.path().join(name);
        let file = path.to_str().unwrap();
        server.granary(&["export", "-s", "library", "-o", file]).ends(0);
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            bytes.starts_with(magic) && bytes.len() * 4 < plain.len(),
            "{name}"
        );
        let mut text = String::new();
        match magic.len() {
            2 => flate2::read::GzDecoder::new(&*bytes)
                .read_to_string(&mut text)
                .unwrap(),
            _ => zstd::Decoder::new(&*bytes)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap(),
        };
        // The first line has the time.
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), records, "{name}");
        let source = &name[2..].replace('.', "");
        server.granary(&["import", file, "-s", source]).ends(0);
        server.granary(&["get", "book", "b1999", "-s", source]).ends(0);
    }
}

#[test]
fn what_is_no_export_is_told_as_such() {
    let server = Server::start();
    for (name, content, bulk) in [
        ("books.csv", "id,title\nb1,x\n", true),
        ("books.ndjson", "{\"id\":\"b1\"}\n", true),
        ("notes.txt", "x", false),
        ("empty.ndjson", "", false),
    ] {
        let file = server.file(name, content);
        for more in [&[][..], &["--incomplete"]] {
            let refused = server
                .granary(&[&["import", &file, "-s", "again"], more].concat())
                .ends(1);
            assert!(refused.stderr.contains("is no export"), "{}", refused.stderr);
            assert_eq!(
                refused.stderr.contains("`granary bulk`"),
                bulk,
                "{}",
                refused.stderr
            );
        }
    }
    server.granary(&["source", "show", "again"]).ends(1);
}

#[test]
fn an_export_that_broke_off_is_not_taken_for_whole() {
    let server = Server::start();
    let books: String = (0..10)
        .map(|n| format!("{{\"id\":\"b{n}\",\"data\":{{\"title\":\"x\"}}}}\n"))
        .collect();
    server
        .granary_fed(
            &["bulk", "-", "-s", "library", "--type", "book", "--wait"],
            &books,
        )
        .ends(0);
    let whole = server.granary(&["export", "-s", "library"]).ends(0).stdout;
    let cut: Vec<&str> = whole.lines().collect();
    let cut = cut[..cut.len() - 3].join("\n");
    let file = server.file("cut.ndjson", &cut);
    let refused = server.granary(&["import", &file, "-s", "again"]).ends(1);
    assert!(refused.stderr.contains("--incomplete"), "{}", refused.stderr);
    // Nothing was sent.
    server.granary(&["source", "show", "again"]).ends(1);
    // Of what comes by a pipe the server sees the end.
    let refused = server.granary_fed(&["import", "-", "-s", "again"], &cut).ends(1);
    assert!(refused.stderr.contains("--incomplete"), "{}", refused.stderr);
    assert!(!refused.stderr.contains('?'), "{}", refused.stderr);
    server.granary(&["source", "delete", "again", "--purge"]).ends(0);
    server
        .granary(&["import", &file, "-s", "again", "--incomplete"])
        .ends(0);
    let taken = server
        .granary(&["export", "-s", "again", "--type", "book"])
        .ends(0);
    assert!(taken.stdout.contains(r#""resources":8"#), "{}", taken.stdout);
}

#[test]
fn the_records_of_one_type_are_csv_that_bulk_takes() {
    let server = Server::start();
    let profile = json!({"properties": {"name": {"type": "symbol"}, "tags": {"type": "array", "items": {"type": "symbol"}},
        "price": {"type": "decimal"}, "sold": {"type": "boolean"}, "at": {"type": "address"},
        "more": {"type": "object", "properties": {"deep": {"type": "integer"}}}, "list": {"type": "array", "items": {"type": "period"}}}});
    let file = server.file("thing.json", &profile.to_string());
    server
        .granary(&["profile", "apply", "-s", "library", "-f", &file])
        .ends(0);
    let things = concat!(
        r#"{"id":"t1","data":{"name":"a \"quoted\", one\nline","price":1.10,"sold":false}}"#,
        "\n",
        r#"{"id":"t2","data":{"tags":["x","y z"],"more":{"deep":7},"at":{"city":"Esch"},"name":null}}"#
    );
    let bulk = ["bulk", "-", "-s", "library", "--type", "thing", "--wait"];
    server.granary_fed(&bulk, things).ends(0);
    let csv = ["export", "-s", "library", "--type", "thing", "--format", "csv"];
    let run = server.granary(&csv).ends(0);
    let expected = "id,name,price,sold,tags,more.deep,at.city\r\n\
                    t1,\"a \"\"quoted\"\", one\nline\",1.10,false,,,\r\n\
                    t2,,,,x|y z,7,Esch\r\n";
    assert_eq!(run.stdout, expected);
    // What it says is what is stored.
    let back = [
        "bulk", "-", "-s", "library", "--type", "thing", "--format", "csv", "--action", "upsert", "--wait",
    ];
    server.granary_fed(&back, &run.stdout).ends(0);
    let t1 = server
        .granary(&["get", "thing", "t1", "-s", "library", "--json"])
        .ends(0)
        .json()
        .remove(0);
    assert_eq!(
        (&t1["data"]["name"], &t1["data"]["sold"]),
        (&json!("a \"quoted\", one\nline"), &json!(false))
    );

    let author = r#"{"id":"a1","data":{"name":"x"}}"#;
    server
        .granary_fed(
            &["bulk", "-", "-s", "library", "--type", "author", "--wait"],
            author,
        )
        .ends(0);
    let book = r#"{"id":"b1","data":{"title":"x"}}"#;
    server
        .granary_fed(&["bulk", "-", "-s", "library", "--type", "book", "--wait"], book)
        .ends(0);
    let edge = r#"{"from":{"id":"b1","type":"book"},"to":{"id":"a1","type":"author"}}"#;
    server
        .granary_fed(
            &[
                "bulk",
                "-",
                "-s",
                "library",
                "--relationships",
                "--type",
                "by",
                "--wait",
            ],
            edge,
        )
        .ends(0);
    let edges = server
        .granary(&["export", "-s", "library", "--type", "by", "--format", "csv"])
        .ends(0);
    assert_eq!(edges.stdout, "from,to\r\nb1,a1\r\n");

    // What CSV cannot hold is not left out.
    let list = r#"{"id":"t3","data":{"list":[{"start":"2020"}]}}"#;
    server.granary_fed(&bulk, list).ends(0);
    let refused = server.granary(&csv).ends(1);
    assert!(
        refused.stderr.contains("CSV cannot hold list of 't3'"),
        "{}",
        refused.stderr
    );
    let refused = server
        .granary(&["export", "-s", "library", "--format", "csv"])
        .ends(1);
    assert!(refused.stderr.contains("--type"), "{}", refused.stderr);
}

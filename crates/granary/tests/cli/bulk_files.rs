//! `bulk`: files that are compressed, columns, keys by which files are sent once.

use std::io::Write;

use super::{Run, Server};

fn bulk(server: &Server, args: &[&str]) -> Run {
    server.granary(&[&["bulk", "--source", "library"][..], args].concat())
}

fn title(server: &Server, id: &str) -> String {
    let book = server
        .granary(&["get", "book", id, "--source", "library", "--json"])
        .ends(0)
        .json();
    book[0]["data"]["title"].as_str().unwrap().to_owned()
}

fn compressed(name: &str, content: &str) -> Vec<u8> {
    if name.ends_with(".zst") {
        return zstd::encode_all(content.as_bytes(), 3).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_file_is_sent_whatever_is_in_it_and_whatever_it_is_called() {
    let server = Server::start();
    let operation = |id: &str| {
        format!(r#"{{"action":"CREATE","create":{{"type":"book","id":"{id}","data":{{"title":"x {id}"}}}}}}"#)
    };
    let cases: [(&str, String, &[&str]); 6] = [
        ("a.ndjson.gz", operation("id-a"), &[]),
        (
            "b.json.zst",
            format!("{{\"operations\":[{}]}}", operation("id-b")),
            &[],
        ),
        // Not told by its name.
        ("c.zst", operation("id-c"), &[]),
        (
            "d.csv.gz",
            "id,title\nid-d,x id-d\n".to_owned(),
            &["--type", "book"],
        ),
        // Lines and headers that are changed have to be unpacked.
        (
            "e.ndjson.zst",
            r#"{"id":"id-e","data":{"title":"x id-e"}}"#.to_owned(),
            &["--type", "book"],
        ),
        (
            "f.csv.gz",
            "id,name\nid-f,x id-f\n".to_owned(),
            &["--type", "book", "--map", "name=title"],
        ),
    ];
    for (name, content, args) in &cases {
        let path = server.folder.path().join(name);
        std::fs::write(&path, compressed(name, content)).unwrap();
        let path = path.to_str().unwrap();
        bulk(&server, &[&[path, "--wait"][..], args].concat()).ends(0);
        let id = format!("id-{}", &name[..1]);
        assert_eq!(title(&server, &id), format!("x {id}"), "{name}");
    }
    // The same without a name that tells, and edges are told as such.
    let edge = r#"{"action":"CREATE","create":{"type":"by","from":{"type":"book","id":"id-a"},"to":{"type":"author","id":"nobody"}}}"#;
    let path = server.folder.path().join("edges");
    std::fs::write(&path, compressed("edges.gz", edge)).unwrap();
    let failed = bulk(&server, &[path.to_str().unwrap(), "--wait"]).ends(2);
    assert!(failed.stderr.contains("404"), "{}", failed.stderr);
}

#[test]
fn a_file_that_is_damaged_is_said_and_nothing_of_it_is_stored() {
    let server = Server::start();
    let whole = compressed(
        "x.gz",
        &"{\"id\":\"id-a\",\"data\":{\"title\":\"x\"}}\n".repeat(1_000),
    );
    let path = server.folder.path().join("cut.ndjson.gz");
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let path = path.to_str().unwrap();
    let refused = bulk(&server, &[path, "--type", "book", "--wait"]).ends(1);
    assert!(
        refused.stderr.contains("damaged or breaks off"),
        "{}",
        refused.stderr
    );
    server
        .granary(&["get", "book", "id-a", "--source", "library"])
        .ends(1);
}

#[test]
fn a_file_is_carried_out_once_until_it_changes_or_is_sent_in_another_way() {
    let server = Server::start();
    let file = server.file("books.ndjson", "{\"data\":{\"title\":\"x\"}}\n");
    let send = |args: &[&str]| {
        let sent = bulk(
            &server,
            &[&[file.as_str(), "--type", "book", "--wait"][..], args].concat(),
        )
        .ends(0);
        sent.stderr.contains("Replayed")
    };
    assert!(!send(&[]));
    assert!(send(&[]));
    // How the result is shown makes no other request of it.
    assert!(send(&["--json"]));
    assert!(!send(&["--again"]));
    assert!(!send(&["--idempotency-key", "mine"]));
    assert!(send(&["--idempotency-key", "mine"]));
    assert!(!send(&["--idempotency-key", "another"]));
    server.file("books.ndjson", "{\"data\":{\"title\":\"y\"}}\n");
    assert!(!send(&[]));
    assert!(send(&[]));
    // Checking leaves no mark, and stdin cannot be read twice.
    let other = server.file("other.ndjson", "{\"data\":{\"title\":\"z\"}}\n");
    bulk(&server, &[&other, "--type", "book", "--validate-only"]).ends(0);
    assert!(
        !bulk(&server, &[&other, "--type", "book"])
            .ends(0)
            .stderr
            .contains("Replayed")
    );
    for _ in 0..2 {
        let args = ["bulk", "-", "--source", "library", "--type", "book"];
        let sent = server.granary_fed(&args, "{\"data\":{\"title\":\"s\"}}").ends(0);
        assert!(!sent.stderr.contains("Replayed"));
    }
}

#[test]
fn a_header_with_unknown_columns_is_answered_with_the_whole_command() {
    let server = Server::start();
    let csv = server.file("shelf.csv", "SKU,Product name,Pages\nab,x,1\n");
    let rejected = bulk(
        &server,
        &[&csv, "--type", "book", "--action", "upsert", "--map", "SKU=id"],
    )
    .ends(3);
    let command = format!(
        "granary bulk {csv} --source library --type book --action upsert --map SKU=id --map 'Product name=PROPERTY' --map Pages=pages\n"
    );
    assert!(rejected.stderr.contains(&command), "{}", rejected.stderr);
    let twice = bulk(
        &server,
        &[&csv, "--type", "book", "--map", "SKU=id", "--map", "SKU=sku"],
    )
    .ends(1);
    assert!(
        twice.stderr.contains("names the column 'SKU' twice"),
        "{}",
        twice.stderr
    );
}

#[test]
fn cells_that_semicolons_or_tabs_separate_are_sent_mapped_and_told() {
    let server = Server::start();
    let args = ["--type", "book", "--wait"];
    let csv = server.file(
        "a.csv",
        "Nr;Titel;pages\r\nid-a;\"One; two, \"\"three\"\"\";12\r\nid-b;1,50;\r\n",
    );
    let map = ["--map", "Nr=id", "--map", "Titel=title"];
    bulk(&server, &[&[&*csv][..], &args, &map].concat()).ends(0);
    assert_eq!(title(&server, "id-a"), "One; two, \"three\"");
    assert_eq!(title(&server, "id-b"), "1,50");
    let tsv = server.file("b.tsv", "id\ttitle\nid-c\tx, y\n");
    bulk(&server, &[&[&*tsv][..], &args].concat()).ends(0);
    assert_eq!(title(&server, "id-c"), "x, y");
    // Compressed, and told where the header would say otherwise.
    let path = server.folder.path().join("c.csv.gz");
    std::fs::write(&path, compressed("c.csv.gz", "id|title,x\nid-d|y\n")).unwrap();
    let path = path.to_str().unwrap();
    let mapped = ["--delimiter", "|", "--map", "title,x=title"];
    bulk(&server, &[&[path][..], &args, &mapped].concat()).ends(0);
    assert_eq!(title(&server, "id-d"), "y");

    // What fails is told with its line, and written as it was sent, so that it can be sent again.
    let wrong = server.file("d.csv", "id;title;pages\nid-e;x;1\nid-f;\"y\nz\";many\n");
    let failed = server.folder.path().join("failed.csv");
    let failed = failed.to_str().unwrap();
    let rejected = bulk(&server, &[&wrong, "--type", "book", "--failures", failed]).ends(3);
    assert!(
        rejected.stderr.contains("operation 1 (line 3)\n"),
        "{}",
        rejected.stderr
    );
    let rows = std::fs::read_to_string(failed).unwrap();
    assert_eq!(rows, "id;title;pages\nid-f;\"y\nz\";many\n");
    std::fs::write(failed, rows.replace("many", "7")).unwrap();
    bulk(&server, &[&[failed][..], &args].concat()).ends(0);
    assert_eq!(title(&server, "id-f"), "y\nz");

    // A profile is proposed from it too.
    let proposed = server
        .granary(&["profile", "infer", &wrong, "--json"])
        .ends(0)
        .json();
    let names: Vec<&String> = proposed[0]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["pages", "title"]);
}

#[test]
fn operations_under_the_name_of_a_csv_are_operations() {
    let server = Server::start();
    let csv = server.file("books.csv", "id,title\nab,x\n");
    bulk(&server, &[&csv, "--type", "book", "--wait"]).ends(0);
    let failed = server.folder.path().join("failed.csv");
    let failed = failed.to_str().unwrap();
    // They failed when they were applied, and are operations for that.
    bulk(
        &server,
        &[&csv, "--type", "book", "--failures", failed, "--again"],
    )
    .ends(2);
    let operations = std::fs::read_to_string(failed).unwrap();
    std::fs::write(failed, operations.replace("\"ab\"", "\"cd\"")).unwrap();
    bulk(&server, &[failed, "--wait"]).ends(0);
    assert_eq!(title(&server, "cd"), "x");
}

#[test]
fn each_of_many_files_has_a_key_of_its_own() {
    let server = Server::start();
    let files = ["one", "two", "three"]
        .map(|title| server.file(title, &format!("{{\"data\":{{\"title\":\"{title}\"}}}}")));
    let args: Vec<&str> = files.iter().map(String::as_str).collect();
    let named = [&args[..], &["--type", "book", "--idempotency-key", "nightly"]].concat();
    let first = bulk(&server, &named).ends(0);
    assert_eq!(first.stdout.lines().count(), 3);
    let again = bulk(&server, &named).ends(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(again.stderr.matches("Replayed").count(), 3, "{}", again.stderr);
}

#[test]
fn failures_of_a_rejected_csv_are_its_rows() {
    let server = Server::start();
    let csv = server.file("books.csv", "id,title,pages\nab,x,1\ncd,,2\nef,\"y, z\",many\n");
    let failed = server.folder.path().join("failed.csv");
    let failed = failed.to_str().unwrap();
    let rejected = bulk(&server, &[&csv, "--type", "book", "--failures", failed, "--json"]).ends(3);
    assert_eq!(rejected.json()[0]["receipts"].as_array().unwrap().len(), 2);
    let read = |name: &str| std::fs::read_to_string(server.folder.path().join(name)).unwrap();
    assert_eq!(read("failed.csv"), "id,title,pages\ncd,,2\nef,\"y, z\",many\n");
    let indexes: Vec<_> = read("failed.reasons.ndjson")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].clone())
        .collect();
    assert_eq!(indexes, [1, 2]);
    let left = std::fs::read_dir(server.folder.path()).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(!left.any(|name| name.to_str().unwrap().ends_with(".unfinished")));
    // What was corrected, and is wrong still, is nowhere else.
    let corrected = "id,title,pages\ncd,w,2\nef,\"y, z\",some\n";
    std::fs::write(failed, corrected).unwrap();
    let again = bulk(&server, &[failed, "--type", "book", "--failures", failed]).ends(3);
    assert!(
        again.stderr.contains("failed.csv stays as it is"),
        "{}",
        again.stderr
    );
    assert_eq!(read("failed.csv"), corrected);
    assert_eq!(read("failed.reasons.ndjson").lines().count(), 1);
    // So it is where the answer is another.
    bulk(&server, &[failed, "--type", "nothing", "--failures", failed]).ends(1);
    assert_eq!(read("failed.csv"), corrected);
    // What failed of those that were carried out is written also where a later one cannot be sent.
    let twice = server.file("twice.csv", "id,title\nonce,x\nonce,y\n");
    let args = [&*twice, "missing.csv", "--type", "book", "--failures", failed];
    bulk(&server, &args).ends(1);
    assert_eq!(read("failed.csv").lines().count(), 1);
    assert!(read("failed.reasons.ndjson").contains("already exists"));
}

#[test]
fn rows_and_operations_are_not_in_one_file() {
    let server = Server::start();
    let first = server.file("first.csv", "id,title\nab,x\n");
    bulk(&server, &[&first, "--type", "book", "--wait"]).ends(0);
    // Taken already when it is applied; wrong before it is accepted.
    let taken = server.file("taken.csv", "id,title\nab,again\n");
    let wrong = server.file("wrong.csv", "id,pages\ncd,1\n");
    let failed = server.folder.path().join("failed.csv");
    let failed = failed.to_str().unwrap();
    let rejected = bulk(&server, &[&taken, &wrong, "--type", "book", "--failures", failed]).ends(3);
    assert_eq!(std::fs::read_to_string(failed).unwrap(), "id,pages\ncd,1\n");
    let reasons = server.folder.path().join("failed.reasons.ndjson");
    assert_eq!(std::fs::read_to_string(reasons).unwrap().lines().count(), 1);
    let told = "what failed in taken.csv is operations and not in";
    assert!(rejected.stderr.contains(told), "{}", rejected.stderr);
    // Where no row is at fault there is none in the file.
    let header = server.file("header.csv", "id,ttile\ncd,x\n");
    bulk(
        &server,
        &[&taken, &header, "--type", "book", "--failures", failed, "--again"],
    )
    .ends(3);
    let operations = std::fs::read_to_string(failed).unwrap();
    assert!(operations.starts_with("{\"action\":\"CREATE\""), "{operations}");
}

#[test]
fn failures_of_a_request_that_is_no_json_are_its_lines_and_what_was_accepted_is_waited_for() {
    let server = Server::start();
    let create = |id: &str, ends: &str| {
        format!(
            "{{\"action\":\"CREATE\",\"create\":{{\"type\":\"book\",\"id\":\"{id}\",\"data\":{{\"title\":\"x\"{ends}\n"
        )
    };
    let read = |name: &str| std::fs::read_to_string(server.folder.path().join(name)).unwrap();
    let failed = server.folder.path().join("failed.ndjson");
    let failed = failed.to_str().unwrap();
    let good = server.file("good.ndjson", &create("ab", "}}}"));
    let cut = create("cd", "}}");
    let lines = format!("{}\n{cut}{}", create("bc", "}}}"), create("de", "}}}"));
    let bad = server.file("bad.ndjson", &lines);
    let rejected = bulk(&server, &[&good, &bad, "--failures", failed]).ends(3);
    assert!(rejected.stdout.contains("COMPLETE"), "{}", rejected.stdout);
    assert!(rejected.stderr.contains("operation 1"), "{}", rejected.stderr);
    assert_eq!(read("failed.ndjson"), cut);
    assert_eq!(read("failed.reasons.ndjson").lines().count(), 1);
    // One that breaks off cannot be told apart to its end.
    let broken = server.file("broken.json", &format!("{{\"operations\":[{}", cut.trim_end()));
    let rejected = bulk(&server, &[&broken, "--failures", failed]).ends(3);
    assert_eq!(read("failed.ndjson"), "");
    assert_eq!(read("failed.reasons.ndjson").lines().count(), 1);
    let missing = "failed.ndjson has not all of them: from operation 0 on";
    assert!(rejected.stderr.contains(missing), "{}", rejected.stderr);
}

#[test]
fn what_was_accepted_is_waited_for_where_a_rejection_cannot_be_kept() {
    let server = Server::start();
    let good = server.file("good.ndjson", "{\"data\":{\"title\":\"x\"}}\n");
    let bad = server.file("bad.ndjson", "{\"data\":{}}\n");
    let failed = server.folder.path().join("failed.ndjson");
    let mut command = super::granary(&[
        "bulk", &good, &bad, &good, "--source", "library", "--type", "book",
    ]);
    command
        .args(["--json", "--failures", failed.to_str().unwrap()])
        .env("GRANARY_SERVER", &server.url)
        .env("TMPDIR", server.folder.path().join("nowhere"));
    let refused = super::run(command, "").ends(1);
    assert_eq!(refused.json()[0]["status"], "SUCCESS");
    for part in ["not sent: 1 later file", "TMPDIR says where"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}

#[test]
fn failures_of_many_tasks_are_in_one_file_and_sent_again_they_are_gone() {
    let server = Server::start();
    let taken = server.file(
        "taken.ndjson",
        "{\"id\":\"ab\",\"data\":{\"title\":\"first\"}}\n{\"id\":\"cd\",\"data\":{\"title\":\"first\"}}\n",
    );
    bulk(&server, &[&taken, "--type", "book", "--wait"]).ends(0);
    let one = server.file("one.ndjson", "{\"id\":\"ab\",\"data\":{\"title\":\"1.10\",\"pages\":7}}\n{\"id\":\"ef\",\"data\":{\"title\":\"new\"}}\n");
    let two = server.file("two.ndjson", "{\"id\":\"cd\",\"data\":{\"title\":\"é\"}}\n");
    let failed = server.folder.path().join("failed.ndjson");
    let failed = failed.to_str().unwrap();
    bulk(&server, &[&one, &two, "--type", "book", "--failures", failed]).ends(2);
    let operations = std::fs::read_to_string(failed).unwrap();
    assert_eq!(operations.lines().count(), 2, "{operations}");
    std::fs::write(
        failed,
        operations
            .replace("CREATE", "UPSERT")
            .replace("\"create\"", "\"upsert\""),
    )
    .unwrap();
    // What is sent may be what is written in the end.
    bulk(&server, &[failed, "--failures", failed]).ends(0);
    assert_eq!(std::fs::read_to_string(failed).unwrap(), "");
    assert_eq!(
        (title(&server, "ab"), title(&server, "cd")),
        ("1.10".into(), "é".into())
    );
}

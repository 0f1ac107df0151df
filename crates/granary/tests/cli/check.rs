//! `check`: a store that has lived is sound, and what is broken is told with what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use granary_test_postgres::Cluster;
use serde_json::{Value, json};

use super::postgres::Served;
use super::{Run, Server, granary, run};

/// Something of everything that a client writes: contained resources with ids that are made, tokens, patches, identifiers.
fn fill(call: impl Fn(&[&str], &str) -> Run, file: impl Fn(&str, &str) -> String, url: &str) {
    let page = json!({"type": "CONTAINED", "properties": {"text": {"type": "symbol"}}});
    let book = json!({"properties": {"title": {"type": "symbol"}, "by": {"type": "reference"}},
        "contained": {"pages": {"types": ["page"], "cardinality": "0:*"}}});
    let end = |key| json!({"profileKey": "book", "includeKey": key, "includeCardinality": "0:*"});
    let cites =
        json!({"from": end("cites"), "to": end("citedBy"), "properties": {"since": {"type": "date"}}});
    call(&["source", "apply", "shelf"], "").ends(0);
    for (noun, key, json) in [
        ("profile", "page", page),
        ("profile", "book", book),
        ("relationship-definition", "cites", cites),
    ] {
        let file = file(&format!("{key}.json"), &json.to_string());
        call(&[noun, "apply", "-s", "shelf", "-f", &file], "").ends(0);
    }
    let books: String = (0..2_000)
        .map(|n| {
            let meta = json!({"identifier": [{"system": "isbn", "value": n.to_string()}]});
            let pages = json!({"pages": [{"type": "page", "data": {"text": "a"}}]});
            let mut book = json!({"id": format!("b{n:04}"), "data": {"title": format!("Book {n}"), "by": {"type": "book", "id": "@rootId"}}});
            if n % 10 == 0 {
                book["meta"] = meta;
                book["contained"] = pages;
            }
            format!("{book}\n")
        })
        .collect();
    let bulk = ["bulk", "-", "-s", "shelf", "--type", "book", "--wait"];
    call(&bulk, &books).ends(0);
    let edges: String = (0..500)
        .map(|n| {
            let end = |n: u32| json!({"type": "book", "id": format!("b{n:04}")});
            format!(
                "{}\n",
                json!({"from": end(n), "to": end(n + 1), "data": {"since": "1999"}})
            )
        })
        .collect();
    let bulk = [
        "bulk",
        "-",
        "-s",
        "shelf",
        "--relationships",
        "--type",
        "cites",
        "--wait",
    ];
    call(&bulk, &edges).ends(0);
    for (method, path, body) in [
        ("PUT", "resources/book/b0001", json!({"data": {"title": "again"}})),
        (
            "POST",
            "resources/book/b0001/pages",
            json!({"type": "page", "data": {"text": "more"}}),
        ),
        (
            "PATCH",
            "relationships/cites/b0001.b0002",
            json!([{"op": "replace", "path": "/since", "value": "2000"}]),
        ),
        ("DELETE", "resources/book/b0100", Value::Null),
        (
            "POST",
            "bundle",
            json!({"resourceOperations": [
                {"action": "CREATE", "create": {"id": "@rootId1", "type": "book", "data": {}}},
                {"action": "CREATE", "create": {"type": "book", "data": {"by": {"type": "book", "id": "@rootId1"}}}}]}),
        ),
    ] {
        send(url, method, &format!("/sources/shelf/v1/{path}"), &body);
    }
}

/// Sends a call that the command line has no command for; it succeeds.
fn send(url: &str, method: &str, path: &str, body: &Value) {
    use std::io::{Read, Write};
    let host = url.trim_start_matches("http://");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
}

fn check(args: &[&str]) -> Run {
    run(granary(&[&["check", "--json"], args].concat()), "")
}

#[test]
fn a_folder_that_is_not_there_is_told_as_such() {
    let none = run(granary(&["check", "--data", "./none"]), "").ends(2);
    assert_eq!(none.stderr, "error: there is no folder ./none\n");
}

#[test]
fn a_folder_that_has_lived_is_sound_and_a_flipped_byte_is_found() {
    let mut server = Server::empty();
    fill(
        |args, stdin| server.granary_fed(args, stdin),
        |name, text| server.file(name, text),
        &server.url,
    );
    let data = server.data();
    let folder = data.to_str().unwrap();
    let refused = check(&["--data", folder]).ends(2);
    assert!(
        refused.stderr.contains("in use by another granary process"),
        "{}",
        refused.stderr
    );
    super::serve::signal(&server.child, "INT");
    server.child.wait().unwrap();

    let sound = check(&["--data", folder]).ends(0).json().remove(0);
    assert_eq!(sound["findings"], json!([]));
    let looked_at = &sound["lookedAt"];
    for (what, count) in [("resources", 2_001), ("relationships", 498), ("receipts", 2_506)] {
        assert_eq!(looked_at[what], count, "{what}: {looked_at}");
    }
    let told = run(granary(&["check", "--data", folder]), "").ends(0);
    assert!(
        told.stdout.contains("2,001 resources") && told.stderr.contains("all of it agrees"),
        "{told:?}"
    );

    let segments = data.join("segments");
    let bodies = std::fs::read_dir(segments)
        .unwrap()
        .map(|file| file.unwrap().path());
    let bodies = { bodies }
        .find(|path| path.extension().is_some_and(|kind| kind == "bodies"))
        .unwrap();
    flip(&bodies, 1_000);
    let found = run(granary(&["check", "--data", folder]), "").ends(1);
    for part in [
        "the checksum of the block",
        "the body of 'book' 'b0",
        "what to do: restore the data folder",
        "what to do: write the record again",
    ] {
        assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
    }
    flip(&bodies, 1_000);
    check(&["--data", folder]).ends(0);
    let none = data.join("none");
    check(&["--data", none.to_str().unwrap()]).ends(2);
    check(&[]).ends(2);
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).unwrap();
}

#[test]
fn a_database_that_has_lived_is_sound_and_a_changed_record_is_found() {
    let cluster = Cluster::shared();
    cluster.create_database("sound", None);
    let store = cluster.url("sound");
    let server = Served::start(&["--store", &store]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    fill(|args, stdin| server.granary(args, stdin), file, &server.url);
    // Beside the server.
    let sound = check(&["--store", &store]).ends(0).json().remove(0);
    assert_eq!(
        (&sound["findings"], &sound["lookedAt"]["resources"]),
        (&json!([]), &json!(2_001))
    );
    assert!(sound["notes"][0].as_str().unwrap().contains("amcheck"));
    cluster.sql(
        "sound",
        "UPDATE granary.resource SET data = replace(data, 'Book 7', 'Look 7') WHERE id = 'b0007'",
    );
    let found = check(&["--store", &store]).ends(1).json().remove(0);
    assert_eq!(found["findingsTotal"], 1, "{found}");
    assert!(
        found["findings"][0]["what"].as_str().unwrap().contains("'b0007'"),
        "{found}"
    );
    server.stops(0);
}

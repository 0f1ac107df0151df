//! `bulk`: its input, its results and its exit codes.

use super::{Server, granary, run};

const LIBRARY: [&str; 2] = ["--source", "library"];

fn bulk(server: &Server, args: &[&str], stdin: &str) -> super::Run {
    server.granary_fed(&[&["bulk"][..], &LIBRARY, args].concat(), stdin)
}

#[test]
fn records_become_operations_of_their_type_and_action() {
    let server = Server::start();
    let authors = server.file(
        "authors.ndjson",
        "{\"id\":\"a1\",\"data\":{\"name\":\"Ann\"}}\n\n{\"data\":{\"name\":\"Bob\"}}",
    );
    let task = bulk(&server, &[&authors, "--type", "author", "--wait", "--json"], "")
        .ends(0)
        .json()
        .remove(0);
    assert_eq!(
        (&task["outcome"], &task["counts"]["total"]),
        (&"COMPLETE".into(), &2.into())
    );

    // A create of what is there fails, an upsert replaces it, a delete takes it away.
    bulk(
        &server,
        &["-", "--type", "author", "--wait"],
        r#"{"id":"a1","data":{"name":"Ann B"}}"#,
    )
    .ends(2);
    bulk(
        &server,
        &["-", "--type", "author", "--action", "upsert", "--wait"],
        r#"{"id":"a1","data":{"name":"Ann C"}}"#,
    )
    .ends(0);
    let author = server
        .granary(&["get", "author", "a1", "--source", "library", "--json"])
        .ends(0)
        .json()
        .remove(0);
    assert_eq!(
        (&author["data"]["name"], &author["meta"]["version"]),
        (&"Ann C".into(), &2.into())
    );
    // What was read can be changed and sent.
    let read = server
        .granary(&["get", "author", "a1", "--source", "library", "--json"])
        .ends(0)
        .stdout;
    bulk(
        &server,
        &["-", "--type", "author", "--action", "upsert", "--wait"],
        &read.replace("Ann C", "Ann D"),
    )
    .ends(0);
    bulk(
        &server,
        &["-", "--type", "author", "--action", "delete", "--wait"],
        &read,
    )
    .ends(0);
    server
        .granary(&["get", "author", "a1", "--source", "library"])
        .ends(1);
}

#[test]
fn what_operations_are_on_is_told_by_the_first() {
    let server = Server::start();
    let books = r#"{"operations":[{"action":"CREATE","create":{"type":"book","id":"b1","data":{"title":"x"}}},
        {"action":"CREATE","create":{"type":"author","id":"a1","data":{"name":"Ann"}}}]}"#;
    let edge = r#"{"action":"CREATE","create":{"type":"by","from":{"type":"book","id":"b1"},"to":{"type":"author","id":"a1"}}}"#;
    // Without an extension the first bytes tell the format.
    bulk(
        &server,
        &[
            &server.file("books", books),
            &server.file("edges", edge),
            "--wait",
        ],
        "",
    )
    .ends(0);
    let by = server
        .granary(&["get", "by", "b1.a1", "--relationship", "--source", "library"])
        .ends(0)
        .stdout;
    assert!(by.contains("\"id\": \"b1.a1\""), "{by}");
    bulk(
        &server,
        &["-", "--wait"],
        r#"{"action":"DELETE","delete":{"type":"by","id":"b1.a1"}}"#,
    )
    .ends(0);
    let record = r#"{"from":{"type":"book","id":"b1"},"to":{"type":"author","id":"a1"}}"#;
    bulk(&server, &["-", "--type", "by", "--wait"], record).ends(0);
    // What is told wins.
    bulk(
        &server,
        &["-", "--relationships"],
        r#"{"action":"DELETE","delete":{"type":"book","id":"b1"}}"#,
    )
    .ends(3);
}

#[test]
fn a_rejected_request_ends_with_3_and_shows_its_faults() {
    let server = Server::start();
    let good = r#"{"action":"CREATE","create":{"type":"book","id":"b1","data":{"title":"x"}}}"#;
    let bad = r#"{"action":"UPSERT","upsert":{"type":"book","id":"b2","data":{"pages":"many"}}}"#;
    let file = server.file("books.ndjson", &format!("{good}\n{bad}\n{good}\n"));
    let later = server.file("later.ndjson", good);
    let rejected = bulk(&server, &[&file, &later], "").ends(3);
    for part in [
        "books.ndjson; nothing of it is stored",
        "1 operation is wrong",
        "operation 1 (line 2)\n",
        "/upsert/data/pages",
        "/upsert/data/title",
        "not sent: 1 later file",
    ] {
        assert!(
            rejected.stderr.contains(part),
            "{part} is missing in {}",
            rejected.stderr
        );
    }
    assert_eq!(rejected.stdout, "");
    assert!(
        !rejected.stderr.contains('\u{1b}'),
        "colours without a terminal: {}",
        rejected.stderr
    );
    server
        .granary(&["get", "book", "b1", "--source", "library"])
        .ends(1);

    // A program gets each of them with its index; the others are right.
    let answer = bulk(&server, &[&file, "--json"], "").ends(3).json().remove(0);
    let receipts = answer["receipts"].as_array().unwrap();
    let told: Vec<_> = receipts
        .iter()
        .map(|receipt| (receipt["index"].clone(), receipt["status"].clone()))
        .collect();
    assert_eq!(told, [(1.into(), "FAILURE".into())]);
}

#[test]
fn of_many_faults_those_of_a_kind_are_told_once_with_their_lines() {
    let server = Server::start();
    // A blank line is a line, and no operation.
    let mut records = "{\"data\":{}}\n".repeat(1_234);
    records.insert(12, '\n');
    let rare = "{\"data\":{\"title\":\"x\",\"pages\":\"many\"}}\n";
    let file = server.file("many.ndjson", &format!("{records}{rare}"));
    let rejected = bulk(&server, &[&file, "--type", "book"], "").ends(3);
    for part in [
        "1,235 operations are wrong",
        "  1,234 × /create/data/title: property 'title' is required; operations 0 (line 1), 1 (line 3), 2 (line 4), …\n",
        "  1 × /create/data/pages: expected a number",
        "; operation 1,234 (line 1,236)\n",
    ] {
        assert!(rejected.stderr.contains(part), "{part}: {}", rejected.stderr);
    }
    // What cannot be read twice has no lines.
    let rejected = bulk(&server, &["-", "--type", "book"], &records).ends(3);
    assert!(
        rejected.stderr.contains("1,234 operations are wrong"),
        "{}",
        rejected.stderr
    );
    let told = "title' is required; operations 0, 1, 2, …\n";
    assert!(rejected.stderr.contains(told), "{}", rejected.stderr);
    assert!(rejected.stderr.lines().count() < 10, "{}", rejected.stderr);
}

#[test]
fn failures_of_a_task_are_told_by_their_kind_with_their_lines() {
    let server = Server::start();
    let books: String = (0..30)
        .map(|n| format!("{{\"id\":\"b{n}\",\"data\":{{\"title\":\"x\"}}}}\n"))
        .collect();
    let file = server.file("books.ndjson", &books);
    bulk(&server, &[&file, "--type", "book", "--wait"], "").ends(0);
    let failed = bulk(&server, &[&file, "--type", "book", "--wait", "--again"], "").ends(2);
    for part in [
        "  30 × 409 record with id 'b0' already exists; operations 0 (line 1), 1 (line 2), 2 (line 3), …\n",
        "see each with `granary receipts --source library bk_",
    ] {
        assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
    }
    assert!(!failed.stderr.contains("'b1'"), "{}", failed.stderr);
}

#[test]
fn a_replay_says_that_it_was_carried_out_before_and_what_can_be_done() {
    let server = Server::start();
    let good = server.file("good.ndjson", "{\"id\":\"b1\",\"data\":{\"title\":\"x\"}}\n");
    let args = ["--type", "book", "--wait"];
    let first = bulk(&server, &[&[&*good][..], &args].concat(), "").ends(0);
    assert!(!first.stdout.contains("before"), "{}", first.stdout);
    let again = bulk(&server, &[&[&*good][..], &args].concat(), "").ends(0);
    let told = "COMPLETE  1 operation, carried out before at 2";
    assert!(again.stdout.contains(told), "{}", again.stdout);
    let told = "nothing was started now: --again sends it anew";
    assert!(
        again.stdout.contains(told) && !again.stdout.contains(" in "),
        "{}",
        again.stdout
    );
    // The ends are those of the first run, and where something failed it can be tried again.
    let taken = server.file("taken.ndjson", "{\"id\":\"b1\",\"data\":{\"title\":\"y\"}}\n\n");
    let first = bulk(&server, &[&[&*taken][..], &args].concat(), "").ends(2);
    assert!(!first.stderr.contains("task retry"), "{}", first.stderr);
    let again = bulk(&server, &[&[&*taken][..], &args].concat(), "").ends(2);
    assert!(again.stdout.contains("carried out before at"), "{}", again.stdout);
    let told = "`granary task retry --source library bk_";
    assert!(again.stderr.contains(told), "{}", again.stderr);
}

#[test]
fn records_that_are_sent_as_operations_are_refused_before_they_are_sent() {
    let server = Server::start();
    let refused = bulk(&server, &["-"], "\n{\"id\":\"b1\",\"data\":{\"title\":\"x\"}}\n").ends(1);
    for part in [
        "line 2 of stdin is no operation",
        "--type; those of source library are author, book",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("Uploaded"), "{}", refused.stderr);

    let flat = server.file("my flat.ndjson", "{\"id\":\"b1\",\"title\":\"x\"}\n");
    let refused = bulk(&server, &[&flat, "--type", "book", "--action", "upsert"], "").ends(1);
    let quoted = format!(
        "jq -c '{{id, data: del(.id)}}' '{flat}' | granary bulk - --source library --type book --action upsert"
    );
    assert!(refused.stderr.contains(&quoted), "{}", refused.stderr);
    for (record, action, filter) in [
        ("{\"title\":\"x\"}", "create", "'{data: .}'"),
        ("{\"id\":\"b1\",\"title\":\"x\"}", "delete", "'{id}'"),
    ] {
        let args = ["-", "--type", "book", "--action", action];
        let refused = bulk(&server, &args, record).ends(1);
        assert!(refused.stderr.contains(filter), "{}", refused.stderr);
    }
    // The first record says it for all: of the others the server judges.
    let mixed = "{\"id\":\"b1\",\"data\":{\"title\":\"x\"}}\n{\"id\":\"b1\",\"title\":\"x\"}\n";
    bulk(&server, &["-", "--type", "book"], mixed).ends(3);
}

#[test]
fn some_failed_ends_with_2_and_shows_the_failures() {
    let server = Server::start();
    let operations = concat!(
        r#"{"action":"CREATE","create":{"type":"book","id":"b1","data":{"title":"x"}}}"#,
        "\n",
        r#"{"action":"CREATE","create":{"type":"book","id":"b1","data":{"title":"y"}}}"#,
        "\n",
        r#"{"action":"DELETE","delete":{"type":"book","id":"b9"}}"#,
        "\n",
    );
    let failed = bulk(&server, &["-", "--wait"], operations).ends(2);
    assert!(
        failed.stdout.contains("PARTIAL  1 of 3 operations succeeded"),
        "{}",
        failed.stdout
    );
    for part in [
        "operation 1  CREATE book b1: 409 ",
        "operation 2  DELETE book b9: 404 ",
    ] {
        assert!(
            failed.stderr.contains(part),
            "{part} is missing in {}",
            failed.stderr
        );
    }
}

#[test]
fn without_waiting_the_id_of_the_task_is_the_result() {
    let server = Server::start();
    let sent = bulk(&server, &["-", "--type", "book"], r#"{"data":{"title":"x"}}"#).ends(0);
    let id = sent.stdout.trim_end();
    assert!(id.starts_with("bk_") && !id.contains(char::is_whitespace), "{id}");
    server
        .granary(&["task", "watch", id, "--source", "library"])
        .ends(0);
    let accepted = bulk(
        &server,
        &["-", "--type", "book", "--json"],
        r#"{"data":{"title":"x"}}"#,
    )
    .ends(0)
    .json();
    assert_eq!(
        (&accepted[0]["status"], &accepted[0]["bulkId"]),
        (&"ACCEPTED".into(), &accepted[0]["taskId"])
    );
}

#[test]
fn checking_only_stores_nothing() {
    let server = Server::start();
    let book = r#"{"id":"b1","data":{"title":"x"}}"#;
    let valid = bulk(
        &server,
        &["-", "--type", "book", "--validate-only", "--json"],
        book,
    )
    .ends(0)
    .json();
    assert_eq!(
        (&valid[0]["status"], &valid[0]["count"]),
        (&"VALID".into(), &1.into())
    );
    server
        .granary(&["get", "book", "b1", "--source", "library"])
        .ends(1);
    bulk(
        &server,
        &["-", "--type", "book", "--validate-only"],
        r#"{"data":{}}"#,
    )
    .ends(3);
}

#[test]
fn what_cannot_be_sent_is_said_before_or_while_it_is() {
    let server = Server::start();
    let json = server.file("books.json", r#"{"operations":[]}"#);
    for (args, stdin, part) in [
        (&[json.as_str(), "--type", "book"][..], "", "one record a line"),
        (
            &["-", "--type", "book"],
            "{\"data\":{\"title\":\"x\"}}\n[]\n",
            "line 2 is no record",
        ),
        (&["/nowhere/x.ndjson"], "", "cannot read /nowhere/x.ndjson"),
        (&["/"], "", "is a folder"),
    ] {
        let refused = bulk(&server, args, stdin).ends(1);
        assert!(
            refused.stderr.contains(part),
            "{part} is missing in {}",
            refused.stderr
        );
    }
    let unknown = server
        .granary_fed(&["bulk", "-", "--source", "nope"], r#"{"action":"CREATE"}"#)
        .ends(1);
    assert!(unknown.stderr.contains("nope"), "{}", unknown.stderr);
    bulk(&server, &[&json], "").ends(3);
}

#[test]
fn what_was_accepted_before_a_file_that_cannot_be_sent_is_told() {
    let server = Server::start();
    let good = server.file("good.ndjson", r#"{"id":"b1","data":{"title":"x"}}"#);
    let files = [good.as_str(), "/nowhere/x.ndjson", good.as_str()];
    let failed = bulk(&server, &[&files[..], &["--type", "book", "--wait"]].concat(), "").ends(1);
    assert!(failed.stdout.contains("COMPLETE"), "{}", failed.stdout);
    for part in ["not sent: 1 later file", "cannot read /nowhere/x.ndjson"] {
        assert!(
            failed.stderr.contains(part),
            "{part} is missing in {}",
            failed.stderr
        );
    }
}

#[test]
fn a_source_that_is_not_there_is_said_however_much_is_to_be_sent() {
    let server = Server::start();
    let large = "{\"data\":{\"title\":\"x\"}}\n".repeat(400_000);
    for _ in 0..3 {
        let unknown = server
            .granary_fed(&["bulk", "-", "--type", "book", "--source", "nope"], &large)
            .ends(1);
        assert!(unknown.stderr.contains("nope"), "{}", unknown.stderr);
    }
}

#[test]
fn flags_may_come_from_the_environment() {
    let server = Server::start();
    let mut command = granary(&["bulk", "-"]);
    for (name, value) in [
        ("SERVER", server.url.as_str()),
        ("SOURCE", "library"),
        ("TYPE", "book"),
        ("WAIT", "1"),
        ("JSON", "true"),
    ] {
        command.env(format!("GRANARY_{name}"), value);
    }
    let task = run(command, r#"{"data":{"title":"x"}}"#).ends(0).json().remove(0);
    assert_eq!(task["status"], "SUCCESS");
}

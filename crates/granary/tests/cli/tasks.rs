//! `task` and `receipts`.

use std::process::Stdio;

use super::{Server, granary};

/// A task of this many creates, the first of them twice; its id.
fn task(server: &Server, count: usize) -> String {
    let mut books: String = (0..count)
        .map(|n| format!("{{\"id\":\"b-{n}\",\"data\":{{\"title\":\"x\"}}}}\n"))
        .collect();
    books.push_str("{\"id\":\"b-0\",\"data\":{\"title\":\"x\"}}\n");
    let args = [
        "bulk", "-", "--source", "library", "--type", "book", "--wait", "--json",
    ];
    let ended = server.granary_fed(&args, &books).ends(2).json().remove(0);
    ended["taskId"].as_str().expect("a task has an id").to_owned()
}

#[test]
fn tasks_are_listed_shown_and_watched() {
    let server = Server::start();
    let id = task(&server, 3);
    let listed = server
        .granary(&[
            "task",
            "list",
            "--source",
            "library",
            "--outcome",
            "partial",
            "--json",
        ])
        .ends(0)
        .json();
    assert_eq!((listed.len(), listed[0]["taskId"].as_str()), (1, Some(&*id)));
    let lately = ["task", "list", "-s", "library", "--created-after", "1h", "--json"];
    assert_eq!(server.granary(&lately).ends(0).json().len(), 1);
    for none in [
        ["--status", "running"],
        ["--created-after", "2100-01-01"],
        ["--outcome", "complete"],
        ["--status", "failure"],
        ["--kind", "purge"],
        ["--created-before", "2020-01-01T00:00:00Z"],
    ] {
        let listed = server
            .granary(&[&["task", "list", "--source", "library", "--json"][..], &none].concat())
            .ends(0);
        assert_eq!(listed.stdout, "", "{none:?}");
    }
    let table = server
        .granary(&["task", "list", "--source", "library"])
        .ends(0)
        .stdout;
    assert!(table.starts_with("TASK ") && table.contains(&id), "{table}");

    let shown = server
        .granary(&["task", "show", &id, "--source", "library"])
        .ends(0)
        .stdout;
    for part in [
        "BULK of resources",
        "PARTIAL",
        "4 in all",
        "  success   3",
        "  failure   1",
        "completed",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    // The prefix of an id may be left off.
    server
        .granary(&["task", "watch", &id["bk_".len()..], "--source", "library"])
        .ends(2);
    server
        .granary(&[
            "task",
            "show",
            "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
            "--source",
            "library",
        ])
        .ends(1);
}

#[test]
fn receipts_are_shown_all_or_those_asked_for() {
    let server = Server::start();
    let id = task(&server, 1_500);
    let receipts = |more: &[&str]| {
        server
            .granary(&[&["receipts", &id, "--source", "library"][..], more].concat())
            .ends(0)
    };
    let all = receipts(&["--json"]).json();
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, receipt)| receipt["index"] == index)
            && all.len() == 1_501
    );
    assert_eq!(
        receipts(&[]).stdout.lines().count(),
        1_502,
        "a header and a line each"
    );
    let failures = receipts(&["--failures"]).stdout;
    assert!(
        failures.contains("1,500  FAILURE  CREATE  book  b-0  409 ALREADY_EXISTS: "),
        "{failures}"
    );
    let some = receipts(&["--from", "1498", "--limit", "2", "--json"]).json();
    assert_eq!(
        some.iter()
            .map(|receipt| receipt["index"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [1_498, 1_499]
    );
    assert_eq!(receipts(&["--status", "cancelled"]).stdout, "");
    let well = server.granary_fed(
        &[
            "bulk", "-", "-s", "library", "--type", "author", "--wait", "--json",
        ],
        r#"{"data":{"name":"x"}}"#,
    );
    let well = well.ends(0).json().remove(0);
    let none = server.granary(&[
        "receipts",
        well["taskId"].as_str().unwrap(),
        "-s",
        "library",
        "--failures",
    ]);
    assert_eq!(none.ends(0).stderr, "nothing failed\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let server = Server::start();
    let id = task(&server, 20_000);
    let mut command = granary(&["receipts", &id, "--source", "library", "--server", &server.url]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap()),
        (Some(0), String::new())
    );
}

#[test]
fn what_failed_is_tried_again() {
    let server = Server::start();
    let id = task(&server, 3);
    let retry = |more: &[&str], code: i32| {
        server
            .granary(&[&["task", "retry", &id, "--source", "library"][..], more].concat())
            .ends(code)
    };
    // Its id is taken still.
    let failed = retry(&["--wait"], 2);
    assert!(
        failed.stdout.contains("0 of 1 operation succeeded"),
        "{}",
        failed.stdout
    );
    assert!(
        failed.stderr.contains("409 record with id 'b-0'"),
        "{}",
        failed.stderr
    );
    let accepted = retry(&["--json"], 0).json().remove(0);
    let new = accepted["taskId"].as_str().expect("a task has an id");
    let watched = server.granary(&["task", "watch", new, "--source", "library", "--json"]);
    assert_eq!(watched.ends(2).json()[0]["retryOf"], *id);
    let shown = server
        .granary(&["task", "show", new, "--source", "library"])
        .ends(0);
    assert!(
        shown.stdout.contains(&format!("retry of    {id}")),
        "{}",
        shown.stdout
    );
    let delete = r#"{"action":"DELETE","delete":{"type":"book","id":"b-0"}}"#;
    server
        .granary_fed(&["bulk", "-", "--source", "library", "--wait"], delete)
        .ends(0);
    let well = retry(&["--wait"], 0);
    assert!(well.stdout.contains("COMPLETE  1 operation"), "{}", well.stdout);

    // What does not conform any more is rejected.
    let stricter = r#"{"properties":{"title":{"type":"symbol","rules":[{"min":2}]}}}"#;
    let file = server.file("book.json", stricter);
    server
        .granary(&["profile", "apply", "-s", "library", "-f", &file])
        .ends(0);
    let rejected = retry(&[], 3);
    assert!(
        rejected.stderr.contains("Rejected the retry of"),
        "{}",
        rejected.stderr
    );
    assert!(
        rejected.stderr.contains("1 operation is wrong"),
        "{}",
        rejected.stderr
    );
    assert_eq!(retry(&["--json"], 3).json()[0]["status"], "REJECTED");
    server
        .granary(&["task", "retry", new, "--source", "nowhere"])
        .ends(1);
}

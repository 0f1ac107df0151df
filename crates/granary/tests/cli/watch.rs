//! `task watch`: events until the end, whatever happens to the stream meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use super::serve::signal;
use super::{Server, granary, run};

const TASK: &str = "bk_2eVocVVgjAWYJ74DifXluwVtSYs";

fn event(name: &str, revision: u32, status: &str, success: u32) -> String {
    let counts = format!(
        r#"{{"total":9,"success":{success},"failure":0,"pending":{},"cancelled":0}}"#,
        9 - success
    );
    let task = format!(
        r#"{{"taskId":"{TASK}","kind":"BULK","status":"{status}","counts":{counts},"createdAt":"2026-01-31T08:15:30.250Z"}}"#
    );
    format!("event: {name}\nid: {revision}\ndata: {task}\n\n")
}

/// Answers one call with this body and closes; the head of the call.
fn answer(listener: &TcpListener, status: &str, body: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    let mut lines = BufReader::new(TcpStream::try_clone(&stream).unwrap());
    while lines.read_line(&mut head).unwrap() > 2 {}
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).unwrap();
    head.to_lowercase()
}

#[test]
fn a_stream_that_breaks_off_is_taken_up_where_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let first = answer(&listener, "200 OK", &event("progress", 4, "PENDING", 3));
        // One that starts again says so for a while.
        answer(
            &listener,
            "503 Service Unavailable",
            r#"{"code":503,"type":"UNAVAILABLE","message":"starting"}"#,
        );
        let half = event("progress", 6, "PENDING", 6);
        answer(&listener, "200 OK", &half[..half.len() / 2]);
        let last = answer(&listener, "200 OK", &event("end", 7, "SUCCESS", 9));
        (first, last)
    });
    let watched = run(
        granary(&["task", "watch", TASK, "-s", "library", "--server", &url, "--json"]),
        "",
    )
    .ends(0);
    let (first, last) = server.join().unwrap();
    assert!(!first.contains("last-event-id"), "{first}");
    assert!(last.contains("last-event-id: 4"), "{last}");
    assert_eq!(watched.json()[0]["counts"]["success"], 9);
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let gone = run(
        granary(&["task", "watch", TASK, "-s", "x", "--server", "http://127.0.0.1:1"]),
        "",
    )
    .ends(1);
    assert!(gone.stderr.contains("no server at"), "{}", gone.stderr);
}

#[test]
fn where_too_many_watch_already_the_task_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let full = r#"{"code":429,"type":"RESOURCE_EXHAUSTED","message":"enough"}"#;
        answer(&listener, "429 Too Many Requests", full);
        let end = event("end", 7, "SUCCESS", 9);
        let task = end.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        answer(&listener, "200 OK", task)
    });
    run(
        granary(&["task", "watch", TASK, "-s", "library", "--server", &url]),
        "",
    )
    .ends(0);
    let asked = server.join().unwrap();
    assert!(
        asked.starts_with("get /sources/library/v1/tasks/bk_") && !asked.contains("/events"),
        "{asked}"
    );
}

#[test]
fn exit_codes_say_how_a_task_ended() {
    let server = Server::start();
    let watch = |operations: &str| {
        let sent = server
            .granary_fed(&["bulk", "-", "-s", "library"], operations)
            .ends(0);
        server
            .granary(&["task", "watch", sent.stdout.trim(), "-s", "library"])
            .code
    };
    let create = r#"{"action":"CREATE","create":{"type":"book","id":"ab","data":{"title":"x"}}}"#;
    assert_eq!(watch(create), 0);
    assert_eq!(watch(create), 2);
    server
        .granary(&["task", "watch", "bk_2eVocVVgjAWYJ74DifXluwVtSYs", "-s", "library"])
        .ends(1);
}

#[test]
fn who_is_interrupted_is_told_that_the_task_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = granary(&["task", "watch", TASK, "-s", "library", "--server", &url]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It waits from here on.
    let waiting = listener.accept().unwrap();
    signal(&child, "INT");
    let ended = child.wait_with_output().unwrap();
    drop(waiting);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(
        said,
        format!("the task goes on: granary task watch {TASK} -s library\n")
    );
    assert_eq!(ended.status.code(), Some(130));
}

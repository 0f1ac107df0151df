//! A server that is starting is waited for; a server that is not there is not.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::{granary, run};

/// Answers one call and closes; the first line of the call.
fn answer(listener: &TcpListener, status: &str, body: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    let mut lines = BufReader::new(TcpStream::try_clone(&stream).unwrap());
    while lines.read_line(&mut head).unwrap() > 2 {}
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).unwrap();
    head.lines().next().unwrap_or_default().to_owned()
}

const UNAVAILABLE: &str = "503 Service Unavailable";

#[test]
fn a_server_that_is_starting_is_waited_for_and_that_is_said_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let starting = r#"{"code":503,"type":"UNAVAILABLE","message":"the server is starting; send the call again later"}"#;
        let mut calls = vec![
            answer(&listener, UNAVAILABLE, starting),
            answer(&listener, UNAVAILABLE, starting),
        ];
        let list = r#"{"data":[{"key":"library","type":"registry","createdAt":"2026-01-31T08:15:30.250Z"}],"meta":{}}"#;
        calls.push(answer(&listener, "200 OK", list));
        calls
    });
    // Without http:// it is taken as one that speaks that.
    let listed = run(granary(&["source", "list", "--json", "--server", &address]), "").ends(0);
    let calls = server.join().unwrap();
    assert!(
        calls
            .iter()
            .all(|call| call.starts_with("GET /catalog/v1/sources")),
        "{calls:?}"
    );
    assert_eq!(listed.json()[0]["key"], "library");
    assert_eq!(
        listed.stderr,
        format!("the server at http://{address} is starting; waiting for it, 30 s at the most\n")
    );
}

#[test]
fn one_that_takes_no_work_for_another_reason_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let stopping = r#"{"code":503,"type":"UNAVAILABLE","message":"the server is stopping"}"#;
        answer(&listener, UNAVAILABLE, stopping);
    });
    let refused = run(granary(&["source", "list", "--server", &url]), "").ends(1);
    server.join().unwrap();
    assert_eq!(refused.stderr, "error: the server is stopping\n");
}

#[test]
fn a_server_that_speaks_http_is_not_asked_for_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    let url = format!("https://{address}");
    let refused = run(granary(&["source", "list", "--server", &url]), "").ends(1);
    drop(server.join());
    assert_eq!(
        refused.stderr,
        format!("error: the server at {url} speaks http and not https; name it as http://{address}\n")
    );
}

//! Clients that take their answer late, or never. The answer to a rejected request has a receipt for every operation:
//! it is far longer than what the system keeps of it on the way.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use serde_json::{Value, json};

use super::registry::{Registry, create, request};

/// Operations with a fault each: some 15 MB of receipts.
const OPERATIONS: usize = 50_000;

/// Sends a request that is rejected, and reads nothing.
async fn sent(registry: &Registry) -> TcpStream {
    let faulty = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": 7}}});
    let body = request(&vec![faulty; OPERATIONS]);
    let address = registry.server.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    connection
}

/// The body of an answer in chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&chunks[end + 2..end + 2 + length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
}

#[tokio::test]
async fn a_client_that_reads_only_after_it_has_sent_all_gets_the_whole_answer() {
    let registry = Registry::start().await;
    let mut connection = sent(&registry).await;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    let rejection: Value = serde_json::from_slice(&joined(&answer[head + 4..])).unwrap();
    assert_eq!(rejection["status"], "REJECTED");
    assert_eq!(rejection["receipts"].as_array().unwrap().len(), OPERATIONS);
}

#[tokio::test]
async fn clients_that_never_read_keep_nobody_from_being_served() {
    let registry = Registry::start().await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(sent(&registry).await);
    }
    let operations: Vec<_> = (0..2_000).map(|at| create(&format!("p{at}"), "Ada")).collect();
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(task["counts"]["success"], 2_000);
    // Their answers were waiting all the while, and none is cut.
    for mut connection in silent {
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400") && answer.ends_with(b"\r\n0\r\n\r\n"));
    }
}

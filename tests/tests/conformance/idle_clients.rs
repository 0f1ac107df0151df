//! Clients that connect and ask for nothing, more than this process may have files for: they wait, and one that is served
//! goes on.

use std::io::ErrorKind;
use std::time::Duration;

use granary_tests::{Place, Server, Start};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the server may have open; of these some 60 are for connections.
const FILES: &str = "--nofile=700";
/// More than that, and fewer than the operating system lets wait.
const IDLE: usize = 150;
/// Calls of the client that is served, while the others wait.
const CALLS: usize = 40;
/// It only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn idle_clients_wait_where_a_folder_leaves_them_no_file() {
    let data = tempfile::tempdir().unwrap();
    let mut start = Start::at(Place::of(data.path()).unwrap(), Vec::new());
    start.before = vec!["prlimit".to_owned(), FILES.to_owned()];
    let server = Server::spawn(start).await.unwrap();
    let client = granary_tests::http().pool_max_idle_per_host(1).build().unwrap();
    let source = format!("{}/catalog/v1/sources/clinics", server.url);
    let defined = client.put(&source).json(&json!({"type": "registry"}));
    let defined = defined.send().await.unwrap().error_for_status().unwrap();
    // A connection whose answer is read whole is used again.
    defined.bytes().await.unwrap();

    let address = server.url.strip_prefix("http://").unwrap();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // It came last, and has no place.
    let mut last = idle.pop().unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    last.write_all(ask).await.unwrap();
    // On its connection, which it has had from the begin.
    for at in 0..CALLS {
        let profile = format!("{}/sources/clinics/v1/profiles/p{at}", server.url);
        let put = client
            .put(&profile)
            .json(&json!({"properties": {"name": {"type": "symbol"}}}));
        let put = tokio::time::timeout(PATIENCE, put.send()).await;
        let put = put.expect("it is served").unwrap();
        assert_eq!(put.status(), 201);
        put.bytes().await.unwrap();
        // Looked at before the others have asked for nothing for so long that they are closed.
        if at == CALLS / 4 {
            let waits = last.try_read(&mut [0]).unwrap_err();
            assert_eq!(waits.kind(), ErrorKind::WouldBlock);
        }
    }
    drop(idle);
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, last.read_to_end(&mut answer)).await;
    read.expect("there is a place again").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let another = granary_tests::http().build().unwrap();
    let read = tokio::time::timeout(PATIENCE, another.get(&source).send()).await;
    assert_eq!(read.expect("there is a place again").unwrap().status(), 200);
}

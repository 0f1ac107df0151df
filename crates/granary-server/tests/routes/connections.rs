//! Connections whose clients are slow, or say nothing.

use std::time::{Duration, Instant};

use granary_server::{AccessOptions, Calls, Listening, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;

/// The time for the head of a call.
const WITHIN: Duration = Duration::from_millis(500);

/// A server that waits so long for heads, at this address.
async fn impatient(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let listening = Listening::from(listener).with_head_within(WITHIN);
    let (engine, stop) = (world.engine.clone(), Stop::default());
    tokio::spawn(async move {
        let access = AccessOptions::default();
        granary_server::serve(listening, engine, Calls::All, access, stop).await
    });
    address
}

/// Waits until the connection is closed, and for how long that took.
async fn closed(connection: &mut TcpStream) -> (String, Duration) {
    let (began, mut rest) = (Instant::now(), Vec::new());
    let end = tokio::time::timeout(Duration::from_secs(60), connection.read_to_end(&mut rest));
    let _ = end.await.expect("it is closed");
    (String::from_utf8(rest).unwrap(), began.elapsed())
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_is_broken_off() {
    let world = World::empty().await;
    let address = impatient(&world).await;
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let (mut read, mut write) = connection.split();
    let began = Instant::now();
    let trickle = async {
        write
            .write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            .await
            .unwrap();
        loop {
            tokio::time::sleep(WITHIN / 10).await;
            if write.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        _ = read.read_to_end(&mut rest) => {}
        () = trickle => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it is not broken off"),
    }
    assert!(began.elapsed() >= WITHIN);
    assert_eq!(rest, b"", "nothing was asked for, and nothing is answered");
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_closed() {
    let world = World::empty().await;
    let address = impatient(&world).await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    assert!(closed(&mut silent).await.1 >= WITHIN / 2);
    // Also one that has asked for something before; what is answered slowly is not broken off.
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let (answer, after) = closed(&mut idle).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(after >= WITHIN / 2, "{after:?}");
}

#[tokio::test]
async fn a_body_may_take_longer_than_a_head() {
    let world = World::new().await;
    let address = impatient(&world).await;
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let body = br#"{"data":{"name":"Ada"}}"#;
    let head = format!(
        "PUT {}/ada HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        crate::world::PROVIDERS,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(6) {
        tokio::time::sleep(WITHIN).await;
        connection.write_all(piece).await.unwrap();
    }
    let (answer, _) = closed(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use granary_test_postgres::{Cluster, Proxy};

/// A server that answers every byte with the next one.
fn counting() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while connection.read(&mut byte).is_ok_and(|read| read == 1) {
                    let _ = connection.write_all(&[byte[0] + 1]);
                }
            });
        }
    });
    addr
}

fn ask(connection: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    connection.write_all(&[byte])?;
    let mut answer = [0];
    connection.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[test]
fn bytes_pass_until_it_is_cut_and_again_once_it_is_healed() {
    let proxy = Proxy::start(counting()).unwrap();
    let mut connection = TcpStream::connect(proxy.addr()).unwrap();
    assert_eq!(ask(&mut connection, 1).unwrap(), 2);
    proxy.cut();
    ask(&mut connection, 1).unwrap_err();
    // A process that another test starts just now may hold the port for a moment, and nobody answers there.
    let refused = loop {
        match TcpStream::connect(proxy.addr()) {
            Ok(mut connection) => drop(ask(&mut connection, 1).unwrap_err()),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.heal().unwrap();
    let mut connection = TcpStream::connect(proxy.addr()).unwrap();
    assert_eq!(ask(&mut connection, 3).unwrap(), 4);
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn frozen_no_byte_passes_and_none_is_lost() {
    let proxy = Proxy::start(counting()).unwrap();
    let mut connection = TcpStream::connect(proxy.addr()).unwrap();
    assert_eq!(ask(&mut connection, 1).unwrap(), 2);
    proxy.freeze();
    connection
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let waiting = ask(&mut connection, 5).unwrap_err();
    assert!(
        matches!(waiting.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{waiting}"
    );
    proxy.thaw();
    connection.set_read_timeout(None).unwrap();
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [6]);
}

#[test]
fn an_answer_is_dropped_once_and_what_was_asked_arrives() {
    let (heard, hears) = mpsc::channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut buffer = [0; 100];
            while let Ok(read @ 1..) = connection.read(&mut buffer) {
                heard
                    .send(String::from_utf8_lossy(&buffer[..read]).into_owned())
                    .unwrap();
                let _ = connection.write_all(b"!");
            }
        }
    });
    let mut connection = TcpStream::connect(proxy.addr()).unwrap();
    let mut answer = [0];
    connection.write_all(b"COMMIT 1").unwrap();
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(hears.recv().unwrap(), "COMMIT 1");
    proxy.drop_next_reply_after(|bytes| bytes.windows(6).any(|window| window == b"COMMIT"));
    // In two pieces, and not taken for the one before.
    connection.write_all(b"COM").unwrap();
    connection.read_exact(&mut answer).unwrap();
    connection.write_all(b"MIT 2").unwrap();
    assert!(connection.read_exact(&mut answer).is_err());
    assert_eq!(
        (hears.recv().unwrap(), hears.recv().unwrap()),
        ("COM".to_owned(), "MIT 2".to_owned())
    );
    assert_eq!(proxy.replies_dropped(), 1);
    drop(connection);
    let mut connection = TcpStream::connect(proxy.addr()).unwrap();
    connection.write_all(b"COMMIT 3").unwrap();
    connection.read_exact(&mut answer).unwrap();
}

#[test]
fn a_commit_whose_answer_is_lost_took_effect() {
    let cluster = Cluster::shared();
    cluster.create_database("lost_answer", None);
    cluster.sql("lost_answer", "CREATE TABLE t (n int)");
    let proxy = Proxy::start(cluster.addr()).unwrap();
    let url = Cluster::url_at(proxy.addr(), "lost_answer");
    proxy.drop_next_reply_after(|bytes| bytes.windows(6).any(|window| window == b"COMMIT"));
    let output = Command::new("psql")
        .args(["-XqAt", &url, "-c", "BEGIN"])
        .args(["-c", "INSERT INTO t VALUES (7)", "-c", "COMMIT", "-c", "SELECT 1"])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(proxy.replies_dropped(), 1);
    assert_eq!(cluster.sql("lost_answer", "SELECT n FROM t"), "7");
}

#[test]
fn a_transaction_is_known_by_what_was_sent_in_it() {
    let cluster = Cluster::shared();
    cluster.create_database("lost_answer_of", None);
    cluster.sql("lost_answer_of", "CREATE TABLE t (n int)");
    let proxy = Proxy::start(cluster.addr()).unwrap();
    let url = Cluster::url_at(proxy.addr(), "lost_answer_of");
    proxy.drop_next_reply_to_commit_of(|sent| sent.windows(10).any(|window| window == b"VALUES (2)"));
    let insert = |n: u32| {
        let output = Command::new("psql")
            .args(["-XqAt", &url, "-c", "BEGIN;", "-c", "SELECT 1", "-c"])
            .args([&format!("INSERT INTO t VALUES ({n})"), "-c", "COMMIT"])
            .output();
        output.unwrap().status.success()
    };
    assert_eq!([insert(1), insert(2), insert(2)], [true, false, true]);
    assert_eq!(proxy.replies_dropped(), 1);
    assert_eq!(cluster.sql("lost_answer_of", "SELECT count(*) FROM t"), "3");
    // Lost before it arrives, it does not take effect.
    proxy.drop_next_commit_of(|sent| sent.windows(10).any(|window| window == b"VALUES (3)"));
    assert_eq!([insert(1), insert(3)], [true, false]);
    assert_eq!(proxy.replies_dropped(), 2);
    assert_eq!(
        cluster.sql("lost_answer_of", "SELECT max(n), count(*) FROM t"),
        "2|4"
    );
}

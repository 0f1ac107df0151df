//! `serve`: start, stop, start again.

use std::process::Command;

use super::{Server, serve};

#[test]
fn a_server_that_is_told_to_stop_keeps_what_it_has() {
    let mut server = Server::start();
    let book = r#"{"id":"b1","data":{"title":"x"}}"#;
    let args = ["bulk", "-", "--source", "library", "--type", "book", "--wait"];
    server.granary_fed(&args, book).ends(0);

    let pid = server.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    server.granary(&["source", "list"]).ends(1);

    (server.child, server.url) = serve(&server.data());
    let book = server
        .granary(&["get", "book", "b1", "--source", "library", "--json"])
        .ends(0);
    assert_eq!(book.json()[0]["data"]["title"], "x");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let server = Server::start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let data = server.folder.path().join("other");
    let taken = server
        .granary(&["serve", "--listen", &address, "--data", data.to_str().unwrap()])
        .ends(1);
    assert!(taken.stderr.contains(&address), "{}", taken.stderr);
}

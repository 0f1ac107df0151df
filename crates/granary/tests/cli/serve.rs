//! `serve`: start, stop, start again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Server, granary, run, serve, serve_with};

/// Sends a signal.
pub(super) fn signal(child: &Child, name: &str) {
    let (name, pid) = (format!("-{name}"), child.id().to_string());
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// What a GET is answered.
pub(super) fn get(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

/// The status that it is answered with.
pub(super) fn status(url: &str, path: &str) -> u16 {
    get(url, path).split(' ').nth(1).unwrap().parse().unwrap()
}

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

#[test]
fn a_server_that_is_not_ready_any_more_serves_until_its_drain_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (mut server, url) = serve_with(&["--data", data, "--drain", "600"]);
    assert_eq!(status(&url, "/readyz"), 200);
    signal(&server, "TERM");
    while status(&url, "/readyz") != 503 {}
    assert_eq!(status(&url, "/catalog/v1/sources"), 200);
    // It need not be waited for,
    signal(&server, "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(1));
    // ends by itself,
    let (mut server, _) = serve_with(&["--data", data, "--drain", "0.2"]);
    signal(&server, "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    // and is not for Ctrl-C.
    let (mut server, _) = serve_with(&["--data", data, "--drain", "600"]);
    signal(&server, "INT");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn a_folder_is_a_store_by_its_path_and_by_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for store in [data.to_owned(), format!("file:{data}"), format!("file://{data}")] {
        let (mut server, url) = serve_with(&["--store", &store, "--role", "all"]);
        assert_eq!(status(&url, "/readyz"), 200);
        signal(&server, "TERM");
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
    assert!(folder.path().join("FORMAT").exists());
}

#[test]
fn a_store_and_options_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let postgres = "postgres://ada:secret@127.0.0.1:1/db";
    for (args, hint) in [
        (&["--data", data, "--store", postgres][..], "'--data <DIR>'"),
        (&["--store", "postgres://ada:sec@ret@host/db"], "%40"),
        (
            &["--store", "mysql://ada:secret@host/db"],
            "postgres://user:password@host",
        ),
        (&["--store", ""], "empty"),
        (
            &["--data", data, "--lease", "5"],
            "--lease is for a store in PostgreSQL",
        ),
        (
            &["--store", data, "--postgres-connections", "5"],
            "--postgres-connections is",
        ),
        (
            &["--data", data, "--postgres-statements", "unnamed"],
            "--postgres-statements is",
        ),
        (
            &["--data", data, "--postgres-root-certificate", "ca.pem"],
            "--postgres-root-certificate is",
        ),
        (
            &["--store", postgres, "--erase-after", "5"],
            "--erase-after is for a store in a folder",
        ),
        (&["--data", data, "--erase-after", "0"], "1.."),
        (&["--data", data, "--role", "worker"], "--store postgres://"),
        (&["--store", postgres, "--role", "boss"], "worker"),
        (&["--store", postgres, "--lease", "0"], "seconds from 0.1"),
        (&["--store", postgres, "--lease", "soon"], "such as 15 or 0.5"),
        (&["--store", postgres, "--drain", "NaN"], "seconds from 0"),
        (&["--store", postgres, "--postgres-connections", "1"], "2.."),
        (
            &["--store", postgres, "--postgres-statements", "named"],
            "unnamed",
        ),
        (
            &["--store", postgres, "--cors-origin", "https://a.example/"],
            "https://console.example",
        ),
        // Nobody listens there.
        (
            &["--store", postgres],
            "cannot serve postgres://127.0.0.1:1/db at",
        ),
    ] {
        let mut command = granary(&["serve"]);
        command.args(args).env("GRANARY_LISTEN", "127.0.0.1:0");
        let wrong = run(command, "").ends(1);
        assert!(wrong.stderr.contains(hint), "{args:?}: {}", wrong.stderr);
        for part in ["sec@", "secret"] {
            assert!(!wrong.stderr.contains(part), "{}", wrong.stderr);
        }
        assert_eq!(wrong.stdout, "");
    }
    assert!(!Path::new(data).exists());
}

#[test]
fn the_password_of_a_store_is_not_shown() {
    let url = "postgres://ada:secret@127.0.0.1:1/db";
    let data = tempfile::tempdir().unwrap();
    let both = ["serve", "--data", data.path().to_str().unwrap()];
    for (args, code) in [
        (&["serve", "--help"][..], 0),
        (&["serve", "-h"], 0),
        (&["serve"], 1),
        (&["serve", "--json"], 1),
        (&["serve", "--lease", "x"], 1),
        (&both, 1),
    ] {
        let mut command = granary(args);
        command
            .env("GRANARY_STORE", url)
            .env("GRANARY_LISTEN", "127.0.0.1:0")
            .env("GRANARY_LOG", "trace");
        let run = run(command, "").ends(code);
        assert!(!format!("{run:?}").contains("secret"), "{run:#?}");
    }
}

/// The same binary where a process may have so many files open: with the limit `S` until it raises that itself.
fn with_files(limit: &str, files: usize, args: &[&str]) -> Command {
    let plain = granary(args);
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRANARY_")) {
        command.env_remove(name);
    }
    command
        .args(["-c", &format!("ulimit -{limit}n {files} && exec \"$0\" \"$@\"")])
        .arg(plain.get_program())
        .args(plain.get_args());
    command
}

/// A server that may have so many files.
fn serve_with_files(limit: &str, files: usize, data: &Path) -> (Child, String) {
    let args = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ];
    let mut command = with_files(limit, files, &args);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    (child, said["url"].as_str().unwrap().to_owned())
}

#[test]
fn a_server_takes_the_files_that_it_may_have_or_says_that_they_are_too_few() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ];
    let few = run(with_files("", 500, &args), "").ends(1);
    let says = ["500 files", "ulimit -n", "LimitNOFILE"];
    assert!(
        says.iter().all(|word| few.stderr.contains(word)),
        "{}",
        few.stderr
    );
    assert!(!data.exists(), "it is told before anything is opened");
    // One that may be raised is.
    let (mut child, _) = serve_with_files("S", 100, &data);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let now: usize = files.split_whitespace().nth(3).unwrap().parse().unwrap();
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(now > 100, "{files}");
}

#[test]
fn a_log_that_cannot_be_understood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for asked in ["granary=loud", "info,,=x=debug", "a[b"] {
        let mut command = granary(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ]);
        command.env("GRANARY_LOG", asked);
        let wrong = run(command, "").ends(1);
        let says = [asked, "GRANARY_LOG is", "info,granary_engine=debug"];
        assert!(
            says.iter().all(|word| wrong.stderr.contains(word)),
            "{}",
            wrong.stderr
        );
    }
    assert!(!data.exists());
}

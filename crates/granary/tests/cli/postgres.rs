//! Servers that share a store in PostgreSQL.

use std::process::Child;

use granary_test_postgres::{Cluster, PgBouncer};
use serde_json::{Value, json};

use super::serve::{get, signal, status};
use super::{granary, run, serve_with};

/// Ended when the test does.
pub(super) struct Served {
    child: Child,
    pub(super) url: String,
}

impl Served {
    pub(super) fn start(args: &[&str]) -> Self {
        let (child, url) = serve_with(args);
        Self { child, url }
    }

    /// Runs the binary against it.
    pub(super) fn granary(&self, args: &[&str], stdin: &str) -> super::Run {
        let mut command = granary(args);
        command.env("GRANARY_SERVER", &self.url);
        run(command, stdin)
    }

    pub(super) fn stops(mut self, code: i32) {
        signal(&self.child, "INT");
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn define(server: &Served) {
    server.granary(&["source", "apply", "library"], "").ends(0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.json");
    let profile = json!({"properties": {"title": {"type": "symbol"}}});
    std::fs::write(&file, profile.to_string()).unwrap();
    let file = file.to_str().unwrap();
    server
        .granary(&["profile", "apply", "-s", "library", "-f", file], "")
        .ends(0);
}

const BULK: [&str; 6] = ["bulk", "-", "--source", "library", "--type", "book"];
const BOOK: &str = r#"{"id":"b1","data":{"title":"x"}}"#;

#[test]
fn one_server_takes_in_what_another_carries_out() {
    let cluster = Cluster::shared();
    cluster.create_database("roles", None);
    let store = cluster.url("roles");
    let api = Served::start(&["--store", &store, "--role", "api", "--lease", "1"]);
    define(&api);
    let task = api
        .granary(&[&BULK[..], &["--json"]].concat(), BOOK)
        .ends(0)
        .json();
    let id = task[0]["taskId"].as_str().unwrap().to_owned();
    let show = ["task", "show", &id, "--source", "library", "--json"];
    let pending = |server: &Served| server.granary(&show, "").ends(0).json()[0]["status"] == "PENDING";
    assert!(pending(&api), "an api carries out nothing");

    let worker = Served::start(&["--store", &store, "--role", "worker", "--lease", "1"]);
    while pending(&api) {}
    let book = api
        .granary(&["get", "book", "b1", "--source", "library", "--json"], "")
        .ends(0);
    assert_eq!(book.json()[0]["data"]["title"], "x");
    assert_eq!(
        (status(&worker.url, "/healthz"), status(&worker.url, "/readyz")),
        (200, 200)
    );
    let refused = get(&worker.url, "/catalog/v1/sources");
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("UNAVAILABLE"),
        "{refused}"
    );
    api.stops(0);
    worker.stops(0);
}

#[test]
fn a_server_works_through_pgbouncer() {
    let cluster = Cluster::shared();
    cluster.create_database("bounced", None);
    let bouncer = PgBouncer::start(cluster).unwrap();
    let store = bouncer.url("bounced");
    let server = Served::start(&[
        "--store",
        &store,
        "--postgres-statements",
        "unnamed",
        "--postgres-connections",
        "4",
    ]);
    define(&server);
    server.granary(&[&BULK[..], &["--wait"]].concat(), BOOK).ends(0);
    server.stops(0);
}

#[test]
fn a_server_says_which_database_it_serves_and_makes_no_folder() {
    let cluster = Cluster::shared();
    cluster.create_database("shown", None);
    let place = tempfile::tempdir().unwrap();
    let port = cluster.addr().port();
    let mut command = granary(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command
        .env(
            "GRANARY_STORE",
            format!("postgres://postgres:secret@127.0.0.1:{port}/shown"),
        )
        .env("TMPDIR", place.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let said: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(said["store"], format!("postgres://127.0.0.1:{port}/shown"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("postgres://127.0.0.1:{port}/shown at http://")),
        "{told}"
    );
    assert!(!told.contains("secret"), "{told}");
}

//! The command line as people and scripts meet it: the real binary against a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;
mod bench;
mod bulk;
mod bulk_files;
mod check;
mod demo;
mod export;
mod help;
mod infer;
mod keys;
mod listing;
mod manual;
mod postgres;
mod schema;
mod serve;
mod sessions;
mod settings;
mod starting;
mod tasks;
mod tls;
mod vocabulary;
mod watch;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How a run of the binary ended.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The same, if it ended so.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Its result, one JSON value a line.
    #[track_caller]
    fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }
}

/// How long anything may take that is waited for: a server that was to refuse to start serves for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary, with nothing of this process's own settings.
fn granary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_granary"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRANARY_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn run(mut command: Command, stdin: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let pid = child.id().to_string();
    let (ended, watched) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    let mut pipe = child.stdin.take().expect("stdin is a pipe");
    // A command that does not read it all may well end first.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let output = child.wait_with_output().expect("the binary ends");
    drop(ended);
    watch.join().expect("it watches");
    Run {
        code: output.status.code().expect("it ends in time, by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// A server of its own for one test, with a source `library` that holds books by authors.
struct Server {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Server {
    /// One that has nothing yet.
    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, url) = serve(&folder.path().join("data"));
        Self { child, url, folder }
    }

    fn start() -> Self {
        let server = Self::empty();
        server.granary(&["source", "apply", "library"]).ends(0);
        for (key, properties) in [
            (
                "book",
                json!({"title": {"type": "symbol", "rules": [{"required": true}]}, "pages": {"type": "integer"}}),
            ),
            (
                "author",
                json!({"name": {"type": "symbol", "rules": [{"required": true}]}}),
            ),
        ] {
            let file = server.file(
                &format!("{key}.json"),
                &json!({"properties": properties}).to_string(),
            );
            server
                .granary(&["profile", "apply", "-s", "library", "-f", &file])
                .ends(0);
        }
        let end =
            |profile, key| json!({"profileKey": profile, "includeKey": key, "includeCardinality": "0:*"});
        let definition = json!({"from": end("book", "writtenBy"), "to": end("author", "wrote")});
        let file = server.file("by.json", &definition.to_string());
        server
            .granary(&["relationship-definition", "apply", "-s", "library", "-f", &file])
            .ends(0);
        server
    }

    /// Runs the binary against it.
    fn granary(&self, args: &[&str]) -> Run {
        self.granary_fed(args, "")
    }

    /// The same, with something on stdin.
    fn granary_fed(&self, args: &[&str], stdin: &str) -> Run {
        let mut command = granary(args);
        command.env("GRANARY_SERVER", &self.url);
        run(command, stdin)
    }

    /// A file with this content.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file is written");
        path.to_str().expect("a path is text").to_owned()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it says where it is.
fn serve(data: &Path) -> (Child, String) {
    serve_with(&["--data", data.to_str().expect("a path is text")])
}

/// The same with these arguments.
fn serve_with(args: &[&str]) -> (Child, String) {
    serve_at("127.0.0.1:0", args)
}

/// The same at this address.
fn serve_at(address: &str, args: &[&str]) -> (Child, String) {
    let mut command = granary(&["serve", "--listen", address, "--json"]);
    let child = command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("the server starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the server says where it is");
    let said: Value = serde_json::from_str(&line).expect("it says so in JSON");
    (child, said["url"].as_str().expect("it names its URL").to_owned())
}

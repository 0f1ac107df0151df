//! Keys and the log of a real process: a line for every change of schema or keys, and nothing of any record or key.

mod audit;
mod calls;
mod log;

use std::fs;
use std::path::PathBuf;

use granary_tests::{Place, Server, Start};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that writes its log to a file, and the key of an admin.
struct Logged {
    server: Server,
    folder: TempDir,
    key: String,
}

impl Logged {
    async fn start(level: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = Start {
            place: Place::of(&folder.path().join("data")).unwrap(),
            environment: vec![("GRANARY_LOG".to_owned(), level.to_owned())],
            log: Some(log_in(&folder)),
            before: Vec::new(),
        };
        let server = Server::spawn(start).await.unwrap();
        let mut logged = Self {
            server,
            folder,
            key: String::new(),
        };
        let first = json!({"role": "admin", "name": "Ada of operations"});
        let (status, first) = logged.send("POST", "/access/v1/keys", first).await;
        assert_eq!(status, 201);
        logged.key = first["key"].as_str().unwrap().to_owned();
        logged
    }

    /// What a call is answered; a body that is a string is sent as NDJSON.
    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.send_as(method, path, body, &self.key).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn send_as(&self, method: &str, path: &str, body: Value, key: &str) -> (u16, String) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = granary_tests::http()
            .build()
            .unwrap()
            .request(method, format!("{}{path}", self.server.url));
        let request = match body {
            Value::Null => request,
            Value::String(lines) => request.header(CONTENT_TYPE, "application/x-ndjson").body(lines),
            body => request.json(&body),
        };
        let request = match key {
            "" => request,
            key => request.bearer_auth(key),
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(log_in(&self.folder)).unwrap()
    }
}

fn log_in(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

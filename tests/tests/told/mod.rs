//! What a real process tells of its work: lines of the log as programs read them, and traces that a collector is sent.

mod collector;
mod log;
mod traces;

use std::fs;
use std::time::Duration;

use granary_tests::{Place, Server, Start};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything that is waited for may take: it only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(60);
const BULK: &str = "/sources/clinic/v1/resources/bulk";
/// What stands in records, and in nothing that is told.
const CONTENT: &str = "zanzibar";

/// A server with a source and a profile, whose log is a file.
struct Telling {
    server: Server,
    folder: TempDir,
    http: reqwest::Client,
}

impl Telling {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let start = Start {
            place: Place::of(&folder.path().join("data")).unwrap(),
            environment: environment.iter().map(owned).collect(),
            log: Some(folder.path().join("log")),
            before: Vec::new(),
        };
        let server = Server::spawn(start).await.unwrap();
        let http = granary_tests::http().build().unwrap();
        let telling = Self { server, folder, http };
        let source = json!({"type": "registry"});
        telling.put("/catalog/v1/sources/clinic", &source).await;
        let profile = json!({"properties": {"name": {"type": "symbol"}}});
        telling.put("/sources/clinic/v1/profiles/patient", &profile).await;
        telling
    }

    async fn put(&self, path: &str, body: &Value) {
        let request = self.http.put(format!("{}{path}", self.server.url)).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
    }

    /// Has a bulk request accepted that comes with this header; the id of its task.
    async fn bulk(&self, header: (&str, &str), ids: &[&str]) -> String {
        let create = |id: &&str| {
            let create = json!({"type": "patient", "id": id, "data": {"name": CONTENT}});
            json!({"action": "CREATE", "create": create})
        };
        let operations: Vec<Value> = ids.iter().map(create).collect();
        let request = self.http.post(format!("{}{BULK}", self.server.url));
        let request = request
            .header(header.0, header.1)
            .json(&json!({ "operations": operations }));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let answer: Value = answer.json().await.unwrap();
        answer["bulkId"].as_str().unwrap().to_owned()
    }

    /// Waits until a task has ended.
    async fn ended(&self, task: &str) {
        let client = self.server.client().unwrap();
        let source = client.source("clinic");
        let waiting = async {
            while source.task(task).await.unwrap().completed_at.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

//! A server with the source `clinics`, which has the founding text's providers, and how its answers are read.

use std::path::Path;
use std::time::{Duration, Instant};

use granary_tests::Server;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// The profile of the founding text's examples.
const PROVIDER: &str = include_str!("../../../examples/providers/profiles/provider.json");

/// It only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Registry {
    pub(crate) server: Server,
    pub(crate) client: Client,
    data: tempfile::TempDir,
}

/// What a call is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these variables in the environment of the server.
    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start_with(data.path(), environment).await.unwrap();
        let registry = Self {
            server,
            client: granary_tests::http().build().unwrap(),
            data,
        };
        let refers_to = json!({
            "from": {"profileKey": "provider", "includeKey": "refersTo", "includeCardinality": "0:*"},
            "to": {"profileKey": "provider", "includeKey": "referredBy", "includeCardinality": "0:1"},
            "properties": {"since": {"type": "date"}},
        });
        registry
            .put("/catalog/v1/sources/clinics", r#"{"type":"registry"}"#)
            .await;
        registry.define("profiles/provider", PROVIDER).await;
        registry
            .define("relationship-definitions/refersTo", &refers_to.to_string())
            .await;
        registry
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Asks the server to stop and starts it again on the same folder.
    pub(crate) async fn restarted(mut self) -> Self {
        assert!(self.server.stop().await.unwrap().success());
        self.server = self.server.restart().await.unwrap();
        self
    }

    /// The same with these variables in the environment of the server, and no others.
    pub(crate) async fn restarted_with(mut self, environment: &[(&str, &str)]) -> Self {
        assert!(self.server.stop().await.unwrap().success());
        self.server = Server::start_with(self.data(), environment).await.unwrap();
        self
    }

    /// Stores a definition of the source, such as `profiles/provider`.
    pub(crate) async fn define(&self, path: &str, definition: &str) {
        self.put(&format!("/sources/clinics/v1/{path}"), definition).await;
    }

    async fn put(&self, path: &str, body: &str) {
        let request = self
            .request(Method::PUT, path)
            .header(CONTENT_TYPE, "application/json");
        let answer = answer(request.body(body.to_owned())).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.server.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// Reads what is there, below the source.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(&format!("/sources/clinics/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Sends a bulk request on resources.
    pub(crate) async fn send(&self, body: impl Into<String>) -> Answer {
        self.send_to("resources", body).await
    }

    /// Sends a bulk request on `resources` or on `relationships`.
    pub(crate) async fn send_to(&self, target: &str, body: impl Into<String>) -> Answer {
        answer(self.bulk(target).body(body.into())).await
    }

    /// A bulk request without its body.
    pub(crate) fn bulk(&self, target: &str) -> RequestBuilder {
        let request = self.request(Method::POST, &format!("/sources/clinics/v1/{target}/bulk"));
        request.header(CONTENT_TYPE, "application/json")
    }

    /// Sends a bulk request that is accepted, and answers its task once it has ended, with its receipts.
    pub(crate) async fn carried_out(&self, body: impl Into<String>) -> Value {
        self.carried_out_on("resources", body).await
    }

    pub(crate) async fn carried_out_on(&self, target: &str, body: impl Into<String>) -> Value {
        let id = self.send_to(target, body).await.accepted();
        self.ended(target, &id).await
    }

    /// The task, once it has ended, with its receipts.
    pub(crate) async fn ended(&self, target: &str, id: &str) -> Value {
        let started = Instant::now();
        while self.read(&format!("tasks/{id}")).await["status"] == "PENDING" {
            assert!(started.elapsed() < PATIENCE, "{id} does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.read(&format!("{target}/bulk/{id}")).await
    }

    /// The providers in the order of their ids; at most one page of them.
    pub(crate) async fn providers(&self) -> Vec<Value> {
        let page = self.read("resources/provider?limit=1000").await;
        page["data"].as_array().unwrap().clone()
    }

    /// Neither a record nor a task is there.
    pub(crate) async fn assert_empty(&self) {
        for list in [
            "resources/provider",
            "relationships/refersTo",
            "tasks",
            "tasks?kind=SINGLE",
        ] {
            assert_eq!(self.read(list).await, json!({"data": [], "meta": {}}), "{list}");
        }
    }
}

/// Sends a call.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}: {error}: {text}"));
    Answer {
        status,
        headers,
        body,
    }
}

impl Answer {
    /// The id of the task of a request that was accepted.
    pub(crate) fn accepted(&self) -> String {
        assert_eq!(
            (self.status, &self.body["status"]),
            (202, &json!("ACCEPTED")),
            "{self:?}"
        );
        self.body["bulkId"].as_str().unwrap().to_owned()
    }

    /// The receipts of a request that was rejected: as many as it has operations, each FAILURE or CANCELLED.
    pub(crate) fn rejected(&self) -> &[Value] {
        assert_eq!(
            (self.status, &self.body["status"]),
            (400, &json!("REJECTED")),
            "{self:?}"
        );
        let receipts = self.body["receipts"].as_array().unwrap();
        for receipt in receipts {
            let members: Vec<&String> = receipt.as_object().unwrap().keys().collect();
            match receipt["status"].as_str() {
                Some("CANCELLED") => assert_eq!(members, ["status"]),
                Some("FAILURE") => assert_eq!(members, ["error", "status"]),
                _ => panic!("{receipt}"),
            }
        }
        receipts
    }

    /// What is wrong with a request as a whole that was rejected.
    pub(crate) fn rejected_as_a_whole(&self) -> &Value {
        self.rejected();
        let error = &self.body["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(400), &json!("INVALID_ARGUMENT")),
            "{self:?}"
        );
        error
    }

    /// What is wrong with the only operation of a request that was rejected: the place and the rule of each fault.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let [receipt] = self.rejected() else {
            panic!("not one receipt: {self:?}")
        };
        faults(receipt)
    }

    /// The `code` and the `type` of a call that failed.
    pub(crate) fn error(&self) -> (u64, &str) {
        assert_eq!(self.body["code"], self.status, "{self:?}");
        (
            self.body["code"].as_u64().unwrap(),
            self.body["type"].as_str().unwrap(),
        )
    }
}

/// The place and the rule of each fault of a failed operation.
pub(crate) fn faults(receipt: &Value) -> Vec<(String, String)> {
    let details = receipt["error"]["details"].as_array();
    let details = details.unwrap_or_else(|| panic!("no details: {receipt}"));
    let text = |detail: &Value, member: &str| detail[member].as_str().unwrap().to_owned();
    details
        .iter()
        .map(|detail| (text(detail, "path"), text(detail, "rule")))
        .collect()
}

/// One place and rule, to compare faults with.
pub(crate) fn fault(path: &str, rule: &str) -> (String, String) {
    (path.to_owned(), rule.to_owned())
}

/// A request of these operations.
pub(crate) fn request(operations: &[Value]) -> String {
    json!({"operations": operations}).to_string()
}

pub(crate) fn create(id: &str, name: &str) -> Value {
    json!({"action": "CREATE", "create": {"type": "provider", "id": id, "data": {"name": name}}})
}

pub(crate) fn upsert(id: &str, name: &str) -> Value {
    json!({"action": "UPSERT", "upsert": {"type": "provider", "id": id, "data": {"name": name}}})
}

pub(crate) fn delete(id: &str) -> Value {
    json!({"action": "DELETE", "delete": {"type": "provider", "id": id}})
}

pub(crate) fn create_edge(from: &str, to: &str) -> Value {
    let end = |id: &str| json!({"type": "provider", "id": id});
    json!({"action": "CREATE", "create": {"type": "refersTo", "from": end(from), "to": end(to)}})
}

/// A member of each row, as text.
pub(crate) fn column(rows: &Value, member: &str) -> Vec<String> {
    let text = |row: &Value| row[member].as_str().unwrap_or_default().to_owned();
    rows.as_array().unwrap().iter().map(text).collect()
}

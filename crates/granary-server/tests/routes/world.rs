//! A server to call, and its answers as text: generated ids, cursors and tags are shown as `[id]`, `[cursor]` and `[tag]`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use granary_core::limits::Limits;
use granary_core::time::Timestamp;
use granary_engine::{Engine, EngineOptions, HandClock};
use granary_server::{AccessOptions, Calls, Stop};
use granary_store::memory::MemoryStore;
use granary_store::{Store, StoreLimits};
use granary_store_postgres::{PostgresOptions, PostgresStore, Statements};
use granary_test_postgres::Cluster;
use reqwest::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LINK, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};

pub(crate) const NDJSON: &str = "application/x-ndjson";

/// A bulk request on the resources of the source `clinics`.
pub(crate) const BULK: &str = "/sources/clinics/v1/resources/bulk";
/// The providers of the source `clinics`.
pub(crate) const PROVIDERS: &str = "/sources/clinics/v1/resources/provider";
/// The edges between providers of the source `clinics`.
pub(crate) const EDGES: &str = "/sources/clinics/v1/relationships/refersTo";

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) stop: Stop,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<HandClock>,
}

/// A store that has nothing yet. `GRANARY_TEST_STORE` says which: `memory`, or `postgres`.
async fn store(limits: StoreLimits) -> Arc<dyn Store> {
    match std::env::var("GRANARY_TEST_STORE").as_deref() {
        Err(_) | Ok("memory") => Arc::new(MemoryStore::new(limits)),
        Ok("postgres") => Arc::new(in_postgres(limits).await),
        Ok(other) => panic!("GRANARY_TEST_STORE is '{other}', which is no store"),
    }
}

/// A database of its own.
async fn in_postgres(limits: StoreLimits) -> PostgresStore {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Beside the runtime, or what it does for other stores would stand still, the end of their connections with it.
    let creating = spawn_blocking(|| {
        let cluster = Cluster::shared();
        let database = format!("routes_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.create_database(&database, None);
        cluster.url(&database)
    });
    let options = PostgresOptions {
        url: creating.await.unwrap(),
        connections: 8,
        statements: Statements::Prepared,
        root_certificate: None,
        lease: Duration::from_secs(1),
        limits,
    };
    PostgresStore::open(options).await.unwrap()
}

/// A client that could speak TLS, for others of the same build do.
pub(crate) fn http() -> ClientBuilder {
    // Whoever is second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
}

impl World {
    /// A server that has nothing yet.
    pub(crate) async fn empty() -> Self {
        Self::with(Limits::default(), 2).await
    }

    /// A server that only carries out tasks.
    pub(crate) async fn that_takes_nothing_in() -> Self {
        Self::that_answers(Calls::Health, Limits::default(), 2).await
    }

    /// A server with the source `clinics`, which has providers that refer to each other.
    pub(crate) async fn new() -> Self {
        Self::empty().await.with_clinics().await
    }

    /// The same with these limits.
    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::with(limits, 2).await.with_clinics().await
    }

    /// The same without workers: what is accepted stays pending.
    pub(crate) async fn at_rest() -> Self {
        Self::at_rest_with(Limits::default()).await
    }

    pub(crate) async fn at_rest_with(limits: Limits) -> Self {
        Self::with(limits, 0).await.with_clinics().await
    }

    async fn with(limits: Limits, workers: usize) -> Self {
        Self::that_answers(Calls::All, limits, workers).await
    }

    /// An empty server that looks after its keys like this.
    pub(crate) async fn with_access(access: AccessOptions) -> Self {
        Self::listening("127.0.0.1:0", Calls::All, Limits::default(), 2, access).await
    }

    /// An empty server that listens for other machines too.
    pub(crate) async fn that_others_reach() -> Self {
        Self::listening(
            "0.0.0.0:0",
            Calls::All,
            Limits::default(),
            2,
            AccessOptions::default(),
        )
        .await
    }

    /// Sends this key from now on.
    pub(crate) fn always_sends(&mut self, key: &str) {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), key.parse().unwrap())]);
        self.client = http().default_headers(headers).build().unwrap();
    }

    async fn that_answers(calls: Calls, limits: Limits, workers: usize) -> Self {
        Self::listening("127.0.0.1:0", calls, limits, workers, AccessOptions::default()).await
    }

    async fn listening(
        address: &str,
        calls: Calls,
        limits: Limits,
        workers: usize,
        access: AccessOptions,
    ) -> Self {
        let store = store(StoreLimits::from(&limits)).await;
        let clock = Arc::new(HandClock::new(Timestamp::parse("2026-01-31T08:00:00Z").unwrap()));
        let options = EngineOptions {
            workers,
            poll_every: Duration::from_millis(5),
            ..EngineOptions::default()
        };
        let engine = Engine::start(store, clock.clone(), limits, options);
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let stop = Stop::default();
        let serving = tokio::spawn(granary_server::serve(
            listener,
            engine.clone(),
            calls,
            access,
            stop.clone(),
        ));
        let client = http().build().unwrap();
        Self {
            url,
            client,
            stop,
            serving,
            engine,
            clock,
        }
    }

    pub(crate) async fn with_clinics(self) -> Self {
        for (path, body) in [
            ("/catalog/v1/sources/clinics", json!({"type": "registry"})),
            ("/sources/clinics/v1/profiles/provider", provider()),
            (
                "/sources/clinics/v1/relationship-definitions/refersTo",
                refers_to(),
            ),
        ] {
            let answer = self.put(path, &body).await;
            assert!(answer.starts_with("201"), "{answer}");
        }
        self
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        shown(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_lines(&self, path: &str) -> String {
        shown(self.request(Method::GET, path).header(ACCEPT, NDJSON)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> String {
        shown(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> String {
        shown(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> String {
        shown(self.request(Method::DELETE, path)).await
    }

    /// Sends a call without a body.
    pub(crate) async fn call(&self, method: &str, path: &str) -> String {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        shown(self.request(method, path)).await
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Sends a bulk request that is accepted and waits until its task has ended. Answers the id of the task.
    pub(crate) async fn carried_out(&self, path: &str, operations: Value) -> String {
        let id = self.accepted(path, operations).await;
        let source = path.rsplit_once("/v1/").unwrap().0;
        let task = format!("{source}/v1/tasks/{id}");
        let started = Instant::now();
        while self.read(&task).await["status"] == "PENDING" {
            assert!(started.elapsed() < Duration::from_secs(60), "{task} does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        id
    }

    /// A list of tasks, once all of them have ended.
    pub(crate) async fn ended(&self, path: &str) -> Value {
        let started = Instant::now();
        loop {
            let page = self.read(path).await;
            let tasks = page["data"].as_array().unwrap();
            if tasks.iter().all(|task| task["status"] != "PENDING") {
                return page;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{path} does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends a bulk request that is accepted. Answers the id of its task.
    pub(crate) async fn accepted(&self, path: &str, operations: Value) -> String {
        let body = json!({"operations": operations});
        let answer = self.request(Method::POST, path).json(&body).send().await.unwrap();
        let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 202, "{answer}");
        answer["taskId"].as_str().unwrap().to_owned()
    }

    /// Follows a list from page to page by `Link`, and answers what `pick` finds in each of its rows.
    pub(crate) async fn walk(&self, first: &str, pick: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut path = Some(first.to_owned());
        while let Some(here) = path {
            let answer = self.request(Method::GET, &here).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{here}");
            let link = answer
                .headers()
                .get(LINK)
                .map(|link| link.to_str().unwrap().to_owned());
            let page: Value = answer.json().await.unwrap();
            let rows = page["data"].as_array().unwrap();
            assert!(!rows.is_empty() || found.is_empty(), "an empty page at {here}");
            found.extend(rows.iter().map(|row| row[pick].to_string()));
            let next = |link: String| {
                let link = link
                    .strip_prefix('<')?
                    .strip_suffix(r#">; rel="next""#)?
                    .to_owned();
                Some(link)
            };
            path = link.map(|link| next(link).unwrap());
            // The cursor of the body is the one in the header.
            match (&path, page["meta"]["cursor"].as_str()) {
                (None, None) => {}
                (Some(next), Some(cursor)) => assert!(next.ends_with(&format!("cursor={cursor}"))),
                differ => panic!("{differ:?}"),
            }
        }
        found
    }
}

pub(crate) fn provider() -> Value {
    json!({
        "properties": {
            "name": {"type": "symbol", "rules": [{"required": true}]},
            "practiceNumber": {"type": "integer"},
            "specialities": {"type": "array", "items": {"type": "symbol"}},
        },
    })
}

pub(crate) fn refers_to() -> Value {
    json!({
        "from": {"profileKey": "provider", "includeKey": "refersTo", "includeCardinality": "0:*"},
        "to": {"profileKey": "provider", "includeKey": "referredBy", "includeCardinality": "0:*"},
        "properties": {"since": {"type": "date"}},
    })
}

/// A create of a provider.
pub(crate) fn create(id: &str, name: &str) -> Value {
    json!({"action": "CREATE", "create": {"type": "provider", "id": id, "data": {"name": name}}})
}

/// A create of an edge between two providers.
pub(crate) fn create_edge(from: &str, to: &str) -> Value {
    let end = |id: &str| json!({"type": "provider", "id": id});
    json!({"action": "CREATE", "create": {"type": "refersTo", "from": end(from), "to": end(to)}})
}

/// Sends a call and shows its answer: status, the headers that say something, body.
pub(crate) async fn shown(request: RequestBuilder) -> String {
    let answer = request.send().await.unwrap();
    let mut text = answer.status().as_u16().to_string();
    let headers = answer.headers();
    assert!(headers.contains_key("x-request-id"), "{answer:?}");
    for name in [ALLOW, LOCATION, LINK, ETAG, RETRY_AFTER, CONTENT_TYPE] {
        let Some(value) = headers.get(&name).map(|value| value.to_str().unwrap()) else {
            continue;
        };
        if name == ETAG {
            // What is in it is the store's own affair; what it is good for is in `conditions`.
            assert!(
                value.len() > 2 && value.starts_with('"') && value.ends_with('"'),
                "{value}"
            );
            let _ = write!(text, "\n{name}: \"[tag]\"");
        } else if value != "application/json" {
            let _ = write!(text, "\n{name}: {value}");
        }
    }
    let body = answer.text().await.unwrap();
    if !body.is_empty() {
        let _ = write!(text, "\n{}", body.trim_end());
    }
    without_ids(&without_cursors(&text))
}

/// Cursors are opaque.
fn without_cursors(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, marker)) = ["?cursor=", "&cursor=", r#""cursor":""#]
        .iter()
        .filter_map(|marker| Some((rest.find(marker)?, marker)))
        .min()
    {
        let start = at + marker.len();
        let end = rest[start..]
            .find(['"', '>'])
            .map_or(rest.len(), |len| start + len);
        out.push_str(&rest[..start]);
        out.push_str("[cursor]");
        rest = &rest[end..];
    }
    out + rest
}

/// Generated ids are 27 letters and digits.
pub(crate) fn without_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        match word {
            27 => out.push_str("[id]"),
            _ => out.push_str(&rest[..word]),
        }
        let other = rest[word..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[word..word + other]);
        rest = &rest[word + other..];
    }
    out
}

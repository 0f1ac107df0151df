//! An engine with a source to write to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::operation::{RecordId, TargetType};
use granary_core::receipt::Receipt;
use granary_core::schema::DefinitionKind;
use granary_core::task::TaskStatus;
use granary_core::time::Timestamp;
use granary_engine::{
    BodyError, BodyFormat, BulkRequest, Change, Clock, Engine, EngineOptions, Expected, HandClock, Intake,
    Persisted, ReceiptsShown, Rejection, SingleWrite,
};
use granary_store::memory::MemoryStore;
use granary_store::{Record, Source, Store, StoreLimits, StoredTask};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<HandClock>,
}

pub(crate) fn key(raw: &str) -> Key {
    Key::parse(raw).unwrap()
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions {
        workers: 2,
        poll_every: Duration::from_millis(5),
        ..EngineOptions::default()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), options()).await
    }

    /// A world without workers: what is accepted stays as it is.
    pub(crate) async fn at_rest(limits: Limits) -> Self {
        Self::with(
            limits,
            EngineOptions {
                workers: 0,
                ..options()
            },
        )
        .await
    }

    pub(crate) async fn with(limits: Limits, options: EngineOptions) -> Self {
        let store = Arc::new(MemoryStore::new(StoreLimits::from(&limits)));
        Self::over(store, limits, options).await
    }

    /// With the source `clinics`, which has providers and, working at each other, `worksAt`.
    pub(crate) async fn over(store: Arc<dyn Store>, limits: Limits, options: EngineOptions) -> Self {
        let clock = Arc::new(HandClock::new(Timestamp::parse("2026-01-31T08:00:00Z").unwrap()));
        let engine = Engine::start(
            Arc::clone(&store),
            Arc::<HandClock>::clone(&clock) as Arc<dyn Clock>,
            limits,
            options,
        );
        let world = Self { engine, store, clock };
        world.source("clinics").await;
        world
    }

    pub(crate) async fn source(&self, name: &str) -> Source {
        let (source, _) = self.store.put_source(&key(name), self.clock.now()).await.unwrap();
        for (kind, name, definition) in [
            (
                DefinitionKind::Profile,
                "provider",
                json!({"properties": {
                    "name": {"type": "symbol", "rules": [{"required": true}]},
                    "practiceNumber": {"type": "integer"},
                    "specialities": {"type": "array", "items": {"type": "symbol"}},
                }}),
            ),
            (
                DefinitionKind::Profile,
                "part",
                json!({"type": "CONTAINED", "properties": {}}),
            ),
            (
                DefinitionKind::RelationshipDefinition,
                "worksWith",
                json!({
                    "from": {"profileKey": "provider", "includeKey": "worksWith", "includeCardinality": "0:*"},
                    "to": {"profileKey": "provider", "includeKey": "workedWithBy", "includeCardinality": "0:*"},
                }),
            ),
        ] {
            self.define(&source.key, kind, name, &definition).await.unwrap();
        }
        source
    }

    pub(crate) async fn define(
        &self,
        source: &Key,
        kind: DefinitionKind,
        name: &str,
        definition: &Value,
    ) -> Result<(), ErrorObject> {
        let json = Bytes::from(definition.to_string());
        self.engine
            .put_definition(source, kind, &key(name), json, Expected::Anything)
            .await?;
        Ok(())
    }

    /// Writes one record of the source `clinics`.
    pub(crate) async fn write(
        &self,
        target: TargetType,
        of_type: &str,
        change: Change,
        expected: Expected,
    ) -> Result<Persisted, ErrorObject> {
        let write = SingleWrite {
            source: key("clinics"),
            target,
            type_key: of_type.to_owned(),
            change,
            expected,
            once: None,
        };
        self.engine.write(self.engine.admit().unwrap(), write).await
    }

    /// Writes a resource of the source `clinics`, whatever is there.
    pub(crate) async fn write_resource(
        &self,
        of_type: &str,
        change: Change,
    ) -> Result<Persisted, ErrorObject> {
        self.write(TargetType::Resource, of_type, change, Expected::Anything)
            .await
    }

    /// Writes an edge of the source `clinics`, whatever is there.
    pub(crate) async fn write_edge(&self, of_type: &str, change: Change) -> Result<Persisted, ErrorObject> {
        self.write(TargetType::Relationship, of_type, change, Expected::Anything)
            .await
    }

    pub(crate) async fn bulk(&self, request: BulkRequest, body: &str) -> Result<Intake, ErrorObject> {
        self.engine.bulk(request, pieces(body)).await
    }

    /// Sends a request that is accepted.
    pub(crate) async fn accepted(&self, source: &str, body: &str) -> StoredTask {
        match self.bulk(request(source), body).await.unwrap() {
            Intake::Accepted(task) => *task,
            Intake::Valid { .. } | Intake::Replayed(_) => panic!("was to be stored"),
            Intake::Rejected(rejection) => panic!("rejected: {}", answer(*rejection)),
        }
    }

    pub(crate) async fn task(&self, task: &StoredTask) -> StoredTask {
        let source = self.source_of(task).await;
        self.store
            .task(&source, task.task.id.ksuid)
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits until the task has ended.
    pub(crate) async fn ended(&self, task: &StoredTask) -> StoredTask {
        loop {
            let now = self.task(task).await;
            if now.task.status != TaskStatus::Pending {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn receipts(&self, task: &StoredTask) -> Vec<Receipt> {
        self.store.receipts(task, 0, usize::MAX).await.unwrap()
    }

    pub(crate) async fn record(&self, source: &str, of_type: &str, id: &RecordId) -> Option<Record> {
        let source = self.store.source(&key(source)).await.unwrap().unwrap();
        let schema = self.engine.schema(&source).await.unwrap();
        let number = schema
            .types
            .iter()
            .find(|t| t.key.as_str() == of_type)
            .unwrap()
            .number;
        self.store.record(&source, number, id).await.unwrap()
    }

    async fn source_of(&self, task: &StoredTask) -> Source {
        let sources = self.store.sources(None, usize::MAX).await.unwrap();
        sources
            .into_iter()
            .find(|source| source.number == task.source)
            .unwrap()
    }
}

pub(crate) fn request(source: &str) -> BulkRequest {
    BulkRequest {
        source: key(source),
        target: TargetType::Resource,
        format: BodyFormat::Json,
        validate_only: false,
        receipts: ReceiptsShown::All,
        body_bytes: None,
        once: None,
    }
}

/// A body that arrives in small pieces.
pub(crate) fn pieces(body: &str) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let size = (body.len() / 7).clamp(5, 16 * 1024);
    let starts: Vec<usize> = (0..body.len()).step_by(size).collect();
    stream::iter(starts).map(move |start| Ok(body.slice(start..body.len().min(start + size))))
}

/// The whole answer to a rejected request.
pub(crate) fn answer(mut rejection: Rejection) -> Value {
    let mut whole = Vec::new();
    while rejection.write_next(&mut whole).unwrap() {}
    serde_json::from_slice(&whole).unwrap()
}

pub(crate) fn rejected(outcome: Result<Intake, ErrorObject>) -> Value {
    match outcome.unwrap() {
        Intake::Rejected(rejection) => answer(*rejection),
        other => panic!("not rejected: {other:?}"),
    }
}

pub(crate) fn create(id: &str, name: &str) -> String {
    format!(r#"{{"action":"CREATE","create":{{"id":"{id}","type":"provider","data":{{"name":"{name}"}}}}}}"#)
}

pub(crate) fn bulk_of(operations: impl IntoIterator<Item = String>) -> String {
    let operations: Vec<String> = operations.into_iter().collect();
    format!("{{\"operations\":[{}]}}", operations.join(","))
}

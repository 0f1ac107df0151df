//! What the behaviours are told in: a source with a few types, operations by name, a clock that moves when it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use granary_core::decide::{Guard, Verdict};
use granary_core::error::ErrorType;
use granary_core::keys::ResourceId;
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::operation::{Operation, RecordId, TargetType, TypeRef};
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_core::schema::{DefinitionKind, Schema, accept};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;

use super::Fixture;
pub use super::ops::*;
use crate::{
    Budget, CheckedBatch, EdgeFilter, Lane, Purge, Record, Result, Source, Step, Store, StoredTask, Upload,
    Write, Written,
};

/// The JSON of a plain ROOT profile.
pub const PROFILE: &str = r#"{"properties":{"name":{"type":"symbol"}}}"#;
/// The JSON of a plain CONTAINED profile.
pub const CONTAINED_PROFILE: &str = r#"{"type":"CONTAINED","properties":{"name":{"type":"symbol"}}}"#;

/// The JSON of a relationship definition; a bounded end has room for one edge.
pub fn relationship(key: &str, from: (&str, bool), to: (&str, bool)) -> String {
    let end = |(profile, bounded): (&str, bool), side: &str| {
        let cardinality = if bounded { "0:1" } else { "0:*" };
        format!(
            r#"{{"profileKey":"{profile}","includeKey":"{key}{side}","includeCardinality":"{cardinality}"}}"#
        )
    };
    let properties = r#"{"name":{"type":"symbol"}}"#;
    format!(
        r#"{{"from":{},"to":{},"properties":{properties}}}"#,
        end(from, "Out"),
        end(to, "In")
    )
}

/// A source in a store, as a worker and a client of it see it.
pub struct World<S> {
    /// The store.
    pub store: S,
    /// The source.
    pub source: Source,
    /// Its types.
    pub types: Arc<[TypeRef]>,
    /// The revision of its definitions that `types` is of.
    pub revision: u64,
    clock: AtomicI64,
    serial: AtomicU64,
}

impl<S> World<S> {
    /// Another worker and client of the same source, with a store of its own.
    pub fn at(world: &World<impl Sized>, store: S) -> Self {
        // Ids that no other one gives.
        static WORLDS: AtomicU64 = AtomicU64::new(1);
        let World { serial, .. } = world.without_store();
        let serial = serial.into_inner() | WORLDS.fetch_add(1, Ordering::Relaxed) << 48;
        Self {
            store,
            serial: AtomicU64::new(serial),
            source: world.source.clone(),
            types: Arc::clone(&world.types),
            revision: world.revision,
            clock: AtomicI64::new(world.clock.load(Ordering::Relaxed)),
        }
    }

    /// What is known of the source, to go on with another.
    pub fn without_store(&self) -> World<()> {
        World {
            store: (),
            source: self.source.clone(),
            types: Arc::clone(&self.types),
            revision: self.revision,
            clock: AtomicI64::new(self.clock.load(Ordering::Relaxed)),
            serial: AtomicU64::new(self.serial.load(Ordering::Relaxed)),
        }
    }

    /// The next moment.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// An id for a task.
    pub fn task_id(&self, kind: TaskKind) -> TaskId {
        let mut bytes = [0; 20];
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        bytes[4..8].copy_from_slice(&self.source.number.to_be_bytes());
        bytes[12..].copy_from_slice(&serial.to_be_bytes());
        TaskId {
            kind,
            ksuid: Ksuid::from_bytes(bytes),
        }
    }

    /// The index of a type.
    pub fn type_index(&self, name: &str) -> u32 {
        let at = self.types.iter().position(|t| t.key.as_str() == name);
        at.unwrap_or_else(|| panic!("no type '{name}'")) as u32
    }

    /// The number of a type.
    pub fn number(&self, name: &str) -> u32 {
        self.types[self.type_index(name) as usize].number
    }

    /// Operations with their bodies.
    pub fn batch(&self, ops: &[Op]) -> CheckedBatch {
        let mut batch = CheckedBatch::default();
        for op in ops {
            batch.bodies.extend_from_slice(&op.body);
            batch.push(Operation {
                action: op.action,
                type_index: self.type_index(&op.type_key),
                id: op.id.clone(),
                hash: op.hash,
                meta: (!op.meta.is_empty()).then(|| Box::new(op.meta.clone())),
            });
        }
        batch
    }
}

impl<S: Store> World<S> {
    /// A source `garden` without definitions.
    pub async fn bare(store: S) -> Self {
        Self::bare_named(store, "garden").await
    }

    /// A source without definitions.
    pub async fn bare_named(store: S, source: &str) -> Self {
        let begin = Timestamp::from_millis(1_750_000_000_000);
        let (source, _) = store
            .put_source(&key(source), begin)
            .await
            .expect("a source is created");
        Self {
            store,
            source,
            types: Arc::new([]),
            revision: 0,
            clock: AtomicI64::new(begin.millis()),
            serial: AtomicU64::new(0),
        }
    }

    /// A source `garden` with the types of the suite: resources `person` and `place`; edges `livesIn` from a person,
    /// who has one at most, to a place; `partner` between two persons, one at most at either end; `knows` between
    /// persons without bounds.
    pub async fn new(store: S) -> Self {
        let mut world = Self::bare(store).await;
        world.define_types().await;
        world
    }

    /// The source `garden` as an earlier world left it.
    pub async fn found(store: S) -> Self {
        let mut world = Self::bare(store).await;
        // Past the ids and the moments of any earlier world.
        world.serial = AtomicU64::new(1 << 32);
        world.clock.fetch_add(1_000_000, Ordering::Relaxed);
        world.refresh().await;
        world
    }

    /// Stores the definitions of the suite.
    pub async fn define_types(&mut self) {
        for profile in ["person", "place"] {
            self.define(DefinitionKind::Profile, profile, PROFILE).await;
        }
        for (name, from, to) in [
            ("livesIn", ("person", true), ("place", false)),
            ("partner", ("person", true), ("person", true)),
            ("knows", ("person", false), ("person", false)),
        ] {
            let json = relationship(name, from, to);
            self.define(DefinitionKind::RelationshipDefinition, name, &json)
                .await;
        }
    }

    /// Stores a definition.
    pub async fn define(&mut self, kind: DefinitionKind, name: &str, json: &str) {
        let now = self.now();
        let seen = self.definitions().await;
        let vocabularies = self.store.terminology().vocabulary_heads().await;
        let vocabularies = vocabularies.expect("vocabularies are read");
        let accepted = accept(
            kind,
            &key(name),
            json.as_bytes(),
            &seen.list,
            &vocabularies.keys().cloned().collect(),
            &Limits::default(),
        );
        let accepted = accepted.unwrap_or_else(|error| panic!("the suite defines well: {error:?}"));
        self.store
            .put_definition(&self.source, &accepted, seen.revision, now)
            .await
            .expect("a definition is stored");
        self.refresh().await;
    }

    /// Deletes a definition by the definitions as they are.
    pub async fn undefine(&mut self, kind: DefinitionKind, name: &str) -> Result<()> {
        let seen = self.definitions().await.revision;
        let outcome = self
            .store
            .delete_definition(&self.source, kind, &key(name), seen)
            .await;
        self.refresh().await;
        outcome
    }

    /// Deletes all definitions, those that name others first.
    pub async fn undefine_all(&mut self) {
        for definition in self.definitions().await.list.into_iter().rev() {
            self.undefine(definition.kind, definition.key.as_str())
                .await
                .expect("a definition that nothing uses goes");
        }
    }

    /// The definitions as they are.
    pub async fn definitions(&self) -> crate::Definitions {
        self.store
            .definitions(&self.source)
            .await
            .expect("definitions are read")
    }

    /// Takes over the definitions as they are.
    pub async fn refresh(&mut self) {
        let definitions = self.definitions().await;
        let schema = Schema::compile(&definitions.list).expect("what was accepted compiles");
        self.types = schema.types().into();
        self.revision = definitions.revision;
    }

    /// The world after a reopen of its store; `None` where that keeps nothing.
    pub async fn reopened<F: Fixture<Store = S>>(self, fixture: &F) -> Option<Self> {
        let store = fixture.reopen(self.store).await?;
        Some(Self { store, ..self })
    }

    /// Begins an upload of operations on these.
    pub async fn begin(&self, target: TargetType) -> Result<Box<dyn Upload>> {
        let id = self.task_id(TaskKind::Bulk);
        self.store
            .begin_upload(&self.source, id, target, Arc::clone(&self.types))
            .await
    }

    /// Begins an upload and pushes these operations.
    pub async fn upload(&self, ops: &[Op]) -> Result<Box<dyn Upload>> {
        let mut upload = self.begin(target_of(ops)).await?;
        upload.push(self.batch(ops)).await?;
        Ok(upload)
    }

    /// Accepts a bulk request.
    pub async fn accept(&self, ops: &[Op]) -> StoredTask {
        let upload = self.upload(ops).await.expect("operations are spooled");
        let now = self.now();
        upload
            .accept(self.revision, now)
            .await
            .expect("a request is accepted")
    }

    /// Accepts a bulk request and applies it and all that waits. The task as it ended.
    pub async fn bulk(&self, ops: &[Op]) -> StoredTask {
        let task = self.accept(ops).await;
        self.apply_all(WHOLE).await;
        let task = self.task(&task).await;
        assert!(task.task.completed_at.is_some(), "the task has ended: {task:?}");
        task
    }

    /// Accepts a purge of a type.
    pub async fn accept_purge(&self, name: &str) -> StoredTask {
        let purge = Purge {
            source: self.source.clone(),
            task_id: self.task_id(TaskKind::Purge),
            of_type: self.types[self.type_index(name) as usize].clone(),
            definitions_revision: self.revision,
            idempotent: None,
        };
        let now = self.now();
        let accepted = self.store.accept_purge(purge, now).await;
        accepted.expect("a purge is accepted")
    }

    /// Cancels a task.
    pub async fn cancel(&self, task: &StoredTask) -> Result<StoredTask> {
        let now = self.now();
        self.store.cancel(&self.source, task.task.id.ksuid, now).await
    }

    /// The ids of the resources that have an identifier, in pages of this size.
    pub async fn identified(&self, name: &str, notation: &str, page: usize) -> Vec<String> {
        let (number, wanted) = (self.number(name), triple(notation));
        let mut all: Vec<String> = Vec::new();
        loop {
            let after = all.last().map(|id| rid(id));
            let next = self
                .store
                .identified(&self.source, number, &wanted, after.as_ref(), page)
                .await;
            let next = next.expect("resources are found by an identifier");
            if next.is_empty() {
                return all;
            }
            all.extend(ids(&next));
        }
    }

    /// Applies what waits in any lane.
    pub async fn apply_all(&self, budget: Budget) {
        while let Some(lane) = self.claim().await {
            self.drain(&lane, budget).await;
            self.store.release_lane(lane).await;
        }
        self.settle().await;
    }

    /// Applies what waits in a lane.
    pub async fn drain(&self, lane: &Lane, budget: Budget) {
        while let Step::Applied(_) | Step::Tidied = self.step(lane, budget).await {}
    }

    /// Applies one chunk.
    pub async fn step(&self, lane: &Lane, budget: Budget) -> Step {
        let now = self.now();
        self.store
            .apply_chunk(lane, budget, now)
            .await
            .expect("a chunk is applied")
    }

    /// Claims a lane.
    pub async fn claim(&self) -> Option<Lane> {
        self.store.claim_lane().await.expect("lanes can be asked for")
    }

    /// Waits until all that was applied is shown: a refusal answers only when what it was decided on is.
    pub async fn settle(&self) {
        let Some(of_type) = self.types.iter().find(|of_type| of_type.edge.is_none()) else {
            return;
        };
        let refused = self
            .write(&[delete(of_type.key.as_str(), "nobody-has-this-id")])
            .await;
        assert!(
            matches!(&refused, Written::Refused(_)),
            "nobody has this id: {refused:?}"
        );
    }

    /// The bytes that are spooled.
    pub async fn spooled(&self) -> u64 {
        let spooled = self.store.spooled_bytes().await;
        spooled.expect("spooled bytes are counted")
    }

    /// The operations that wait: those of the task that is next, and all.
    pub async fn waiting(&self) -> (u64, u64) {
        let next = self.store.operations_waiting(Some(&self.source)).await;
        let all = self.store.operations_waiting(None).await;
        let counted = "waiting operations are counted";
        (next.expect(counted), all.expect(counted))
    }

    /// A single write, or a bundle where there are several operations.
    pub async fn try_write(&self, ops: &[Op]) -> Result<Written> {
        self.try_guarded(ops, None).await
    }

    /// The same, where the caller expects something of the first record.
    pub async fn try_guarded(&self, ops: &[Op], guard: Option<Guard>) -> Result<Written> {
        self.try_at(ops, guard, self.now()).await
    }

    /// The same at this moment.
    pub async fn try_at(&self, ops: &[Op], guard: Option<Guard>, now: Timestamp) -> Result<Written> {
        let single = ops.len() == 1;
        let kind = if single {
            TaskKind::Single
        } else {
            TaskKind::Bundle
        };
        let write = Write {
            source: self.source.clone(),
            task_id: self.task_id(kind),
            target_type: single.then(|| target_of(ops)),
            types: Arc::clone(&self.types),
            batch: self.batch(ops),
            definitions_revision: self.revision,
            versions: None,
            idempotent: None,
            guard,
        };
        self.store.write(write, now).await
    }

    /// The same, where the store does not refuse to look at it.
    pub async fn write(&self, ops: &[Op]) -> Written {
        self.try_write(ops).await.expect("a write is decided")
    }

    /// The same, where every operation succeeds.
    pub async fn put(&self, ops: &[Op]) -> Vec<Option<Record>> {
        match self.write(ops).await {
            Written::Persisted { records, .. } => records,
            Written::Refused(verdicts) => panic!("refused: {verdicts:?}"),
        }
    }

    /// The same, where it is refused.
    pub async fn refused(&self, ops: &[Op]) -> Vec<Verdict> {
        match self.write(ops).await {
            Written::Refused(verdicts) => verdicts,
            persisted => panic!("not refused: {persisted:?}"),
        }
    }

    /// A record by its type and id.
    pub async fn record(&self, name: &str, id: &RecordId) -> Option<Record> {
        self.store
            .record(&self.source, self.number(name), id)
            .await
            .expect("a record is read")
    }

    /// The body of a resource, as text.
    pub async fn body(&self, name: &str, id: &str) -> Option<Vec<u8>> {
        self.record(name, &resource(id))
            .await
            .map(|record| record.body.to_vec())
    }

    /// All resources of a type, in pages of this size.
    pub async fn resources(&self, name: &str, page: usize) -> Vec<Record> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map(|record| match &record.id {
                RecordId::Resource(id) => id.clone(),
                edge => panic!("an edge in a list of resources: {edge}"),
            });
            let number = self.number(name);
            let next = self
                .store
                .resources(&self.source, number, after.as_ref(), page)
                .await;
            let next = next.expect("resources are listed");
            assert!(next.len() <= page, "a page holds at most its limit");
            if next.is_empty() {
                return all;
            }
            all.extend(next);
        }
    }

    /// All edges of a type that pass a filter, in pages of this size.
    pub async fn edges(&self, name: &str, filter: &EdgeFilter, page: usize) -> Vec<Record> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map(|record| ends(&record.id));
            let number = self.number(name);
            let after = after.as_ref().map(|(from, to)| (from, to));
            let next = self
                .store
                .relationships(&self.source, number, filter, after, page)
                .await;
            let next = next.expect("edges are listed");
            assert!(next.len() <= page, "a page holds at most its limit");
            if next.is_empty() {
                return all;
            }
            all.extend(next);
        }
    }

    /// The ids of all edges of a type.
    pub async fn edge_ids(&self, name: &str) -> Vec<String> {
        ids(&self.edges(name, &EdgeFilter::default(), 100).await)
    }

    /// A task as it is now.
    pub async fn task(&self, task: &StoredTask) -> StoredTask {
        let found = self.store.task(&self.source, task.task.id.ksuid).await;
        found.expect("a task is read").expect("the task is there")
    }

    /// All receipts of a task.
    pub async fn receipts(&self, task: &StoredTask) -> Vec<Receipt> {
        self.store
            .receipts(task, 0, usize::MAX)
            .await
            .expect("receipts are read")
    }

    /// What became of the operations of a bulk request that is applied now, as [`codes`].
    pub async fn outcome(&self, ops: &[Op]) -> Vec<u16> {
        codes(&self.receipts(&self.bulk(ops).await).await)
    }
}

/// What became of operations: 200, 304 for an unchanged upsert, 102 where it is not decided, 499 where it never will be, else the error's code.
pub fn codes(receipts: &[Receipt]) -> Vec<u16> {
    let code = |receipt: &Receipt| match (receipt.status, &receipt.error) {
        (ReceiptStatus::Success, None) if receipt.unchanged => 304,
        (ReceiptStatus::Success, None) => 200,
        (ReceiptStatus::Pending, None) => 102,
        (ReceiptStatus::Cancelled, None) => 499,
        (ReceiptStatus::Failure, Some(error)) => error.code,
        _ => panic!("a receipt that contradicts itself: {receipt:?}"),
    };
    receipts.iter().map(code).collect()
}

/// The same for verdicts.
pub fn verdict_codes(verdicts: &[Verdict]) -> Vec<u16> {
    let code = |verdict: &Verdict| match verdict {
        Verdict::Success { unchanged: false } => 200,
        Verdict::Success { unchanged: true } => 304,
        Verdict::Failure(error) => {
            assert_ne!(error.error_type, ErrorType::Internal, "{error:?}");
            error.code
        }
    };
    verdicts.iter().map(code).collect()
}

/// The ids of records.
pub fn ids(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.id.to_string()).collect()
}

/// Both ends of an edge.
pub fn ends(id: &RecordId) -> (ResourceId, ResourceId) {
    match id {
        RecordId::Relationship { from, to } => (from.clone(), to.clone()),
        RecordId::Resource(id) => panic!("a resource among edges: {id}"),
    }
}

fn target_of(ops: &[Op]) -> TargetType {
    ops.first().map_or(TargetType::Resource, |op| op.id.target_type())
}

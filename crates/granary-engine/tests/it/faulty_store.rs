//! A store that does what another does, and tells a test of each chunk before it is applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::memory::MemoryStore;
use granary_store::{
    Access, Budget, Definitions, EdgeFilter, Figure, FirstAnswer, KeptDefinition, Lane, Purge, Record,
    RemovedTask, RequestName, Result, Retention, Retired, SentOperation, Source, SourceSnapshot, Step, Store,
    StoreLimits, Stored, StoredTask, TaskFilter, Terminology, Upload, Write, Written,
};
use tokio::sync::Notify;

/// What happens before a chunk is applied: it may fail instead, or panic.
pub(crate) type BeforeChunk = dyn Fn(&Lane, Budget) -> Result<()> + Send + Sync;
/// What happens before a lane is claimed.
pub(crate) type BeforeClaim = dyn Fn() -> Result<()> + Send + Sync;
/// What happens before an operation is failed untried.
pub(crate) type BeforeFailing = dyn Fn(&Lane) -> Result<()> + Send + Sync;

pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) before_chunk: Box<BeforeChunk>,
    pub(crate) before_claim: Box<BeforeClaim>,
    pub(crate) before_failing: Box<BeforeFailing>,
    /// Says of the lane that is claimed next that its holders vanished.
    pub(crate) suspects_next: AtomicBool,
    /// Removing tasks waits for somebody who reads them, for ever; told of each time it begins to.
    pub(crate) retiring_waits: Option<Arc<Notify>>,
    /// Another process may have accepted work.
    pub(crate) elsewhere: Arc<Notify>,
}

impl FaultyStore {
    /// One without faults, over the reference store.
    pub(crate) fn sound() -> Self {
        Self {
            inner: Arc::new(MemoryStore::new(StoreLimits::from(&Limits::default()))),
            before_chunk: Box::new(|_, _| Ok(())),
            before_claim: Box::new(|| Ok(())),
            before_failing: Box::new(|_| Ok(())),
            suspects_next: AtomicBool::new(false),
            retiring_waits: None,
            elsewhere: Arc::default(),
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn hash_key(&self) -> [u8; 16] {
        self.inner.hash_key()
    }

    fn terminology(&self) -> &dyn Terminology {
        self.inner.terminology()
    }

    fn access(&self) -> &dyn Access {
        self.inner.access()
    }

    async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        self.inner.put_source(key, now).await
    }

    async fn source(&self, key: &Key) -> Result<Option<Source>> {
        self.inner.source(key).await
    }

    async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>> {
        self.inner.sources(after, limit).await
    }

    async fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        self.inner.delete_source(source, purge).await
    }

    async fn free_space(&self, rows: usize) -> Result<bool> {
        self.inner.free_space(rows).await
    }

    async fn definitions(&self, source: &Source) -> Result<Definitions> {
        self.inner.definitions(source).await
    }

    async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        self.inner.put_definition(source, definition, seen, now).await
    }

    async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        self.inner.delete_definition(source, kind, key, seen).await
    }

    async fn snapshot(&self, source: &Source, held_max: Duration) -> Result<Box<dyn SourceSnapshot>> {
        self.inner.snapshot(source, held_max).await
    }

    async fn restore_definitions(&self, source: &Source, definitions: &[KeptDefinition]) -> Result<()> {
        self.inner.restore_definitions(source, definitions).await
    }

    async fn begin_upload(
        &self,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Box<dyn Upload>> {
        self.inner.begin_upload(source, task_id, target_type, types).await
    }

    async fn accept_purge(&self, purge: Purge, now: Timestamp) -> Result<StoredTask> {
        self.inner.accept_purge(purge, now).await
    }

    async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        self.inner.cancel(source, id, now).await
    }

    async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        self.inner.first_answer(source, name, kept_since).await
    }

    async fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Retired> {
        if let Some(waits) = &self.retiring_waits {
            waits.notify_one();
            return std::future::pending().await;
        }
        self.inner.retire_tasks(kept, now, rows).await
    }

    async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        self.inner.removed_task(source, id).await
    }

    async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        self.inner.forget_answers(kept_since, limit).await
    }

    async fn claim_lane(&self) -> Result<Option<Lane>> {
        (self.before_claim)()?;
        let lane = self.inner.claim_lane().await?;
        let suspects = self.suspects_next.swap(false, Ordering::Relaxed);
        Ok(lane.map(|lane| Lane {
            taken_over: lane.taken_over || suspects,
            suspect: lane.suspect || suspects,
            ..lane
        }))
    }

    async fn work_elsewhere(&self) {
        self.elsewhere.notified().await;
    }

    async fn release_lane(&self, lane: Lane) {
        self.inner.release_lane(lane).await;
    }

    async fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        (self.before_chunk)(lane, budget)?;
        self.inner.apply_chunk(lane, budget, now).await
    }

    async fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step> {
        (self.before_failing)(lane)?;
        self.inner.fail_operation(lane, error, now).await
    }

    async fn write(&self, write: Write, now: Timestamp) -> Result<Written> {
        self.inner.write(write, now).await
    }

    async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        self.inner.records(source, wanted).await
    }

    async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner.resources(source, number, after, limit).await
    }

    async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner
            .identified(source, number, identifier, after, limit)
            .await
    }

    async fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner
            .relationships(source, number, filter, after, limit)
            .await
    }

    async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        self.inner.task(source, id).await
    }

    async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        self.inner.tasks(source, filter, before, limit).await
    }

    async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        self.inner.receipts(task, from, limit).await
    }

    async fn operations(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        self.inner.operations(task, wanted).await
    }

    async fn spooled_bytes(&self) -> Result<u64> {
        self.inner.spooled_bytes().await
    }

    async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        self.inner.operations_waiting(next_of).await
    }

    fn figures(&self) -> Vec<Figure> {
        self.inner.figures()
    }

    async fn check_writable(&self) -> Result<()> {
        self.inner.check_writable().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

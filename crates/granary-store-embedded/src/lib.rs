//! The embedded store: one machine, one folder, one process.
//!
//! Two parts, one truth. fjall holds all that decides: heads, edges, tasks, receipts, the catalog. *Segments*, the
//! immutable files that a bulk request is spooled to, hold the bodies: they are written once, when the request is
//! accepted, and applying it writes heads that point into them. Bodies of single writes and of small requests are in
//! fjall too. fjall alone says what is true: a segment that no row names is not there, and is removed at the next start.
//!
//! Every write of a source holds the lock of its lane from reading what it decides on to its commit. See `sync` for
//! when it becomes durable and visible.
//!
//! Large chunks put their heads into the tree as sorted runs; `runs.rs` says how that and the batch are one step.
//!
//! What fjall would take without a word is looked at before it opens (`journal`, `numbered`), and an operation that ends
//! the process is not tried for ever (`trials`).
//!
//! Bodies that no head points to any more are removed in the background: `collect` says how, and when.

mod access;
mod answers;
mod appliers;
mod apply;
mod bodies;
mod catalog;
mod check;
mod collect;
mod counts;
mod effects;
mod figures;
mod format;
mod journal;
mod keys;
mod lanes;
mod marks;
mod neighbours;
mod numbered;
mod numbers;
mod open;
mod purge;
mod read;
mod redo;
mod retention;
mod rows;
mod runs;
mod segment;
mod sent;
mod snapshot;
mod space;
mod sync;
mod terminology;
mod trials;
mod upload;
mod writes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use fjall::{Database, Keyspace};
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{
    Access, Budget, Definitions, EdgeFilter, Figure, FirstAnswer, KeptDefinition, Lane, Purge, Record,
    RemovedTask, RequestName, Result, Retention, Retired, SentOperation, Source, SourceSnapshot, Step, Store,
    StoreError, StoreLimits, Stored, StoredTask, TaskFilter, Terminology, Upload, Write, Written,
};

pub use collect::{CollectStep, Collection, CollectionFigures};
pub use format::{FORMAT_VERSION, OpenError};
pub use open::OPEN_FILES_MAX;
pub use runs::{RunStep, Runs};

use crate::appliers::Appliers;
use crate::catalog::SourceState;
use crate::collect::Collector;
use crate::lanes::LaneTable;
use crate::numbered::CommitNumbers;
use crate::numbers::Numbers;
use crate::read::BlockCache;
use crate::segment::Segment;
use crate::sync::Syncer;

/// The store in one folder. Cloning it gives another handle to the same store.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
    appliers: Arc<Appliers>,
    // Ends with the last handle, and with it the hold of its thread on what is inside.
    _collector: Arc<Collector>,
}

/// The keyspaces of the database.
struct Keyspaces {
    catalog: Keyspace,
    heads: Keyspace,
    bodies: Keyspace,
    meta: Keyspace,
    identifiers: Keyspace,
    marks: Keyspace,
    edges: Keyspace,
    edges_in: Keyspace,
    tasks: Keyspace,
    task_ids: Keyspace,
    lanes: Keyspace,
    spool: Keyspace,
    receipts: Keyspace,
    segments: Keyspace,
    counts: Keyspace,
    answers: Keyspace,
    answers_by_time: Keyspace,
    vocabularies: Keyspace,
    concepts: Keyspace,
    keys: Keyspace,
    commits: Keyspace,
    removed: Keyspace,
    trials: Keyspace,
}

struct Inner {
    limits: StoreLimits,
    runs: Runs,
    // Before the database, so that its last sync comes before the database closes.
    sync: Syncer,
    commits: Arc<CommitNumbers>,
    db: Database,
    keyspaces: Keyspaces,
    hash_key: [u8; 16],
    next_source: Mutex<u32>,
    sources: RwLock<BTreeMap<Key, Arc<SourceState>>>,
    terminology: terminology::State,
    access: access::State,
    lanes: Mutex<LaneTable>,
    numbers: Numbers,
    segments: RwLock<HashMap<u32, Arc<Segment>>>,
    blocks: BlockCache,
    spooled: AtomicU64,
    closed: AtomicBool,
    dead: Mutex<VecDeque<space::DeadSource>>,
    retiring: Mutex<retention::Retiring>,
    collection: collect::State,
    // Last, so that the folder is free when all else is closed.
    folder: format::Folder,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, or makes one there. Blocks for as long as the journal takes to be read.
    pub fn open(folder: &Path, limits: StoreLimits) -> std::result::Result<Self, OpenError> {
        Self::open_with(folder, limits, Runs::default(), Collection::default())
    }

    /// The same, with runs and with a collection of another kind.
    pub fn open_with(
        folder: &Path,
        limits: StoreLimits,
        runs: Runs,
        collection: Collection,
    ) -> std::result::Result<Self, OpenError> {
        let inner = Arc::new(Inner::open(folder, limits, runs, collection)?);
        let appliers = Appliers::start().map_err(|error| inner.folder.io(error))?;
        let collector = Collector::start(&inner).map_err(|error| inner.folder.io(error))?;
        Ok(Self {
            inner,
            appliers: Arc::new(appliers),
            _collector: Arc::new(collector),
        })
    }

    /// Collects what is to be collected now; returns when that is done.
    pub async fn collect(&self) -> Result<CollectionFigures> {
        self.run(|inner| inner.collect(false)).await
    }

    /// What collection has done since the store was opened.
    pub fn collection_figures(&self) -> CollectionFigures {
        self.inner.collection_figures()
    }

    /// Runs disk work off the threads that serve connections. It runs to its end even where the caller has gone.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        run_blocking(move || work(&inner)).await
    }

    /// The same for a read of a source: one that was deleted meanwhile loses its segments, and is not damaged.
    async fn read<T: Send + 'static>(
        &self,
        source: &Source,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.run(work).await {
            Err(StoreError::Damaged(what)) => {
                self.inner.state_of(source)?;
                Err(StoreError::Damaged(what))
            }
            done => done,
        }
    }
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::Unavailable("the server is stopping".into())),
    }
}

/// A lock whose holder may have panicked: what it protects changes only after a commit, so it is whole all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fjall refuses is out of the caller's hands.
fn engine(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Storage(fjall::LsmError::Io(error)) => io(error),
        fjall::Error::Storage(_) | fjall::Error::Decompress(_) | fjall::Error::InvalidTag(_) => {
            StoreError::Damaged(error.to_string())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

impl Inner {
    /// Commits a batch. Where that fails the store takes no more writes, and says so when it is asked.
    fn commit(&self, batch: fjall::OwnedWriteBatch) -> Result<()> {
        let _gate = self.sync.pass_gate();
        self.commits.commit(batch).map_err(|error| {
            self.sync.fail(&error);
            engine(error)
        })
    }
}

/// A lane for the time of a call.
fn same(lane: &Lane) -> Lane {
    Lane {
        source: lane.source.clone(),
        last: lane.last.clone(),
        ..*lane
    }
}

fn io(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[async_trait]
impl Store for EmbeddedStore {
    fn hash_key(&self) -> [u8; 16] {
        self.inner.hash_key
    }

    fn terminology(&self) -> &dyn Terminology {
        self
    }

    fn access(&self) -> &dyn Access {
        self
    }

    async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        let key = key.clone();
        self.run(move |inner| inner.put_source(&key, now)).await
    }

    async fn source(&self, key: &Key) -> Result<Option<Source>> {
        Ok(self.inner.sources().get(key).map(|state| state.source.clone()))
    }

    async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>> {
        let sources = self.inner.sources();
        let all = sources.values().map(|state| &state.source);
        Ok(all
            .filter(|source| after.is_none_or(|after| source.key > *after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        let source = source.clone();
        self.run(move |inner| inner.delete_source(&source, purge)).await
    }

    async fn free_space(&self, rows: usize) -> Result<bool> {
        self.run(move |inner| inner.free_space(rows)).await
    }

    async fn definitions(&self, source: &Source) -> Result<Definitions> {
        Ok(self.inner.state_of(source)?.definitions().as_ref().clone())
    }

    fn operations_at_once_max(&self) -> u64 {
        self.inner.runs.operations as u64
    }

    async fn definitions_revision(&self, source: &Source) -> Result<u64> {
        Ok(self.inner.state_of(source)?.definitions().revision)
    }

    async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        let (source, definition) = (source.clone(), definition.clone());
        self.run(move |inner| inner.put_definition(&source, &definition, seen, now))
            .await
    }

    async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        let (source, key) = (source.clone(), key.clone());
        self.run(move |inner| inner.delete_definition(&source, kind, &key, seen))
            .await
    }

    async fn snapshot(&self, source: &Source, _held_max: Duration) -> Result<Box<dyn SourceSnapshot>> {
        let (inner, source) = (Arc::clone(&self.inner), source.clone());
        run_blocking(move || {
            let snapshot = snapshot::EmbeddedSnapshot::of(&inner, &source)?;
            Ok(Box::new(snapshot) as Box<dyn SourceSnapshot>)
        })
        .await
    }

    async fn restore_definitions(&self, source: &Source, definitions: &[KeptDefinition]) -> Result<()> {
        let (source, definitions) = (source.clone(), definitions.to_vec());
        self.run(move |inner| inner.restore_definitions(&source, &definitions))
            .await
    }

    async fn begin_upload(
        &self,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Box<dyn Upload>> {
        let (inner, source) = (Arc::clone(&self.inner), source.clone());
        run_blocking(move || {
            let upload = upload::EmbeddedUpload::begin(&inner, &source, task_id, target_type, types)?;
            Ok(Box::new(upload) as Box<dyn Upload>)
        })
        .await
    }

    async fn accept_purge(&self, purge: Purge, now: Timestamp) -> Result<StoredTask> {
        self.run(move |inner| inner.accept_purge(&purge, now)).await
    }

    async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        let source = source.clone();
        self.run(move |inner| inner.cancel(&source, id, now)).await
    }

    async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        let (source, name) = (source.clone(), name.clone());
        self.run(move |inner| inner.first_answer(&source, &name, kept_since))
            .await
    }

    async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        self.run(move |inner| inner.forget_answers(kept_since, limit))
            .await
    }

    async fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Retired> {
        let kept = *kept;
        self.run(move |inner| inner.retire_tasks(&kept, now, rows)).await
    }

    async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        let source = source.clone();
        self.run(move |inner| inner.removed_task(&source, id)).await
    }

    async fn claim_lane(&self) -> Result<Option<Lane>> {
        Ok(self.inner.claim_lane())
    }

    async fn release_lane(&self, lane: Lane) {
        let released = self.run(move |inner| {
            inner.release_lane(&lane);
            Ok(())
        });
        // It fails only where the runtime is stopping, and with it this process's hold on the lane.
        let _ = released.await;
    }

    async fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        let (inner, lane) = (Arc::clone(&self.inner), same(lane));
        self.appliers
            .run(move || inner.apply_chunk(&lane, budget, now))
            .await
    }

    async fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step> {
        let lane = same(lane);
        self.run(move |inner| inner.fail_operation(&lane, error, now))
            .await
    }

    async fn write(&self, write: Write, now: Timestamp) -> Result<Written> {
        self.carried_out(write, now).await
    }

    async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        let (of, wanted) = (source.clone(), wanted.to_vec());
        self.read(source, move |inner| inner.records(&of, &wanted)).await
    }

    async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let (source, after) = (source.clone(), after.cloned());
        self.read(&source.clone(), move |inner| {
            inner.resources(&source, number, after.as_ref(), limit)
        })
        .await
    }

    async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let (source, identifier, after) = (source.clone(), identifier.clone(), after.cloned());
        self.read(&source.clone(), move |inner| {
            inner.identified(&source, number, &identifier, after.as_ref(), limit)
        })
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
        let (source, filter) = (source.clone(), filter.clone());
        let after = after.map(|(from, to)| (from.clone(), to.clone()));
        self.read(&source.clone(), move |inner| {
            inner.relationships(&source, number, &filter, after, limit)
        })
        .await
    }

    async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        let source = source.clone();
        self.run(move |inner| inner.task(&source, id)).await
    }

    async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        let (source, filter) = (source.clone(), filter.clone());
        self.run(move |inner| inner.tasks(&source, &filter, before, limit))
            .await
    }

    async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        let (task, source, id) = (task.clone(), task.source, task.task.id);
        match self.run(move |inner| inner.receipts(&task, from, limit)).await {
            // As in `read`.
            Err(StoreError::Damaged(_)) if self.inner.source_numbered(source).is_none() => {
                Err(StoreError::task_gone(id))
            }
            done => done,
        }
    }

    async fn operations(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        let (task, source, id) = (task.clone(), task.source, task.task.id);
        let wanted = wanted.to_vec();
        match self.run(move |inner| inner.sent(&task, &wanted)).await {
            // As in `read`.
            Err(StoreError::Damaged(_)) if self.inner.source_numbered(source).is_none() => {
                Err(StoreError::task_gone(id))
            }
            done => done,
        }
    }

    async fn spooled_bytes(&self) -> Result<u64> {
        Ok(self.inner.spooled.load(Ordering::Relaxed))
    }

    async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        let next_of = next_of.cloned();
        self.run(move |inner| inner.operations_waiting(next_of.as_ref()))
            .await
    }

    fn figures(&self) -> Vec<Figure> {
        self.inner.figures()
    }

    async fn check_writable(&self) -> Result<()> {
        self.inner.check_open()
    }

    async fn close(&self) -> Result<()> {
        self.run(|inner| {
            inner.closed.store(true, Ordering::SeqCst);
            inner.collection.stop();
            inner.forget_trials()?;
            inner.sync.wait(inner.sync.last_commit())
        })
        .await
    }
}

//! What a store must do, as transactions and not as keys: every change of a source is one of the few calls of
//! [`Store`], and each is atomic, durable when it has returned (or, for a chunk, before anything shows it), and
//! retryable. The rules of what an operation does are `granary_core::decide`, called by every store between its reads
//! and its writes; no store has rules of its own.

mod access;
mod check;
mod error;
mod idempotency;
mod last;
pub mod memory;
mod packed;
mod progress;
mod receipts;
mod record;
mod retention;
mod sent;
mod snapshot;
#[cfg(feature = "suite")]
pub mod suite;
mod task;
mod terminology;
mod upload;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use granary_core::decide::{Guard, Verdict};
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, Schema, StoredDefinition};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;

pub use access::{Access, StoredKeys};
pub use check::{CheckReport, CheckRules, Finding};
pub use error::{Result, StoreError};
pub use idempotency::{FirstAnswer, Idempotent, RequestName};
pub use last::LastChunk;
pub use packed::{pack, unpack};
pub use progress::{PurgeProgress, TaskProgress};
pub use receipts::{Decided, ReceiptsChunk};
pub use record::{PAGE_BYTES_MAX, Record, Weighed, may_go_on, take_page};
pub use retention::{RemovedTask, Retention, Retired};
pub use sent::SentOperation;
pub use snapshot::{KeptDefinition, SourceSnapshot};
pub use task::{StoredTask, TaskFilter};
pub use terminology::{
    StoredConcept, StoredVocabulary, Terminology, VocabularyHead, VocabularyHeads, bound_to, names_known,
};
pub use upload::{CheckedBatch, Upload};
pub use write::{only_used, written};

/// A source as the store knows it. Its number is never given twice, so a source that was deleted and created again
/// is another one: calls with the old number find nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its key.
    pub key: Key,
    /// Its number.
    pub number: u32,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a PUT did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// There was none.
    Created,
    /// There was one.
    Replaced,
}

/// The definitions of a source at one moment.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Grows with every change of any definition of the source.
    pub revision: u64,
    /// All of them, by kind and key.
    pub list: Vec<StoredDefinition>,
}

impl Definitions {
    /// Refuses operations of types that were deleted since they were checked, or replaced by what their records cannot
    /// be: a profile that is CONTAINED now, a relationship definition with other profiles at its ends.
    pub fn still_define(&self, types: &[TypeRef], used: impl IntoIterator<Item = u32>) -> Result<()> {
        let schema = Schema::compile(&self.list).map_err(|error| StoreError::Damaged(error.to_string()))?;
        let ends = |of_type: &TypeRef| {
            of_type
                .edge
                .as_ref()
                .map(|edge| (edge.from.number, edge.to.number))
        };
        for index in used {
            let checked_by = &types[index as usize];
            let same = |now: &&TypeRef| now.number == checked_by.number && ends(now) == ends(checked_by);
            if schema.types().iter().find(same).is_none() {
                return Err(StoreError::precondition(format!(
                    "type '{}' was deleted, or made another, while the request was on its way; look at its \
                     definition and send the request again",
                    checked_by.key
                )));
            }
        }
        Ok(())
    }
}

/// How much one chunk may hold; at least one operation always goes. `bytes` bounds what a store takes into memory: one
/// that applies operations without reading their bodies need not count them. A store that applies many operations at
/// once far more cheaply may take more of a large task, but of a budget of fewer than 256 operations never: so asks who
/// looks for the operation that is at fault.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Operations.
    pub operations: usize,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// A lane that this worker holds: the queue of bulk tasks of one source (see `ARCHITECTURE.md`). Holding it is a promise
/// not to waste work; that each operation is applied once rests on the cursor, which moves only from the place that
/// the worker read.
#[derive(Debug)]
pub struct Lane {
    /// The source.
    pub source: Source,
    /// Tells this holder from earlier ones.
    pub fence: u64,
    /// True where whoever held it before vanished, and may have been ended by an operation: few are to be applied at once,
    /// so that whoever comes next has few to suspect. A store that sees processes end for other reasons may wait for a
    /// second one.
    pub taken_over: bool,
    /// True where they vanished again and again without getting on: the next operation may be what ends them, so that
    /// they are to be applied one by one.
    pub suspect: bool,
    /// What its last chunk was of.
    pub last: LastChunk,
}

/// What one call of [`Store::apply_chunk`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Applied so many operations; there is more to do.
    Applied(u64),
    /// Removed some of what is gone already, edges of resources that were deleted; there is more to do.
    Tidied,
    /// The lane has nothing left to do.
    Idle,
    /// The lane is no longer this worker's, or its source is gone.
    Lost,
}

/// A write outside of bulk tasks: one operation, or those of a bundle; all or nothing.
#[derive(Debug)]
pub struct Write {
    /// The source.
    pub source: Source,
    /// The task that it leaves if it persists.
    pub task_id: TaskId,
    /// What the operations are on; `None` for a bundle.
    pub target_type: Option<TargetType>,
    /// The types that the operations name by index.
    pub types: Arc<[TypeRef]>,
    /// The operations with their bodies.
    pub batch: CheckedBatch,
    /// The revision of the definitions that they were checked by.
    pub definitions_revision: u64,
    /// What the caller expects of the record that the first operation is on.
    pub guard: Option<Guard>,
    /// Where it is to be carried out once: [`StoreError::Answered`] where it was.
    pub idempotent: Option<Idempotent>,
    /// Where it puts records back: the version that each operation gives its record.
    pub versions: Option<Vec<u32>>,
}

/// The deletion of every record of a type.
#[derive(Clone, Debug)]
pub struct Purge {
    /// The source.
    pub source: Source,
    /// The task that it becomes.
    pub task_id: TaskId,
    /// The type.
    pub of_type: TypeRef,
    /// The revision of the definitions that the type was found in.
    pub definitions_revision: u64,
    /// As in [`Write`].
    pub idempotent: Option<Idempotent>,
}

/// What became of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Every operation succeeded.
    Persisted {
        /// For each operation the record as it is now, `None` where it was deleted.
        records: Vec<Option<Record>>,
        /// For each operation whether anything had to be written.
        verdicts: Vec<Verdict>,
    },
    /// Some failed, so none took effect.
    Refused(Vec<Verdict>),
}

/// Which edges a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeFilter {
    /// Only edges that start here.
    pub from: Option<ResourceId>,
    /// Only edges that end here.
    pub to: Option<ResourceId>,
}

impl EdgeFilter {
    /// True where an edge between these passes.
    pub fn admits(&self, from: &ResourceId, to: &ResourceId) -> bool {
        self.from.as_ref().is_none_or(|end| end == from) && self.to.as_ref().is_none_or(|end| end == to)
    }
}

/// A store: everything that granary keeps. See each call for what it promises.
///
/// Reads show only what is durable. What they answer together (a page, a task with its counts) is of one moment.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The secret key of content hashes and of the checksums in ids of contained resources, made when the store was.
    fn hash_key(&self) -> [u8; 16];

    /// Vocabularies and concepts, which belong to no source.
    fn terminology(&self) -> &dyn Terminology;

    /// API keys, which belong to no source.
    fn access(&self) -> &dyn Access;

    /// Creates the source `key`, or returns the one that exists.
    async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)>;

    /// The source `key`.
    async fn source(&self, key: &Key) -> Result<Option<Source>>;

    /// Sources in key order after `after`, at most `limit`.
    async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>>;

    /// Deletes a source. Without `purge` it must hold no definitions and no records, and its tasks must have ended. With
    /// it all goes: from then on the source is gone for everyone, its tasks with it.
    async fn delete_source(&self, source: &Source, purge: bool) -> Result<()>;

    /// Frees the space of what was deleted with its source, at most so many rows; false once nothing is left to free.
    async fn free_space(&self, rows: usize) -> Result<bool>;

    /// The definitions of a source.
    async fn definitions(&self, source: &Source) -> Result<Definitions>;

    /// The revision of the definitions of a source: what tells whether a compiled schema is still the one in force.
    async fn definitions_revision(&self, source: &Source) -> Result<u64> {
        Ok(self.definitions(source).await?.revision)
    }

    /// Stores a definition that was accepted beside the definitions of revision `seen`;
    /// [`StoreError::DefinitionsChanged`] when they are not the ones in force, or a vocabulary that it names is gone.
    async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)>;

    /// Deletes a definition; refused while a record of it exists or a task not yet ended names it. That no other
    /// definition names it, the caller has seen in the definitions of revision `seen`.
    async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()>;

    /// The source as it is at this moment, for as long as it is held, and no longer than `held_max`, when a store may take
    /// it away. Writes go on beside it.
    async fn snapshot(&self, source: &Source, held_max: Duration) -> Result<Box<dyn SourceSnapshot>>;

    /// Puts definitions back that were accepted beside each other, all in one step, into a source that holds nothing: no
    /// definitions, no records, no task that has not ended. `FAILED_PRECONDITION` where it does.
    async fn restore_definitions(&self, source: &Source, definitions: &[KeptDefinition]) -> Result<()>;

    /// Starts to spool a bulk request. Dropping the upload leaves nothing behind.
    async fn begin_upload(
        &self,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Box<dyn Upload>>;

    /// Accepts the deletion of every record of a type as a task of the lane. It spares what single writes and bundles
    /// write from then on. `definitions_revision` as in [`Upload::accept`].
    async fn accept_purge(&self, purge: Purge, now: Timestamp) -> Result<StoredTask>;

    /// Cancels a task of the lane: what is decided by now stays, all else of it never takes effect. Returns when that is
    /// durable; `NOT_FOUND` where there is no such task, `FAILED_PRECONDITION` where it has ended.
    async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask>;

    /// What was answered to the first request of this name, unless that was before `kept_since`.
    async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>>;

    /// Forgets answers that were given before `kept_since`, at most so many; false once none is left. Such ones are not
    /// found any more, forgotten or not.
    async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool>;

    /// Removes tasks that are kept no longer, and forgets those that were removed long ago: some of it, with so many rows
    /// at the most, or little more. A task is gone in one step, and what it held goes in the steps that follow, over
    /// restarts. Single writes and bundles leave nothing, bulk tasks and purges that they were there.
    async fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Retired>;

    /// The bulk task or purge with this id that was removed, while that is known.
    async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>>;

    /// So many operations a chunk may have though its budget says fewer: where whoever held a lane has vanished, one of so many
    /// may be why.
    fn operations_at_once_max(&self) -> u64 {
        0
    }

    /// Takes a lane that has work and that nobody holds, the one that waits longest.
    async fn claim_lane(&self) -> Result<Option<Lane>>;

    /// Returns when another process that shares the store may have accepted work for its lanes: a hint and never a
    /// promise; workers look by themselves every so often. It is called again once it has returned; a store that knows
    /// of no others never returns.
    async fn work_elsewhere(&self) {
        std::future::pending().await
    }

    /// Gives a lane back; where it has work left it waits behind the others.
    async fn release_lane(&self, lane: Lane);

    /// Applies the next operations of the lane: effects, receipts and cursor in one transaction.
    async fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step>;

    /// Gives the next operation of the lane the receipt of a failure with this error, without trying it, and moves the
    /// cursor over it. A purge has no operations and stays as it is: `Step::Applied(0)`. So does a lane that is still to
    /// remove edges of deleted resources ([`Step::Tidied`]), where what comes next is no operation, and one whose next
    /// operation is not the one that the last chunk panicked at: its task was cancelled since.
    async fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step>;

    /// Applies a write at once, between two chunks of its source, and returns when it is durable.
    /// [`StoreError::DefinitionsChanged`] when it was checked by definitions that are not in force.
    async fn write(&self, write: Write, now: Timestamp) -> Result<Written>;

    /// These records, each by the number of its type and its id, in their order and all of one moment.
    async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>>;

    /// One record of the type with this number.
    async fn record(&self, source: &Source, number: TypeNumber, id: &RecordId) -> Result<Option<Record>> {
        let found = self.records(source, &[(number, id.clone())]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Resources of a type in the byte order of their ids after `after`: at most `limit`, and fewer where their bodies
    /// reach [`PAGE_BYTES_MAX`]; see [`may_go_on`].
    async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>>;

    /// Resources of a type that have this identifier, in the byte order of their ids after `after`; pages as in
    /// [`Store::resources`].
    async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>>;

    /// Edges of a type in the byte order of `from`, then `to`, after `after`: at most `limit`, and fewer where their
    /// bodies reach [`PAGE_BYTES_MAX`]; see [`may_go_on`].
    async fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>>;

    /// One task.
    async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>>;

    /// Tasks, newest first, that were accepted before the one with the sequence number `before`, at most `limit`.
    async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>>;

    /// Receipts of a task as it stood when it was read, from the operation `from` on, at most `limit`; `NOT_FOUND`
    /// once its source is gone, or it was removed.
    async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>>;

    /// Operations of a task as they were accepted, those with these indices, which ascend: fewer where their bodies reach
    /// [`PAGE_BYTES_MAX`]; see [`may_go_on`]. Indices past the end are passed over, and a purge has none. Bodies of
    /// operations that are pending, and of those that failed or were cancelled, are there for as long as the store
    /// promises to keep them; all others may be gone. `NOT_FOUND` once its source is gone, or it
    /// was removed.
    async fn operations(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>>;

    /// Bytes that are spooled: uploads under way and tasks that have not ended.
    async fn spooled_bytes(&self) -> Result<u64>;

    /// Operations that are not decided yet: those of the task of this source that is next, or those of all tasks that
    /// have not ended. What a purge will delete is not known, and counts as none.
    async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64>;

    /// What the store tells of itself to whoever watches it: its own figures, by names of its own.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// Fails where the store takes no writes: it is closed, out of reach, or a write has failed for good.
    async fn check_writable(&self) -> Result<()>;

    /// Makes everything durable; the store takes no writes afterwards ([`StoreError::Unavailable`]), and may still read.
    async fn close(&self) -> Result<()>;
}

/// A figure that a store tells of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name in words joined by `_`, with its unit at the end where it has one, without that of the store.
    pub name: &'static str,
    /// What it is, without a full stop.
    pub help: &'static str,
    /// What it is now.
    pub value: FigureValue,
}

impl Figure {
    /// One that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        let value = FigureValue::Counter(value);
        Self { name, help, value }
    }

    /// One that comes and goes.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        let value = FigureValue::Gauge(value);
        Self { name, help, value }
    }
}

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FigureValue {
    /// It only grows.
    Counter(f64),
    /// It comes and goes.
    Gauge(f64),
}

/// Bounds of acceptance that a store enforces in its own transaction.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Bulk tasks of one source not yet ended.
    pub tasks_waiting_per_source: u64,
    /// Spooled bytes in all.
    pub spool_bytes: u64,
    /// Definitions of one source.
    pub definitions_per_source: u64,
    /// Vocabularies.
    pub vocabularies: u64,
    /// Concepts of one vocabulary.
    pub concepts_per_vocabulary: u64,
    /// What the codes of all concepts count.
    pub concept_code_bytes: u64,
    /// API keys.
    pub api_keys: u64,
}

impl From<&Limits> for StoreLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            tasks_waiting_per_source: limits.tasks_waiting_per_source,
            spool_bytes: limits.spool_bytes,
            definitions_per_source: limits.definitions_per_source,
            vocabularies: limits.vocabularies,
            concepts_per_vocabulary: limits.concepts_per_vocabulary,
            concept_code_bytes: limits.concept_code_bytes,
            api_keys: limits.api_keys,
        }
    }
}

impl StoreLimits {
    /// Refuses one more task where `waiting` wait already.
    pub fn admit_task(&self, waiting: u64) -> Result<()> {
        if waiting >= self.tasks_waiting_per_source {
            return Err(StoreError::exhausted(format!(
                "the source has {waiting} tasks waiting, which is the limit tasksWaitingPerSource"
            )));
        }
        Ok(())
    }

    /// Refuses more spooled bytes where `spooled` are spooled already.
    pub fn admit_bytes(&self, spooled: u64) -> Result<()> {
        if spooled > self.spool_bytes {
            return Err(StoreError::exhausted(format!(
                "spooled requests take more than the limit spoolBytes of {}",
                self.spool_bytes
            )));
        }
        Ok(())
    }

    /// Refuses one more definition where a source has `count` already.
    pub fn admit_definition(&self, count: usize) -> Result<()> {
        if count as u64 >= self.definitions_per_source {
            return Err(StoreError::Refused(ErrorObject::over_limit(
                "the number of definitions of the source",
                "definitionsPerSource",
                self.definitions_per_source,
            )));
        }
        Ok(())
    }
}

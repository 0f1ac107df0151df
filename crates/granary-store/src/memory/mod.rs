//! The reference store: everything in maps behind one lock. It is the oracle of the tests and keeps nothing.

mod access;
mod definitions;
mod retention;
mod snapshot;
mod source;
mod terminology;
mod upload;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use granary_core::decide::Verdict;
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;

use crate::{
    Access, Budget, CheckedBatch, Definitions, EdgeFilter, FirstAnswer, KeptDefinition, Lane, LastChunk,
    Purge, Record, RemovedTask, RequestName, Result, Retention, Retired, SentOperation, Source,
    SourceSnapshot, Step, Store, StoreError, StoreLimits, Stored, StoredTask, TaskFilter, Terminology,
    Upload, Write, Written, take_page,
};

use source::{SourceState, TaskState};

/// The reference store.
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

struct State {
    limits: StoreLimits,
    sources: BTreeMap<Key, SourceState>,
    next_source: u32,
    /// Numbers of sources whose lanes have work and are held by nobody, the longest waiting first.
    ready: VecDeque<u32>,
    fence: u64,
    spooled: u64,
    closed: bool,
    vocabularies: terminology::Vocabularies,
    keys: access::Keys,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        let state = State {
            limits,
            sources: BTreeMap::new(),
            next_source: 1,
            ready: VecDeque::new(),
            fence: 0,
            spooled: 0,
            closed: false,
            vocabularies: terminology::Vocabularies::default(),
            keys: access::Keys::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl State {
    fn check_open(&self) -> Result<()> {
        match self.closed {
            true => Err(StoreError::Unavailable("it is closed".into())),
            false => Ok(()),
        }
    }

    /// The source, to write to it.
    fn open(&mut self, source: &Source) -> Result<&mut SourceState> {
        self.check_open()?;
        self.of(source)
    }

    fn of(&mut self, source: &Source) -> Result<&mut SourceState> {
        match self.sources.get_mut(&source.key) {
            Some(state) if state.source.number == source.number => Ok(state),
            _ => Err(StoreError::source_gone(source.key.as_str())),
        }
    }

    /// Takes a step with the task at the head of a lane; `take` says how many operations it applied, and the bytes that
    /// no longer wait.
    fn step(&mut self, lane: &Lane, take: impl FnOnce(&mut SourceState, u64) -> (u64, u64)) -> Result<Step> {
        self.check_open()?;
        let Some(source) = self.by_number(lane.source.number) else {
            return Ok(Step::Lost);
        };
        if source.held != Some(lane.fence) {
            return Ok(Step::Lost);
        }
        let Some(sequence) = source.queue.front().copied() else {
            return Ok(Step::Idle);
        };
        let (count, bytes) = take(source, sequence);
        if let Some(task) = source.progress(sequence) {
            lane.last.applied(task);
        }
        self.spooled -= bytes;
        Ok(Step::Applied(count))
    }

    fn by_number(&mut self, number: u32) -> Option<&mut SourceState> {
        self.sources
            .values_mut()
            .find(|state| state.source.number == number)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn hash_key(&self) -> [u8; 16] {
        *b"the memory store"
    }

    fn terminology(&self) -> &dyn Terminology {
        self
    }

    fn access(&self) -> &dyn Access {
        self
    }

    async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        let mut state = self.state();
        state.check_open()?;
        if let Some(existing) = state.sources.get(key) {
            return Ok((existing.source.clone(), Stored::Replaced));
        }
        let source = Source {
            key: key.clone(),
            number: state.next_source,
            created_at: now,
        };
        state.next_source += 1;
        let fresh = SourceState::new(source.clone());
        state.sources.insert(key.clone(), fresh);
        Ok((source, Stored::Created))
    }

    async fn source(&self, key: &Key) -> Result<Option<Source>> {
        Ok(self.state().sources.get(key).map(|state| state.source.clone()))
    }

    async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>> {
        let state = self.state();
        let all = state.sources.values().map(|state| &state.source);
        Ok(all
            .filter(|source| after.is_none_or(|after| source.key > *after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        let mut state = self.state();
        let held = state.open(source)?;
        let waiting = held
            .queue
            .iter()
            .map(|sequence| held.tasks[sequence].batch.bodies.len() as u64);
        let spooled: u64 = waiting.sum();
        let holds = held.holds().filter(|_| !purge);
        if let Some(holds) = holds {
            return Err(StoreError::source_holds(&source.key, holds));
        }
        state.sources.remove(&source.key);
        state.spooled -= spooled;
        Ok(())
    }

    async fn free_space(&self, _rows: usize) -> Result<bool> {
        Ok(false)
    }

    async fn definitions(&self, source: &Source) -> Result<Definitions> {
        Ok(self.state().of(source)?.definitions.clone())
    }

    async fn definitions_revision(&self, source: &Source) -> Result<u64> {
        Ok(self.state().of(source)?.definitions.revision)
    }

    async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        self.state().put_definition(source, definition, seen, now)
    }

    async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        self.state().delete_definition(source, kind, key, seen)
    }

    async fn snapshot(&self, source: &Source, _held_max: Duration) -> Result<Box<dyn SourceSnapshot>> {
        Ok(Box::new(snapshot::MemorySnapshot::of(self.state().of(source)?)))
    }

    async fn restore_definitions(&self, source: &Source, definitions: &[KeptDefinition]) -> Result<()> {
        self.state().restore_definitions(source, definitions)
    }

    async fn begin_upload(
        &self,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Box<dyn Upload>> {
        let mut state = self.state();
        let (limits, spooled) = (state.limits, state.spooled);
        limits.admit_bytes(spooled)?;
        let queued = state.open(source)?.queue.len();
        limits.admit_task(queued as u64)?;
        Ok(Box::new(upload::MemoryUpload {
            state: Arc::clone(&self.state),
            source: source.clone(),
            task_id,
            target_type,
            types,
            batch: CheckedBatch::default(),
            idempotent: None,
            retry_of: None,
        }))
    }

    async fn accept_purge(&self, purge: Purge, now: Timestamp) -> Result<StoredTask> {
        let mut state = self.state();
        let limits = state.limits;
        let source = state.open(&purge.source)?;
        source.check_once(purge.idempotent.as_ref())?;
        limits.admit_task(source.queue.len() as u64)?;
        let types: Arc<[TypeRef]> = [purge.of_type].into();
        if source.definitions.revision != purge.definitions_revision {
            source.definitions.still_define(&types, [0])?;
        }
        let target = Some(types[0].target_type());
        let task = source.add_task(purge.task_id, target, types, CheckedBatch::default(), now);
        let stored = task.stored();
        source.keep_answer(purge.idempotent.as_ref(), purge.task_id, now);
        source.queue.push_back(stored.sequence);
        if source.queue.len() == 1 && source.held.is_none() {
            state.ready.push_back(purge.source.number);
        }
        Ok(stored)
    }

    async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        let mut state = self.state();
        let source = state.open(source)?;
        let of_id = |task: &&mut TaskState| task.progress.id().ksuid == id;
        let task = source
            .tasks
            .values_mut()
            .find(of_id)
            .ok_or_else(|| StoreError::no_task(&id))?;
        if task.progress.ended() {
            return Err(StoreError::task_ended(&task.stored().task));
        }
        task.progress.cancel(now);
        let (stored, bytes) = (task.stored(), task.batch.bodies.len() as u64);
        source.queue.retain(|sequence| *sequence != stored.sequence);
        state.spooled -= bytes;
        Ok(stored)
    }

    async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        Ok(self.state().of(source)?.first_answer(name, kept_since).cloned())
    }

    async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        let mut state = self.state();
        let mut left = limit;
        for source in state.sources.values_mut() {
            source.answers.retain(|_, answer| {
                let forget = answer.at < kept_since && left > 0;
                left -= usize::from(forget);
                !forget
            });
        }
        Ok(left == 0)
    }

    async fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Retired> {
        let mut state = self.state();
        state.check_open()?;
        Ok(state.retire_tasks(kept, now, rows))
    }

    async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        Ok(self.state().of(source)?.removed.get(&id).copied())
    }

    async fn claim_lane(&self) -> Result<Option<Lane>> {
        let mut state = self.state();
        while let Some(number) = state.ready.pop_front() {
            state.fence += 1;
            let fence = state.fence;
            if let Some(source) = state.by_number(number)
                && !source.queue.is_empty()
            {
                source.held = Some(fence);
                return Ok(Some(Lane {
                    source: source.source.clone(),
                    fence,
                    // It does not outlive who holds its lanes.
                    taken_over: false,
                    suspect: false,
                    last: LastChunk::default(),
                }));
            }
        }
        Ok(None)
    }

    async fn release_lane(&self, lane: Lane) {
        let mut state = self.state();
        let Some(source) = state.by_number(lane.source.number) else {
            return;
        };
        if source.held == Some(lane.fence) {
            source.held = None;
            if !source.queue.is_empty() {
                state.ready.push_back(lane.source.number);
            }
        }
    }

    async fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        let mut state = self.state();
        state.step(lane, |source, sequence| source.apply(sequence, budget, now))
    }

    async fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step> {
        let mut state = self.state();
        state.step(lane, |source, sequence| source.fail_next(sequence, error, now))
    }

    async fn write(&self, write: Write, now: Timestamp) -> Result<Written> {
        let mut state = self.state();
        let source = state.open(&write.source)?;
        source.check_once(write.idempotent.as_ref())?;
        if source.definitions.revision != write.definitions_revision {
            return Err(StoreError::DefinitionsChanged);
        }
        Ok(source.write(write, now))
    }

    async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        let mut state = self.state();
        let stored = &state.of(source)?.records;
        let record = |key: &(TypeNumber, RecordId)| Some(stored.get(key)?.record(&key.1));
        Ok(wanted.iter().map(record).collect())
    }

    async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let mut state = self.state();
        let all = state.of(source)?.records.iter();
        let shown = all.filter(|((of_type, id), _)| {
            let RecordId::Resource(id) = id else { return false };
            *of_type == number && after.is_none_or(|after| id > after)
        });
        take_page(shown.map(|((_, id), held)| Ok(held.record(id))), limit)
    }

    async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let mut state = self.state();
        let all = state.of(source)?.records.iter();
        let shown = all.filter(|((of_type, id), held)| {
            let RecordId::Resource(id) = id else { return false };
            *of_type == number
                && after.is_none_or(|after| id > after)
                && held.identifiers.triples.contains(identifier)
        });
        take_page(shown.map(|((_, id), held)| Ok(held.record(id))), limit)
    }

    async fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let mut state = self.state();
        let all = state.of(source)?.records.iter();
        let shown = all.filter(|((of_type, id), _)| {
            let RecordId::Relationship { from, to } = id else {
                return false;
            };
            *of_type == number && filter.admits(from, to) && after.is_none_or(|after| (from, to) > after)
        });
        take_page(shown.map(|((_, id), held)| Ok(held.record(id))), limit)
    }

    async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        let mut state = self.state();
        let tasks = &state.of(source)?.tasks;
        Ok(tasks
            .values()
            .find(|task| task.progress.id().ksuid == id)
            .map(TaskState::stored))
    }

    async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        let mut state = self.state();
        let newest_first = state.of(source)?.tasks.values().rev().map(TaskState::stored);
        let shown = newest_first.filter(|stored| {
            before.is_none_or(|before| stored.sequence < before) && filter.admits(&stored.task)
        });
        Ok(shown.take(limit).collect())
    }

    async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        let mut state = self.state();
        let Some(source) = state.by_number(task.source) else {
            return Err(StoreError::task_gone(task.task.id));
        };
        let held = source.tasks.get(&task.sequence);
        let held = held.ok_or_else(|| StoreError::task_gone(task.task.id))?;
        let receipt = |(index, operation)| {
            let index = index as u64;
            if index >= task.cursor {
                return task.pending_receipt(index, operation);
            }
            let (verdict, at) = &held.decided[index as usize];
            match verdict {
                Verdict::Success { unchanged } => {
                    task.decided_receipt(index, operation, *at, *unchanged, None)
                }
                Verdict::Failure(error) => {
                    task.decided_receipt(index, operation, *at, false, Some(error.clone()))
                }
            }
        };
        let operations = held.batch.operations.iter().enumerate();
        Ok(operations.skip(from as usize).take(limit).map(receipt).collect())
    }

    async fn operations(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        let mut state = self.state();
        let Some(source) = state.by_number(task.source) else {
            return Err(StoreError::task_gone(task.task.id));
        };
        let held = source.tasks.get(&task.sequence);
        let batch = &held.ok_or_else(|| StoreError::task_gone(task.task.id))?.batch;
        let at_once = matches!(task.task.id.kind, TaskKind::Single | TaskKind::Bundle);
        let there = wanted.iter().filter_map(|index| {
            let operation = batch.operations.get(usize::try_from(*index).ok()?)?;
            if at_once {
                // As in stores that keep it in the record alone.
                return Some(Ok(SentOperation::removed(*index, operation.clone())));
            }
            Some(Ok(SentOperation {
                index: *index,
                operation: operation.clone(),
                body: Some(Bytes::copy_from_slice(batch.body(*index as usize))),
            }))
        });
        take_page(there, wanted.len())
    }

    async fn spooled_bytes(&self) -> Result<u64> {
        Ok(self.state().spooled)
    }

    async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        let mut state = self.state();
        match next_of {
            Some(source) => Ok(state.of(source)?.waiting().next().unwrap_or(0)),
            None => Ok(state.sources.values().flat_map(SourceState::waiting).sum()),
        }
    }

    async fn check_writable(&self) -> Result<()> {
        match self.state().closed {
            true => Err(StoreError::Unavailable("it is closed".into())),
            false => Ok(()),
        }
    }

    async fn close(&self) -> Result<()> {
        self.state().closed = true;
        Ok(())
    }
}

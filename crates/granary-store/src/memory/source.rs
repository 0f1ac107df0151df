//! One source of the reference store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use granary_core::decide::{
    BoundedEnd, Cascade, Current, Decision, Direction, Head, Identified, Plan, RecordKey, Verdict,
};
use granary_core::error::ErrorObject;
use granary_core::keys::ResourceId;
use granary_core::ksuid::Ksuid;
use granary_core::meta::Identifiers;
use granary_core::operation::{Action, EdgeEnds, Operation, RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;

use crate::{
    Budget, CheckedBatch, Definitions, FirstAnswer, Idempotent, Record, RemovedTask, RequestName, Result,
    Source, StoreError, StoredTask, TaskProgress, Write, Written,
};

pub(super) struct SourceState {
    pub(super) source: Source,
    pub(super) definitions: Definitions,
    pub(super) next_number: TypeNumber,
    pub(super) records: BTreeMap<(TypeNumber, RecordId), Held>,
    /// By their sequence numbers.
    pub(super) tasks: BTreeMap<u64, TaskState>,
    pub(super) task_next: u64,
    /// Tasks of the lane that were removed.
    pub(super) removed: BTreeMap<Ksuid, RemovedTask>,
    /// Sequence numbers of the tasks that have not ended, in the order of acceptance.
    pub(super) queue: VecDeque<u64>,
    pub(super) stamp_next: u64,
    /// The fence of who holds the lane.
    pub(super) held: Option<u64>,
    pub(super) answers: BTreeMap<RequestName, FirstAnswer>,
}

pub(super) struct TaskState {
    pub(super) progress: TaskProgress,
    pub(super) source: u32,
    pub(super) sequence: u64,
    pub(super) types: Arc<[TypeRef]>,
    pub(super) batch: CheckedBatch,
    /// What became of the operations before the cursor, and when.
    pub(super) decided: Vec<(Verdict, Timestamp)>,
    /// The task that it is a retry of.
    pub(super) retry_of: Option<TaskId>,
}

/// A stored record.
pub(super) struct Held {
    head: Head,
    body: Bytes,
    pub(super) identifiers: Identifiers,
}

impl Held {
    pub(super) fn record(&self, id: &RecordId) -> Record {
        Record {
            id: id.clone(),
            head: self.head,
            body: self.body.clone(),
            identifiers: Bytes::copy_from_slice(self.identifiers.json.as_bytes()),
        }
    }
}

impl SourceState {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            definitions: Definitions::default(),
            next_number: 1,
            records: BTreeMap::new(),
            tasks: BTreeMap::new(),
            task_next: 0,
            removed: BTreeMap::new(),
            queue: VecDeque::new(),
            stamp_next: 1,
            held: None,
            answers: BTreeMap::new(),
        }
    }

    pub(super) fn first_answer(&self, name: &RequestName, kept_since: Timestamp) -> Option<&FirstAnswer> {
        self.answers.get(name).filter(|answer| answer.at >= kept_since)
    }

    /// Refuses a request that was carried out.
    pub(super) fn check_once(&self, request: Option<&Idempotent>) -> Result<()> {
        match request.and_then(|request| self.first_answer(&request.name, request.kept_since)) {
            Some(answer) => Err(StoreError::Answered(Box::new(answer.clone()))),
            None => Ok(()),
        }
    }

    pub(super) fn keep_answer(&mut self, request: Option<&Idempotent>, task_id: TaskId, now: Timestamp) {
        if let Some(request) = request {
            self.answers
                .insert(request.name.clone(), request.answer(task_id, now));
        }
    }

    /// What it holds, if anything.
    pub(super) fn holds(&self) -> Option<&'static str> {
        if !self.queue.is_empty() {
            Some("tasks that have not ended")
        } else if !self.records.is_empty() {
            Some("records")
        } else if !self.definitions.list.is_empty() {
            Some("definitions")
        } else {
            None
        }
    }

    fn current(&self, plan: &Plan<'_>) -> Current {
        let head = |key: &RecordKey<'_>| self.records.get(&owned(key)).map(|held| held.head);
        Current {
            heads: plan.records().iter().map(head).collect(),
            neighbours: plan
                .bounds()
                .map(|(end, count)| self.neighbours(&end, count))
                .collect(),
        }
    }

    fn neighbours(&self, end: &BoundedEnd<'_>, count: usize) -> Vec<ResourceId> {
        let other = |(_, id): &(TypeNumber, RecordId)| match (id, end.direction) {
            (RecordId::Relationship { from, to }, Direction::From) if from == end.id => Some(to.clone()),
            (RecordId::Relationship { from, to }, Direction::To) if to == end.id => Some(from.clone()),
            _ => None,
        };
        let of_type = self.records.keys().filter(|(number, _)| *number == end.number);
        of_type.filter_map(other).take(count).collect()
    }

    /// Writes what was decided; how many edges went with their ends.
    fn commit(
        &mut self,
        plan: &Plan<'_>,
        types: &[TypeRef],
        decision: &Decision,
        batch: &CheckedBatch,
    ) -> u64 {
        let mut edges = 0;
        self.stamp_next = decision.stamp_next;
        for Cascade { record: place, .. } in &decision.cascades {
            let RecordKey::Resource { number, id } = plan.records()[*place] else {
                continue;
            };
            edges += self.cascade(number, id);
        }
        for place in &decision.deletes {
            self.records.remove(&owned(&plan.records()[*place]));
        }
        for put in &decision.puts {
            let key = owned(&plan.records()[put.record]);
            let identifiers = match put.identifiers {
                Identified::In(at) => sent_identifiers(&batch.operations[at]),
                Identified::Nowhere => Identifiers::default(),
                Identified::AsStored => self
                    .records
                    .remove(&key)
                    .map(|held| held.identifiers)
                    .unwrap_or_default(),
            };
            let held = Held {
                head: put.head,
                body: Bytes::copy_from_slice(batch.body(put.operation)),
                identifiers,
            };
            self.records.insert(key, held);
        }
        assert!(types.iter().all(|t| t.number < self.next_number));
        edges
    }

    /// Removes every edge at a resource; how many there were.
    fn cascade(&mut self, number: TypeNumber, id: &ResourceId) -> u64 {
        let before = self.records.len();
        for (definition, ends) in self.edge_types() {
            self.records.retain(|(of_type, record), _| {
                let RecordId::Relationship { from, to } = record else {
                    return true;
                };
                let touches = (ends[0] == number && from == id) || (ends[1] == number && to == id);
                *of_type != definition || !touches
            });
        }
        (before - self.records.len()) as u64
    }

    /// The relationship types of the source with the numbers of the profiles at their ends.
    fn edge_types(&self) -> Vec<(TypeNumber, [TypeNumber; 2])> {
        let schema = granary_core::schema::Schema::compile(&self.definitions.list);
        let types = schema.map(|schema| schema.types().to_vec()).unwrap_or_default();
        let ends = |t: &TypeRef| {
            Some((
                t.number,
                [t.edge.as_ref()?.from.number, t.edge.as_ref()?.to.number],
            ))
        };
        types.iter().filter_map(ends).collect()
    }

    /// For each task that has not ended, in their order, the operations that are not decided.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        let waiting = self.queue.iter().map(|sequence| &self.tasks[sequence]);
        waiting.map(|task| task.progress.undecided())
    }

    pub(super) fn in_use(&self, number: TypeNumber) -> Option<String> {
        if self.records.keys().any(|(of_type, _)| *of_type == number) {
            return Some("records of it exist; delete them first".into());
        }
        let waiting = self.queue.iter().map(|sequence| &self.tasks[sequence]);
        let names = |task: &TaskState| {
            let is_it = |index: u32| {
                let of_type = &task.types[index as usize];
                let at_end = |e: &EdgeEnds| e.from.number == number || e.to.number == number;
                of_type.number == number || of_type.edge.as_ref().is_some_and(at_end)
            };
            match task.progress.kind {
                TaskKind::Purge => is_it(0),
                _ => task.batch.types_used().into_iter().any(is_it),
            }
        };
        let task = { waiting }.find(|task| names(task))?;
        Some(format!("task {} has not ended; wait for it", task.progress.id()))
    }

    /// The next chunk of the task at the head of the queue; how many operations were applied, and the bytes that no
    /// longer wait.
    pub(super) fn apply(&mut self, sequence: u64, budget: Budget, now: Timestamp) -> (u64, u64) {
        let task = &self.tasks[&sequence];
        let types = Arc::clone(&task.types);
        let (is_purge, chunk) = match task.progress.kind {
            TaskKind::Purge => (true, self.next_purged(task, budget)),
            _ => (false, task.batch.chunk(task.progress.cursor as usize, budget)),
        };
        let count = chunk.operations.len() as u64;
        let plan = Plan::of(&chunk.operations, &types);
        let decision = plan.decide(self.current(&plan), now, self.stamp_next);
        let edges = self.commit(&plan, &types, &decision, &chunk);
        let Some(task) = self.tasks.get_mut(&sequence) else {
            return (0, 0);
        };
        if is_purge {
            let is_last = chunk.operations.len() < budget.operations.max(1);
            task.progress.purged(count, edges, Vec::new(), is_last, now);
        } else {
            task.advance(decision.verdicts, now);
        }
        (count, self.bytes_of_ended(sequence))
    }

    /// How far a task is.
    pub(super) fn progress(&self, sequence: u64) -> Option<&TaskProgress> {
        self.tasks.get(&sequence).map(|task| &task.progress)
    }

    /// Fails the next operation of the task at the head of the queue, untried; returns as [`SourceState::apply`].
    pub(super) fn fail_next(&mut self, sequence: u64, error: ErrorObject, now: Timestamp) -> (u64, u64) {
        let Some(task) = self.tasks.get_mut(&sequence) else {
            return (0, 0);
        };
        if task.progress.kind == TaskKind::Purge {
            return (0, 0);
        }
        task.advance(vec![Verdict::Failure(error)], now);
        (1, self.bytes_of_ended(sequence))
    }

    /// Takes the task at the head of the queue out of it where it has ended; the bytes that no longer wait.
    fn bytes_of_ended(&mut self, sequence: u64) -> u64 {
        let task = &self.tasks[&sequence];
        if task.progress.ended() {
            self.queue.pop_front();
            return task.batch.bodies.len() as u64;
        }
        0
    }

    /// Deletes of the next records of a purge.
    fn next_purged(&self, task: &TaskState, budget: Budget) -> CheckedBatch {
        let number = task.types[0].number;
        let accepted_at = task.progress.purge.as_ref().map_or(0, |purge| purge.accepted_at);
        let spared = |head: &Head| head.at_once && head.stamp >= accepted_at;
        let mut chunk = CheckedBatch::default();
        for ((of_type, id), held) in &self.records {
            if *of_type != number || spared(&held.head) {
                continue;
            }
            if chunk.operations.len() == budget.operations.max(1) {
                break;
            }
            chunk.push(Operation {
                action: Action::Delete,
                type_index: 0,
                id: id.clone(),
                hash: None,
                meta: None,
            });
        }
        chunk
    }

    pub(super) fn write(&mut self, write: Write, now: Timestamp) -> Written {
        let plan = Plan::of(&write.batch.operations, &write.types).at_once(write.guard.as_ref());
        let plan = plan.with_versions(write.versions.as_deref());
        let decision = plan.decide(self.current(&plan), now, self.stamp_next);
        if decision.failure_count() > 0 {
            return Written::Refused(decision.verdicts);
        }
        self.commit(&plan, &write.types, &decision, &write.batch);
        let record = |operation: &Operation| {
            let number = write.types[operation.type_index as usize].number;
            let held = self.records.get(&(number, operation.id.clone()))?;
            Some(held.record(&operation.id))
        };
        let records = write.batch.operations.iter().map(record).collect();
        let (types, batch) = (Arc::clone(&write.types), write.batch.clone());
        self.keep_answer(write.idempotent.as_ref(), write.task_id, now);
        let task = self.add_task(write.task_id, write.target_type, types, batch, now);
        let verdicts = decision.verdicts.clone();
        task.advance(decision.verdicts, now);
        Written::Persisted { records, verdicts }
    }

    pub(super) fn add_task(
        &mut self,
        id: TaskId,
        target_type: Option<TargetType>,
        types: Arc<[TypeRef]>,
        batch: CheckedBatch,
        now: Timestamp,
    ) -> &mut TaskState {
        let progress = match (id.kind, target_type) {
            (TaskKind::Purge, Some(target)) => TaskProgress::new_purge(id, target, self.stamp_next, now),
            _ => TaskProgress::new(id, target_type, batch.operations.len() as u64, now),
        };
        let sequence = self.task_next;
        self.task_next += 1;
        let task = TaskState {
            progress,
            source: self.source.number,
            sequence,
            types,
            batch,
            decided: Vec::new(),
            retry_of: None,
        };
        self.tasks.entry(sequence).or_insert(task)
    }
}

impl TaskState {
    pub(super) fn stored(&self) -> StoredTask {
        let types = Arc::clone(&self.types);
        let stored = self.progress.stored(self.source, self.sequence, types);
        stored.retrying(self.retry_of)
    }

    /// Moves the cursor over operations that were decided at `now`.
    fn advance(&mut self, verdicts: Vec<Verdict>, now: Timestamp) {
        let is_failure = |verdict: &&Verdict| matches!(verdict, Verdict::Failure(_));
        let failures = verdicts.iter().filter(is_failure).count();
        self.progress.advance(verdicts.len() as u64, failures as u64, now);
        self.decided
            .extend(verdicts.into_iter().map(|verdict| (verdict, now)));
    }
}

fn sent_identifiers(operation: &Operation) -> Identifiers {
    let meta = operation.meta.as_deref();
    meta.and_then(|meta| meta.identifiers.clone()).unwrap_or_default()
}

fn owned(key: &RecordKey<'_>) -> (TypeNumber, RecordId) {
    match *key {
        RecordKey::Resource { number, id } => (number, RecordId::Resource(id.clone())),
        RecordKey::Relationship { number, from, to } => (
            number,
            RecordId::Relationship {
                from: from.clone(),
                to: to.clone(),
            },
        ),
    }
}

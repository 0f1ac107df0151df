//! One source of the reference store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use granary_core::decide::{
    BoundedEnd, Cascade, Current, Decision, Direction, Head, Identified, Plan, RecordKey, Verdict,
};
use granary_core::error::ErrorObject;
use granary_core::keys::ResourceId;
use granary_core::meta::Identifiers;
use granary_core::operation::{Action, EdgeEnds, Operation, RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::task::{Deleted, Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;

use crate::{
    Budget, CheckedBatch, Definitions, Record, Source, StoredTask, Write, Written, counts_at, counts_of_purge,
};

pub(super) struct SourceState {
    pub(super) source: Source,
    pub(super) definitions: Definitions,
    pub(super) next_number: TypeNumber,
    pub(super) records: BTreeMap<(TypeNumber, RecordId), Held>,
    pub(super) tasks: Vec<TaskState>,
    /// Sequence numbers of the tasks that have not ended, in the order of acceptance.
    pub(super) queue: VecDeque<u64>,
    pub(super) stamp_next: u64,
    /// The fence of who holds the lane.
    pub(super) held: Option<u64>,
}

pub(super) struct TaskState {
    pub(super) stored: StoredTask,
    pub(super) failures: u64,
    /// Of a purge: the first stamp that was not used when it was accepted.
    pub(super) accepted_at: u64,
    pub(super) batch: CheckedBatch,
    /// What became of the operations before the cursor, and when.
    pub(super) decided: Vec<(Verdict, Timestamp)>,
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
            tasks: Vec::new(),
            queue: VecDeque::new(),
            stamp_next: 1,
            held: None,
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
        debug_assert!(types.iter().all(|t| t.number < self.next_number));
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

    pub(super) fn in_use(&self, number: TypeNumber) -> Option<String> {
        if self.records.keys().any(|(of_type, _)| *of_type == number) {
            return Some("records of it exist".into());
        }
        let waiting = self.queue.iter().map(|sequence| &self.tasks[*sequence as usize]);
        let names = |task: &TaskState| {
            let is_it = |index: u32| {
                let of_type = &task.stored.types[index as usize];
                let at_end = |e: &EdgeEnds| e.from.number == number || e.to.number == number;
                of_type.number == number || of_type.edge.as_ref().is_some_and(at_end)
            };
            match task.stored.task.id.kind {
                TaskKind::Purge => is_it(0),
                _ => task.batch.types_used().into_iter().any(is_it),
            }
        };
        let task = { waiting }.find(|task| names(task))?;
        Some(format!("task {} has not ended", task.stored.task.id))
    }

    /// The next chunk of the task at the head of the queue; how many operations were applied, and the bytes that no
    /// longer wait.
    pub(super) fn apply(&mut self, sequence: u64, budget: Budget, now: Timestamp) -> (u64, u64) {
        let task = &self.tasks[sequence as usize];
        let types = Arc::clone(&task.stored.types);
        let (is_purge, chunk) = match task.stored.task.id.kind {
            TaskKind::Purge => (true, self.next_purged(task, budget)),
            _ => (false, task.next_operations(budget)),
        };
        let count = chunk.operations.len() as u64;
        let plan = Plan::of(&chunk.operations, &types);
        let decision = plan.decide(self.current(&plan), now, self.stamp_next);
        let edges = self.commit(&plan, &types, &decision, &chunk);
        let task = &mut self.tasks[sequence as usize];
        if is_purge {
            let is_last = chunk.operations.len() < budget.operations.max(1);
            task.purged(count, edges, is_last, now);
        } else {
            task.advance(decision.verdicts, now);
        }
        (count, self.bytes_of_ended(sequence))
    }

    /// Fails the next operation of the task at the head of the queue, untried; returns as [`SourceState::apply`].
    pub(super) fn fail_next(&mut self, sequence: u64, error: ErrorObject, now: Timestamp) -> (u64, u64) {
        let task = &mut self.tasks[sequence as usize];
        if task.stored.task.id.kind == TaskKind::Purge {
            return (0, 0);
        }
        task.advance(vec![Verdict::Failure(error)], now);
        (1, self.bytes_of_ended(sequence))
    }

    /// Takes the task at the head of the queue out of it where it has ended; the bytes that no longer wait.
    fn bytes_of_ended(&mut self, sequence: u64) -> u64 {
        let task = &self.tasks[sequence as usize];
        if task.stored.task.completed_at.is_some() {
            self.queue.pop_front();
            return task.batch.bodies.len() as u64;
        }
        0
    }

    /// Deletes of the next records of a purge.
    fn next_purged(&self, task: &TaskState, budget: Budget) -> CheckedBatch {
        let number = task.stored.types[0].number;
        let spared = |head: &Head| head.at_once && head.stamp >= task.accepted_at;
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
        let total = batch.operations.len() as u64;
        let task = Task {
            id,
            target_type,
            status: TaskStatus::Pending,
            counts: counts_at(total, 0, 0),
            created_at: now,
            started_at: None,
            completed_at: None,
            deleted: (id.kind == TaskKind::Purge).then(Deleted::default),
        };
        let sequence = self.tasks.len() as u64;
        let stored = StoredTask {
            task,
            source: self.source.number,
            sequence,
            cursor: 0,
            types,
        };
        self.tasks.push(TaskState {
            stored,
            failures: 0,
            accepted_at: self.stamp_next,
            batch,
            decided: Vec::new(),
        });
        let last = self.tasks.len() - 1;
        &mut self.tasks[last]
    }
}

impl TaskState {
    fn next_operations(&self, budget: Budget) -> CheckedBatch {
        let first = self.stored.cursor as usize;
        let mut chunk = CheckedBatch::default();
        for index in first..self.batch.operations.len().min(first + budget.operations.max(1)) {
            if index > first && (chunk.bodies.len() + self.batch.body(index).len()) as u64 > budget.bytes {
                break;
            }
            chunk.bodies.extend_from_slice(self.batch.body(index));
            chunk.push(self.batch.operations[index].clone());
        }
        chunk
    }

    /// Counts what a chunk of a purge deleted.
    fn purged(&mut self, records: u64, edges: u64, is_last: bool, now: Timestamp) {
        let task = &mut self.stored.task;
        let deleted = task.deleted.get_or_insert_default();
        deleted.records += records;
        deleted.relationships += edges;
        task.counts = counts_of_purge(deleted.records);
        task.started_at.get_or_insert(now);
        if is_last {
            task.status = TaskStatus::Success;
            task.completed_at = Some(now);
        }
    }

    /// Ends it where it stands.
    pub(super) fn cancel(&mut self, now: Timestamp) {
        let task = &mut self.stored.task;
        task.counts.cancelled = std::mem::take(&mut task.counts.pending);
        task.status = TaskStatus::Cancelled;
        task.completed_at = Some(now);
    }

    /// Moves the cursor over operations that were decided at `now`.
    fn advance(&mut self, verdicts: Vec<Verdict>, now: Timestamp) {
        self.failures += verdicts
            .iter()
            .filter(|v| matches!(v, Verdict::Failure(_)))
            .count() as u64;
        self.decided
            .extend(verdicts.into_iter().map(|verdict| (verdict, now)));
        let (total, cursor) = (self.batch.operations.len() as u64, self.decided.len() as u64);
        let task = &mut self.stored.task;
        self.stored.cursor = cursor;
        task.counts = counts_at(total, cursor, self.failures);
        task.started_at.get_or_insert(now);
        if cursor == total {
            task.status = TaskStatus::Success;
            task.completed_at = Some(now);
        }
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

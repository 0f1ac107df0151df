//! What histories are compared with beside the reference store: `decide`, one operation at a time over a map.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use granary_core::decide::{Current, Direction, Guard, Head, Plan, RecordKey, Verdict};
use granary_core::operation::{Action, Operation, RecordId, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;

use super::world::*;

/// The third voice: `decide` one operation at a time over a map.
#[derive(Default)]
pub(super) struct Model {
    pub(super) types: Arc<[TypeRef]>,
    pub(super) records: BTreeMap<(TypeNumber, RecordId), (Head, Vec<u8>)>,
    pub(super) stamp: u64,
    pub(super) tasks: Vec<ModelTask>,
    /// Places in `tasks` of those that have not ended.
    pub(super) queue: VecDeque<usize>,
}

pub(super) struct ModelTask {
    pub(super) id: TaskId,
    pub(super) batch: crate::CheckedBatch,
    pub(super) types: Arc<[TypeRef]>,
    pub(super) decided: Vec<(Verdict, Timestamp)>,
    /// Of a purge: the type, and the first stamp that was not used when it was accepted.
    pub(super) purges: Option<(TypeNumber, u64)>,
    pub(super) cancelled: bool,
}

impl ModelTask {
    pub(super) fn compare(&self, receipts: &[Receipt]) {
        assert_eq!(receipts.len(), self.batch.operations.len());
        let (done, pending) = receipts.split_at(self.decided.len());
        for (receipt, (verdict, at)) in done.iter().zip(&self.decided) {
            assert_eq!(receipt.completed_at, Some(*at), "{receipt:?}");
            match verdict {
                Verdict::Failure(error) => assert_eq!(receipt.error.as_ref(), Some(error)),
                success => assert_eq!(
                    codes(std::slice::from_ref(receipt)),
                    verdict_codes(std::slice::from_ref(success))
                ),
            }
        }
        let left = if self.cancelled { 499 } else { 102 };
        assert!(codes(pending).iter().all(|code| *code == left));
    }
}

impl Model {
    /// Applies so many operations of the first task that has not ended.
    pub(super) fn advance(&mut self, count: u64, now: Timestamp) {
        let at = *self
            .queue
            .front()
            .expect("a chunk is of a task that was accepted");
        for _ in 0..count {
            let task = &self.tasks[at];
            let index = task.decided.len();
            let operation = task.batch.operations[index].clone();
            let body = task.batch.body(index).to_vec();
            let types = Arc::clone(&task.types);
            let verdict = self.apply(&operation, &body, &types, None, now);
            self.tasks[at].decided.push((verdict, now));
        }
        if self.tasks[at].decided.len() == self.tasks[at].batch.operations.len() {
            self.queue.pop_front();
        }
    }

    pub(super) fn is_purging(&self) -> bool {
        let first = self.queue.front();
        first.is_some_and(|first| self.tasks[*first].purges.is_some())
    }

    /// Deletes so many records of the purge at the head of the queue.
    pub(super) fn purge(&mut self, count: u64, now: Timestamp) {
        let task = &self.tasks[self.queue[0]];
        let (number, accepted_at) = task.purges.expect("it is a purge");
        let types = Arc::clone(&task.types);
        let type_index = types.iter().position(|of_type| of_type.number == number);
        let spared = |head: &Head| head.at_once && head.stamp >= accepted_at;
        let of_type = self
            .records
            .iter()
            .filter(|((of, _), (head, _))| *of == number && !spared(head));
        let ids: Vec<RecordId> = of_type
            .map(|((_, id), _)| id.clone())
            .take(count as usize)
            .collect();
        assert_eq!(ids.len(), count as usize, "no more is purged than there is");
        for id in ids {
            let operation = Operation {
                action: Action::Delete,
                type_index: type_index.expect("its type is there") as u32,
                id,
                hash: None,
                meta: None,
            };
            self.apply(&operation, &[], &types, None, now);
        }
    }

    /// All operations of a write, or none. `guard` is on the first of them.
    pub(super) fn write(
        &mut self,
        batch: &crate::CheckedBatch,
        guard: Option<&Guard>,
        now: Timestamp,
    ) -> Vec<Verdict> {
        let before = (self.records.clone(), self.stamp);
        let types = Arc::clone(&self.types);
        let operations = batch.operations.iter().enumerate();
        let verdicts: Vec<Verdict> = operations
            .map(|(index, operation)| {
                let at_once = Some(guard.filter(|_| index == 0));
                self.apply(operation, batch.body(index), &types, at_once, now)
            })
            .collect();
        if verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Failure(_)))
        {
            (self.records, self.stamp) = before;
        }
        verdicts
    }

    /// Applies one operation: of a write, with its guard, where `at_once` is given.
    pub(super) fn apply(
        &mut self,
        operation: &Operation,
        body: &[u8],
        types: &[TypeRef],
        at_once: Option<Option<&Guard>>,
        now: Timestamp,
    ) -> Verdict {
        let alone = std::slice::from_ref(operation);
        let plan = Plan::of(alone, types);
        let plan = match at_once {
            Some(guard) => plan.at_once(guard),
            None => plan,
        };
        let heads = plan.records().iter().map(|key| self.head(key)).collect();
        let neighbours = plan.bounds().map(|(end, count)| {
            let edges = self.records.keys().filter(|(number, _)| *number == end.number);
            let other = edges.filter_map(|(_, id)| match (id, end.direction) {
                (RecordId::Relationship { from, to }, Direction::From) => (from == end.id).then_some(to),
                (RecordId::Relationship { from, to }, Direction::To) => (to == end.id).then_some(from),
                (RecordId::Resource(_), _) => None,
            });
            other.take(count).cloned().collect()
        });
        let neighbours = neighbours.collect();
        let current = Current { heads, neighbours };
        let decision = plan.decide(current, now, self.stamp + 1);
        self.stamp = decision.stamp_next - 1;
        for place in &decision.cascades {
            self.cascade(&plan.records()[place.record]);
        }
        for place in &decision.deletes {
            self.records.remove(&owned(&plan.records()[*place]));
        }
        for put in &decision.puts {
            let key = owned(&plan.records()[put.record]);
            self.records.insert(key, (put.head, body.to_vec()));
        }
        decision
            .verdicts
            .into_iter()
            .next()
            .expect("one for the operation")
    }

    pub(super) fn head(&self, key: &RecordKey<'_>) -> Option<Head> {
        self.records.get(&owned(key)).map(|(head, _)| *head)
    }

    pub(super) fn cascade(&mut self, deleted: &RecordKey<'_>) {
        let RecordKey::Resource { number, id } = *deleted else {
            return;
        };
        let types = Arc::clone(&self.types);
        self.records.retain(|(of_type, record), _| {
            let of_type = types.iter().find(|known| known.number == *of_type);
            let ends = of_type.and_then(|of_type| of_type.edge.as_ref());
            let (RecordId::Relationship { from, to }, Some(ends)) = (record, ends) else {
                return true;
            };
            !(ends.from.number == number && from == id || ends.to.number == number && to == id)
        });
    }
}

fn owned(key: &RecordKey<'_>) -> (TypeNumber, RecordId) {
    match *key {
        RecordKey::Resource { number, id } => (number, RecordId::Resource(id.clone())),
        RecordKey::Relationship { number, from, to } => {
            let (from, to) = (from.clone(), to.clone());
            (number, RecordId::Relationship { from, to })
        }
    }
}

//! How far a task is: what moves of it, the same on every store.

use std::sync::Arc;

use granary_core::ksuid::Ksuid;
use granary_core::operation::{Operation, TargetType, TypeRef};
use granary_core::task::{Deleted, Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{StoredTask, counts_at, counts_of_purge};

/// What moves of a task. Stores keep it as it is: its shape is part of what is stored, with moments in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// The kind.
    pub kind: TaskKind,
    /// The rest of the id.
    pub ksuid: [u8; 20],
    /// What its operations are on; `None` for a bundle.
    pub target_type: Option<TargetType>,
    /// All operations.
    pub total: u64,
    /// The first operation that is not decided.
    pub cursor: u64,
    /// How many of those before the cursor failed.
    pub failures: u64,
    /// When it was accepted.
    pub created_at: i64,
    /// When its first operation was taken up.
    pub started_at: Option<i64>,
    /// When it ended.
    pub completed_at: Option<i64>,
    /// True where it ended because it was cancelled.
    pub cancelled: bool,
    /// How far a purge is; `None` for a task of another kind.
    pub purge: Option<PurgeProgress>,
}

/// How far a purge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProgress {
    /// The first stamp that was not used when it was accepted.
    pub accepted_at: u64,
    /// The place of the last record that it has looked at, as the store writes it; empty before the first.
    pub after: Vec<u8>,
    /// What it has deleted.
    pub deleted: Deleted,
}

impl TaskProgress {
    /// A task of so many operations that was accepted now.
    pub fn new(id: TaskId, target_type: Option<TargetType>, total: u64, now: Timestamp) -> Self {
        Self {
            kind: id.kind,
            ksuid: *id.ksuid.as_bytes(),
            target_type,
            total,
            cursor: 0,
            failures: 0,
            created_at: now.millis(),
            started_at: None,
            completed_at: None,
            cancelled: false,
            purge: None,
        }
    }

    /// Moves the cursor over operations that were decided at `now`.
    pub fn advance(&mut self, operations: u64, failures: u64, now: Timestamp) {
        self.cursor += operations;
        self.failures += failures;
        self.started_at.get_or_insert(now.millis());
        if self.cursor == self.total {
            self.completed_at = Some(now.millis());
        }
    }

    /// Counts what a chunk of a purge deleted; `after` is the place of the last record that it looked at.
    pub fn purged(&mut self, records: u64, edges: u64, after: Vec<u8>, is_last: bool, now: Timestamp) {
        let purge = self.purge.get_or_insert_default();
        purge.deleted.records += records;
        purge.deleted.relationships += edges;
        purge.after = after;
        self.started_at.get_or_insert(now.millis());
        if is_last {
            self.completed_at = Some(now.millis());
        }
    }

    /// Ends it where it stands.
    pub fn cancel(&mut self, now: Timestamp) {
        self.cancelled = true;
        self.completed_at = Some(now.millis());
    }

    /// The task at this moment, with the number of its source and its place in the order of acceptance.
    pub fn stored(&self, source: u32, sequence: u64, types: Arc<[TypeRef]>) -> StoredTask {
        let moment = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let mut counts = match &self.purge {
            Some(purge) => counts_of_purge(purge.deleted.records),
            None => counts_at(self.total, self.cursor, self.failures),
        };
        if self.cancelled {
            counts.cancelled = std::mem::take(&mut counts.pending);
        }
        let task = Task {
            id: TaskId {
                kind: self.kind,
                ksuid: Ksuid::from_bytes(self.ksuid),
            },
            target_type: self.target_type,
            status: match (self.completed_at, self.cancelled) {
                (None, _) => TaskStatus::Pending,
                (Some(_), false) => TaskStatus::Success,
                (Some(_), true) => TaskStatus::Cancelled,
            },
            counts,
            created_at: Timestamp::from_millis(self.created_at),
            started_at: moment(self.started_at),
            completed_at: moment(self.completed_at),
            deleted: self.purge.as_ref().map(|purge| purge.deleted),
        };
        StoredTask {
            task,
            source,
            sequence,
            cursor: self.cursor,
            types,
        }
    }
}

/// The types that operations name, and the operations with their indexes into these: what a task of few operations keeps
/// of a schema of many types.
pub fn only_used(types: &[TypeRef], operations: &[Operation]) -> (Vec<TypeRef>, Vec<Operation>) {
    let mut used: Vec<u32> = operations.iter().map(|operation| operation.type_index).collect();
    used.sort_unstable();
    used.dedup();
    let place = |index: u32| used.partition_point(|used| *used < index) as u32;
    let renumbered = operations.iter().map(|o| Operation {
        type_index: place(o.type_index),
        ..o.clone()
    });
    (
        used.iter().map(|index| types[*index as usize].clone()).collect(),
        renumbered.collect(),
    )
}

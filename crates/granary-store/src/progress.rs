//! How far a task is: the part of it that moves, as every store keeps it.

use std::sync::Arc;

use granary_core::ksuid::Ksuid;
use granary_core::operation::{TargetType, TypeRef};
use granary_core::task::{Counts, Deleted, Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoredTask;

/// How far a task is. Stores write it as it is here, so its shape is part of their formats; times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// What it is.
    pub kind: TaskKind,
    /// What its id is made of.
    pub ksuid: [u8; 20],
    /// What its operations are on; `None` for a bundle.
    pub target_type: Option<TargetType>,
    /// How many operations it has; 0 for a purge.
    pub total: u64,
    /// The first operation that is not decided.
    pub cursor: u64,
    /// Operations before the cursor that failed.
    pub failures: u64,
    /// When it was accepted.
    pub created_at: i64,
    /// When its first chunk was decided.
    pub started_at: Option<i64>,
    /// When it ended.
    pub completed_at: Option<i64>,
    /// It was ended before its end.
    pub cancelled: bool,
    /// How far it is where it is a purge.
    pub purge: Option<PurgeProgress>,
}

/// How far a purge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProgress {
    /// The first stamp that was not used when it was accepted.
    pub accepted_at: u64,
    /// The last key that it has looked at, as the store writes keys; empty before the first.
    pub after: Vec<u8>,
    /// What it has deleted.
    pub deleted: Deleted,
}

impl TaskProgress {
    /// A task of so many operations, none of them decided.
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

    /// A purge that has deleted nothing; `accepted_at` is the first stamp that is not used.
    pub fn new_purge(id: TaskId, target_type: TargetType, accepted_at: u64, now: Timestamp) -> Self {
        Self {
            purge: Some(PurgeProgress {
                accepted_at,
                ..PurgeProgress::default()
            }),
            ..Self::new(id, Some(target_type), 0, now)
        }
    }

    /// Its id.
    pub fn id(&self) -> TaskId {
        TaskId {
            kind: self.kind,
            ksuid: Ksuid::from_bytes(self.ksuid),
        }
    }

    /// True once no chunk of it follows.
    pub fn ended(&self) -> bool {
        self.completed_at.is_some()
    }

    /// How many of its operations are not decided.
    pub fn undecided(&self) -> u64 {
        self.total - self.cursor
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

    /// Counts what a chunk of a purge deleted; `after` is the last key that it looked at.
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

    /// What became of its operations so far.
    pub fn counts(&self) -> Counts {
        if let Some(purge) = &self.purge {
            let deleted = purge.deleted.records;
            return counts_at(deleted, deleted, 0);
        }
        let mut counts = counts_at(self.total, self.cursor, self.failures);
        if self.cancelled {
            counts.cancelled = std::mem::take(&mut counts.pending);
        }
        counts
    }

    /// The task as it is shown; one that is a retry with [`StoredTask::retrying`].
    pub fn stored(&self, source: u32, sequence: u64, types: Arc<[TypeRef]>) -> StoredTask {
        let moment = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let task = Task {
            id: self.id(),
            target_type: self.target_type,
            status: match (self.completed_at, self.cancelled) {
                (None, _) => TaskStatus::Pending,
                (Some(_), false) => TaskStatus::Success,
                (Some(_), true) => TaskStatus::Cancelled,
            },
            counts: self.counts(),
            created_at: Timestamp::from_millis(self.created_at),
            started_at: moment(self.started_at),
            completed_at: moment(self.completed_at),
            deleted: self.purge.as_ref().map(|purge| purge.deleted),
            retry_of: None,
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

/// Counts of a task whose first `cursor` operations were decided. Those of a damaged row, which may say anything, end at 0.
fn counts_at(total: u64, cursor: u64, failure: u64) -> Counts {
    Counts {
        total,
        success: cursor.saturating_sub(failure),
        failure,
        pending: total.saturating_sub(cursor),
        cancelled: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_says_more_than_can_be_is_shown() {
        let id = TaskId {
            kind: TaskKind::Bulk,
            ksuid: Ksuid::from_bytes([1; 20]),
        };
        let row = TaskProgress {
            cursor: 9,
            failures: 12,
            ..TaskProgress::new(id, Some(TargetType::Resource), 5, Timestamp::EPOCH)
        };
        let counts = row.counts();
        assert_eq!((counts.success, counts.failure, counts.pending), (0, 12, 0));
    }
}

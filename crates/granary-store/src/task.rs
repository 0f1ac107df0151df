//! A stored task and how lists of tasks are filtered.

use std::sync::Arc;

use granary_core::error::ErrorObject;
use granary_core::operation::{Action, Operation, TargetType, TypeRef};
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_core::task::{Outcome, Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;

/// A task at one moment, with what a store needs to find its receipts.
#[derive(Clone, Debug)]
pub struct StoredTask {
    /// What clients see of it.
    pub task: Task,
    /// The number of its source.
    pub source: u32,
    /// Its place in the order of acceptance among the tasks of its source.
    pub sequence: u64,
    /// The first operation that is not decided.
    pub cursor: u64,
    /// The types that its operations name by index.
    pub types: Arc<[TypeRef]>,
}

impl StoredTask {
    /// The same as a retry of this task, where it is one.
    #[must_use]
    pub fn retrying(mut self, parent: Option<TaskId>) -> Self {
        self.task.retry_of = parent;
        self
    }

    /// The receipt of an operation that is not decided, and where the task was cancelled never will be.
    pub fn pending_receipt(&self, index: u64, operation: &Operation) -> Receipt {
        Receipt {
            index,
            action: operation.action,
            target_type: operation.id.target_type(),
            type_key: self.types[operation.type_index as usize].key.as_str().to_owned(),
            id: operation.id.to_string(),
            status: match self.task.status {
                TaskStatus::Cancelled => ReceiptStatus::Cancelled,
                _ => ReceiptStatus::Pending,
            },
            unchanged: false,
            received_at: self.task.created_at,
            completed_at: None,
            error: None,
        }
    }

    /// The same for an operation that was decided.
    pub fn decided_receipt(
        &self,
        index: u64,
        operation: &Operation,
        at: Timestamp,
        unchanged: bool,
        error: Option<ErrorObject>,
    ) -> Receipt {
        let status = if error.is_some() {
            ReceiptStatus::Failure
        } else {
            ReceiptStatus::Success
        };
        let pending = self.pending_receipt(index, operation);
        Receipt {
            status,
            unchanged: unchanged && operation.action == Action::Upsert,
            completed_at: Some(at),
            error,
            ..pending
        }
    }
}

/// Which tasks a list shows. `None` shows all, but for `kind`: without one, tasks of single writes and bundles are
/// left out (contract, section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only tasks of this kind.
    pub kind: Option<TaskKind>,
    /// Only tasks with this status.
    pub status: Option<TaskStatus>,
    /// Only tasks that ended like this.
    pub outcome: Option<Outcome>,
    /// Only tasks on these.
    pub target_type: Option<TargetType>,
    /// Only tasks accepted later than this.
    pub created_after: Option<Timestamp>,
    /// Only tasks accepted before this.
    pub created_before: Option<Timestamp>,
}

impl TaskFilter {
    /// True where the list shows this task.
    pub fn admits(&self, task: &Task) -> bool {
        let at_once = matches!(task.id.kind, TaskKind::Single | TaskKind::Bundle);
        self.kind.map_or(!at_once, |kind| task.id.kind == kind)
            && self.status.is_none_or(|status| task.status == status)
            && self.outcome.is_none_or(|outcome| task.outcome() == Some(outcome))
            && self
                .target_type
                .is_none_or(|target| task.target_type == Some(target))
            && self.created_after.is_none_or(|at| task.created_at > at)
            && self.created_before.is_none_or(|at| task.created_at < at)
    }
}

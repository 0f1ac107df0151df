//! What the log and traces tell of tasks: one line when a task was accepted, one when it has ended.
//!
//! Fields have the same names everywhere: `task.id`, `source`, and `request.id`, which is that of the span around a call.

use granary_core::keys::Key;
use granary_core::task::{Task, TaskId, TaskStatus};
use granary_core::time::Timestamp;
use tracing::{debug, info};

/// The target of spans that are there for traces and not for the log.
pub const TRACES: &str = "granary::traces";
/// The name of the event that a task was accepted, as it is beside its fields in the log.
pub const TASK_ACCEPTED: &str = "granary.task.accepted";
/// The same that a task has ended.
pub const TASK_ENDED: &str = "granary.task.ended";

/// A task of a lane was accepted.
pub(crate) fn accepted(source: &Key, task: &Task) {
    info!(
        name: TASK_ACCEPTED,
        {
            task.id = %task.id,
            %source,
            operations = task.counts.total,
            retry_of = task.retry_of.map(tracing::field::display),
        },
        "a task was accepted"
    );
}

/// A task of a lane has ended.
pub(crate) fn ended(source: &Key, task: &Task) {
    let counts = &task.counts;
    let started_at = task.started_at.or(task.completed_at);
    info!(
        name: TASK_ENDED,
        {
            task.id = %task.id,
            %source,
            status = status(task.status),
            operations = counts.total,
            success = counts.success,
            failure = counts.failure,
            cancelled = counts.cancelled,
            waited_ms = millis(task.created_at, started_at),
            elapsed_ms = millis(task.created_at, task.completed_at),
        },
        "a task has ended"
    );
}

/// A single write or a bundle persisted; there are many of them.
pub(crate) fn persisted(source: &Key, task: TaskId, operations: usize) {
    debug!(task.id = %task, %source, operations, "a write persisted");
}

const fn status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Pending => "PENDING",
        TaskStatus::Cancelled => "CANCELLED",
        TaskStatus::Failure => "FAILURE",
        TaskStatus::Success => "SUCCESS",
    }
}

fn millis(from: Timestamp, to: Option<Timestamp>) -> u64 {
    let to = to.unwrap_or(from).millis();
    u64::try_from(to.saturating_sub(from.millis())).unwrap_or(0)
}

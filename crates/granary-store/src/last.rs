//! What the last chunk of a lane was of, for those who tell of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use granary_core::task::TaskId;

use crate::TaskProgress;

/// The task that the last chunk of a lane was of. It is there for logs and traces: nothing rests on it, and a store that
/// tells nothing is right too. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct LastChunk(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    task: Option<TaskId>,
    applied: Option<TaskProgress>,
}

impl LastChunk {
    /// Notes which task a chunk is of, before it is tried.
    pub fn tries(&self, task: TaskId) {
        *self.lock() = Last {
            task: Some(task),
            applied: None,
        };
    }

    /// Notes how far the task is with the chunk, where that is committed, or will be.
    pub fn applied(&self, task: &TaskProgress) {
        *self.lock() = Last {
            task: Some(task.id()),
            applied: Some(task.clone()),
        };
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        *self.lock() = Last::default();
    }

    /// The task, whatever became of the chunk.
    pub fn task(&self) -> Option<TaskId> {
        self.lock().task
    }

    /// The task with the chunk, where that was applied.
    pub fn take_applied(&self) -> Option<TaskProgress> {
        self.lock().applied.take()
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Requests that are taken in, whole in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use granary_core::operation::{TargetType, TypeRef};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;

use super::{State, lock};
use crate::{CheckedBatch, Idempotent, Result, Source, StoredTask, Upload};

/// A request on its way.
pub(super) struct MemoryUpload {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) source: Source,
    pub(super) task_id: TaskId,
    pub(super) target_type: TargetType,
    pub(super) types: Arc<[TypeRef]>,
    pub(super) batch: CheckedBatch,
    pub(super) idempotent: Option<Idempotent>,
    pub(super) retry_of: Option<TaskId>,
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.spooled -= self.batch.bodies.len() as u64;
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn push(&mut self, batch: CheckedBatch) -> Result<()> {
        let mut state = lock(&self.state);
        state.spooled += batch.bodies.len() as u64;
        self.batch.append(batch);
        let spooled = state.spooled;
        state.limits.admit_bytes(spooled)
    }

    fn set_idempotent(&mut self, request: Idempotent) {
        self.idempotent = Some(request);
    }

    fn set_retry_of(&mut self, parent: TaskId) {
        self.retry_of = Some(parent);
    }

    async fn accept(mut self: Box<Self>, definitions_revision: u64, now: Timestamp) -> Result<StoredTask> {
        let shared = Arc::clone(&self.state);
        let mut state = lock(&shared);
        let limits = state.limits;
        let source = state.open(&self.source)?;
        source.check_once(self.idempotent.as_ref())?;
        limits.admit_task(source.queue.len() as u64)?;
        if source.definitions.revision != definitions_revision {
            source
                .definitions
                .still_define(&self.types, self.batch.types_used())?;
        }
        let batch = std::mem::take(&mut self.batch);
        let bytes = batch.bodies.len() as u64;
        let task = source.add_task(
            self.task_id,
            Some(self.target_type),
            Arc::clone(&self.types),
            batch,
            now,
        );
        task.retry_of = self.retry_of;
        let stored = task.stored();
        source.keep_answer(self.idempotent.as_ref(), self.task_id, now);
        source.queue.push_back(stored.sequence);
        if source.queue.len() == 1 && source.held.is_none() {
            let number = source.source.number;
            state.ready.push_back(number);
        }
        // The upload no longer counts these bytes; the task does, until it ends. `Drop` sees an empty batch.
        assert!(state.spooled >= bytes);
        drop(state);
        Ok(stored)
    }
}

//! A bulk request on its way into the store.

use std::collections::BTreeSet;

use async_trait::async_trait;
use granary_core::operation::Operation;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;

use crate::{Budget, Idempotent, Result, StoredTask};

/// Checked operations in the order sent, with their bodies end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedBatch {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Their bodies, one after the other.
    pub bodies: Vec<u8>,
    /// Where the body of each operation ends in `bodies`. A delete, and an edge without data, has an empty one.
    pub body_ends: Vec<usize>,
}

impl CheckedBatch {
    /// Takes in an operation whose body was just appended to `bodies`.
    pub fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
        self.body_ends.push(self.bodies.len());
    }

    /// Takes in all of another behind its own.
    pub fn append(&mut self, batch: Self) {
        let base = self.bodies.len();
        self.operations.extend(batch.operations);
        self.bodies.extend(batch.bodies);
        self.body_ends
            .extend(batch.body_ends.into_iter().map(|end| base + end));
    }

    /// Its operations from `from` on, as many as the budget lets go, but one at least where there is one.
    pub fn chunk(&self, from: usize, budget: Budget) -> Self {
        let mut chunk = Self::default();
        let most = from.saturating_add(budget.operations.max(1));
        for index in from..self.operations.len().min(most) {
            let body = self.body(index);
            if index > from && (chunk.bodies.len() + body.len()) as u64 > budget.bytes {
                break;
            }
            chunk.bodies.extend_from_slice(body);
            chunk.push(self.operations[index].clone());
        }
        chunk
    }

    /// The types that its operations name, by index.
    pub fn types_used(&self) -> BTreeSet<u32> {
        self.operations
            .iter()
            .map(|operation| operation.type_index)
            .collect()
    }

    /// The body of the operation with this index.
    pub fn body(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.body_ends[before]);
        &self.bodies[start..self.body_ends[index]]
    }
}

/// A bulk request being spooled. Dropped before it is accepted, it leaves nothing behind.
#[async_trait]
pub trait Upload: Send {
    /// Spools the next operations.
    async fn push(&mut self, batch: CheckedBatch) -> Result<()>;

    /// Has it accepted once: [`StoreError::Answered`](crate::StoreError::Answered) where a request of its name was.
    fn set_idempotent(&mut self, request: Idempotent);

    /// Has the task say that it is a retry of this bulk task.
    fn set_retry_of(&mut self, parent: TaskId);

    /// Makes the request durable and a task, in one step: once this returns, nothing is lost and the task is found.
    /// `definitions_revision` is the revision that the operations were checked by: where definitions were *deleted*
    /// since, the request is refused; those replaced since do not matter to it.
    async fn accept(self: Box<Self>, definitions_revision: u64, now: Timestamp) -> Result<StoredTask>;
}

//! Operations of a task as they were accepted, read back.

use bytes::Bytes;
use granary_core::operation::{Action, Operation};

use crate::Weighed;

/// An operation of a task as it was accepted. What it carries may be gone once it has succeeded: see
/// [`Store::operations`](crate::Store::operations).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOperation {
    /// Which operation of the task, counted from 0.
    pub index: u64,
    /// What it does to which record, with the id that was made for it and what it says of meta.
    pub operation: Operation,
    /// Its body, empty where it has none; `None` where that is kept no longer.
    pub body: Option<Bytes>,
}

impl SentOperation {
    /// An operation whose body is kept no longer. A delete never had one.
    pub fn removed(index: u64, operation: Operation) -> Self {
        let body = (operation.action == Action::Delete).then(Bytes::new);
        Self {
            index,
            operation,
            body,
        }
    }
}

impl Weighed for SentOperation {
    fn bytes(&self) -> usize {
        let meta = self.operation.meta.as_ref().map_or(0, |meta| meta.bytes());
        self.body.as_ref().map_or(0, Bytes::len) + meta
    }
}

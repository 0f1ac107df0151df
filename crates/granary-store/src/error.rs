//! Why a store did not do what it was asked.

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::ksuid::Ksuid;
use granary_core::task::{Task, TaskId};

use crate::FirstAnswer;

/// What a call of a store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored does not allow it; the caller is told this.
    #[error("refused: {0}")]
    Refused(ErrorObject),
    /// The definitions changed since the caller read them: read them and try again.
    #[error("the definitions changed meanwhile")]
    DefinitionsChanged,
    /// A request of this name was carried out before, and answered with this; nothing was done now.
    #[error("a request with this idempotency key was carried out before")]
    Answered(Box<FirstAnswer>),
    /// The store cannot be reached, is closed, or failed to write; later it may do.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What was read is not what was written. For the operator only.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// The source does not exist, or is another one by now.
    pub fn source_gone(key: &str) -> Self {
        Self::Refused(ErrorObject::not_found(format!("source '{key}' does not exist")))
    }

    /// The task went with its source.
    pub fn task_gone(id: TaskId) -> Self {
        Self::Refused(ErrorObject::not_found(format!("task {id} does not exist")))
    }

    /// There is no such task.
    pub fn no_task(id: &Ksuid) -> Self {
        Self::Refused(ErrorObject::not_found(format!("task '{id}' does not exist")))
    }

    /// The task cannot be cancelled.
    pub fn task_ended(task: &Task) -> Self {
        Self::precondition(format!("task {} has ended; what it did stays", task.id))
    }

    /// The source cannot be deleted while it holds these.
    pub fn source_holds(key: &Key, what: &str) -> Self {
        Self::precondition(format!(
            "source '{key}' holds {what}; delete them first, or all of it with ?purge=true"
        ))
    }

    /// Something is put back only into a source that holds nothing, and this one holds these.
    pub fn source_must_be_empty(key: &Key, what: &str) -> Self {
        Self::precondition(format!(
            "source '{key}' holds {what}, and an import is put into one that holds nothing; name another source, or \
             delete this one with all it holds first (?purge=true)"
        ))
    }

    /// What is stored does not allow it.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::Refused(ErrorObject::failed_precondition(message))
    }

    /// Too much is waiting.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::Refused(ErrorObject::new(ErrorType::ResourceExhausted, message))
    }
}

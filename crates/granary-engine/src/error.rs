//! What a caller is told when the store did not do what it was asked.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use granary_core::error::{ErrorObject, ErrorType};
use granary_store::StoreError;
use tracing::{debug, error};

/// The error object for a failure of the store. What is for the operator only is logged here and not shown.
pub fn error_object(failure: StoreError) -> ErrorObject {
    match failure {
        StoreError::Refused(error) => error,
        StoreError::DefinitionsChanged => unavailable(
            "the definitions of the source were changed at the same time, again and again; send the request again",
        ),
        // Whoever may meet it replays the answer.
        StoreError::Answered(_) => ErrorObject::aborted("the request was carried out before"),
        StoreError::Unavailable(reason) => {
            // A store that is out of reach is so for every call.
            match was_told_lately() {
                true => debug!(reason, "the store is not available"),
                false => error!(reason, "the store is not available"),
            }
            unavailable("the store was out of reach; send the request again")
        }
        StoreError::Damaged(reason) => {
            error!(reason, "the store is damaged");
            internal()
        }
    }
}

/// True where it was asked, and answered false, less than some seconds ago.
fn was_told_lately() -> bool {
    const TELL_EVERY: Duration = Duration::from_secs(5);
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
        return true;
    }
    *told = Some(Instant::now());
    false
}

pub(crate) fn unavailable(message: &str) -> ErrorObject {
    ErrorObject::new(ErrorType::Unavailable, message)
}

pub(crate) fn internal() -> ErrorObject {
    ErrorObject::internal()
}

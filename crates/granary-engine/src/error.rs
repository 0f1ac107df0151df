//! What a caller is told when the store did not do what it was asked.

use granary_core::error::{ErrorObject, ErrorType};
use granary_store::StoreError;
use tracing::error;

/// The error object for a failure of the store. What is for the operator only is logged here and not shown.
pub fn error_object(failure: StoreError) -> ErrorObject {
    match failure {
        StoreError::Refused(error) => error,
        StoreError::DefinitionsChanged => ErrorObject::new(
            ErrorType::Aborted,
            "the definitions of the source were changed at the same time, again and again; send the request again",
        ),
        StoreError::Unavailable(reason) => {
            error!(reason, "the store is not available");
            unavailable("the store was out of reach; send the request again")
        }
        StoreError::Damaged(reason) => {
            error!(reason, "the store is damaged");
            internal()
        }
    }
}

pub(crate) fn unavailable(message: &str) -> ErrorObject {
    ErrorObject::new(ErrorType::Unavailable, message)
}

pub(crate) fn internal() -> ErrorObject {
    ErrorObject::new(ErrorType::Internal, "something went wrong inside the server")
}

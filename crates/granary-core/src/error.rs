//! The table of error types (contract, section 9) and the error object that carries one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of failure this is. A program acts on the type, a person reads the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorType {
    /// Malformed, or breaks the schema or a rule, whatever is stored.
    InvalidArgument,
    /// What is stored does not allow it now.
    FailedPrecondition,
    /// Past a valid range.
    OutOfRange,
    /// No valid key.
    Unauthenticated,
    /// The key lacks the right.
    PermissionDenied,
    /// No such id, key or task.
    NotFound,
    /// A create on an existing id or edge.
    AlreadyExists,
    /// Given up because of something going on at the same time.
    Aborted,
    /// Over a limit.
    ContentTooLarge,
    /// Body type or encoding not known.
    UnsupportedMediaType,
    /// Too much is waiting.
    ResourceExhausted,
    /// Our fault.
    Internal,
    /// Not supported.
    Unimplemented,
    /// Stopping, or the store is out of reach.
    Unavailable,
}

/// One row of the table of error types.
#[derive(Clone, Copy, Debug)]
pub struct ErrorTypeSpec {
    /// The name on the wire, such as `ALREADY_EXISTS`.
    pub name: &'static str,
    /// The HTTP status that goes with it unless a place says otherwise.
    pub code: u16,
    /// When it is given.
    pub meaning: &'static str,
    /// What the reader of it should do.
    pub advice: &'static str,
}

impl ErrorType {
    /// Every type, in the order of the contract.
    pub const ALL: [Self; 14] = [
        Self::InvalidArgument,
        Self::FailedPrecondition,
        Self::OutOfRange,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Aborted,
        Self::ContentTooLarge,
        Self::UnsupportedMediaType,
        Self::ResourceExhausted,
        Self::Internal,
        Self::Unimplemented,
        Self::Unavailable,
    ];

    /// The row of the table for this type.
    pub const fn spec(self) -> ErrorTypeSpec {
        let (name, code, meaning, advice) = match self {
            Self::InvalidArgument => (
                "INVALID_ARGUMENT",
                400,
                "Malformed, or breaks the schema or a rule, whatever is stored.",
                "Correct what `details` points at and send it again; the same request will always fail.",
            ),
            Self::FailedPrecondition => (
                "FAILED_PRECONDITION",
                400,
                "What is stored does not allow it now (412 where an `If-Match` did not hold).",
                "Read the current state, change it or the request, then send it again.",
            ),
            Self::OutOfRange => (
                "OUT_OF_RANGE",
                400,
                "Past a valid range: a cursor that is not of this list.",
                "Start the list again without a cursor.",
            ),
            Self::Unauthenticated => (
                "UNAUTHENTICATED",
                401,
                "No valid key was sent.",
                "Send a key in `X-API-Key` or `Authorization: Bearer`.",
            ),
            Self::PermissionDenied => (
                "PERMISSION_DENIED",
                403,
                "The key lacks the right.",
                "Use a key with the role and the source that the call needs.",
            ),
            Self::NotFound => (
                "NOT_FOUND",
                404,
                "No such id, key or task (410 for what retention removed).",
                "Check the name; for an edge, store both its ends first.",
            ),
            Self::AlreadyExists => (
                "ALREADY_EXISTS",
                409,
                "A create named an id or an edge that exists.",
                "Use an upsert where replacing is meant.",
            ),
            Self::Aborted => (
                "ABORTED",
                409,
                "An idempotency key is in flight, or was used with another body (422).",
                "Wait for the first answer, or take a new key.",
            ),
            Self::ContentTooLarge => (
                "CONTENT_TOO_LARGE",
                413,
                "Over a limit; the message says which and its value.",
                "Send less at once, or have the limit raised.",
            ),
            Self::UnsupportedMediaType => (
                "UNSUPPORTED_MEDIA_TYPE",
                415,
                "The type or the encoding of the body is not known.",
                "Send one that the message names.",
            ),
            Self::ResourceExhausted => (
                "RESOURCE_EXHAUSTED",
                429,
                "Too much is waiting.",
                "Send it again after the seconds in `Retry-After`.",
            ),
            Self::Internal => (
                "INTERNAL",
                500,
                "Our fault; nothing of the inside is shown.",
                "Report it with the request id.",
            ),
            Self::Unimplemented => (
                "UNIMPLEMENTED",
                501,
                "Not supported (405 where the path has no such method).",
                "Use another call; `Allow` names the methods of the path.",
            ),
            Self::Unavailable => (
                "UNAVAILABLE",
                503,
                "Stopping, or the store is out of reach.",
                "Send it again after the seconds in `Retry-After`.",
            ),
        };
        ErrorTypeSpec {
            name,
            code,
            meaning,
            advice,
        }
    }
}

/// One fault inside an error: where it is and which rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ErrorDetail")]
pub struct Detail {
    /// What kind of fault.
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// For people: lower case, factual, then a hint.
    pub message: String,
    /// RFC 6901 pointer into what was sent (contract, section 13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The rule that is broken, such as `required` or `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// The error object: the body of a failed call and the `error` of a receipt (contract, section 9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
#[schemars(rename = "Error")]
pub struct ErrorObject {
    /// The HTTP status.
    pub code: u16,
    /// What kind of failure.
    #[serde(rename = "type")]
    pub error_type: ErrorType,
    /// For people.
    pub message: String,
    /// Every fault that was found, as far as the limit `detailsPerError` goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// How many faults there are, where `details` holds fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_total: Option<u64>,
    /// After how many seconds it may be sent again, where that was measured: the header `Retry-After` tells it, the body
    /// does not.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl ErrorObject {
    /// An error of this type with the status that its row in the table names.
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        let code = error_type.spec().code;
        Self {
            code,
            error_type,
            message: message.into(),
            details: Vec::new(),
            details_total: None,
            retry_after: None,
        }
    }

    /// The same with another status, for the few places where the contract names one.
    pub fn with_code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// The same with these faults in it.
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    /// The same, to be sent again after so many seconds.
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same without its faults, only their number: what a rejected request answers past `detailedFailures`.
    pub fn without_details(mut self) -> Self {
        let total = self.details_total.unwrap_or(self.details.len() as u64);
        self.details_total = (total > 0).then_some(total);
        self.details.clear();
        self
    }

    /// `INVALID_ARGUMENT` with this message.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorType::InvalidArgument, message)
    }

    /// `NOT_FOUND` with this message.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorType::NotFound, message)
    }

    /// `FAILED_PRECONDITION` with this message.
    pub fn failed_precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorType::FailedPrecondition, message)
    }

    /// `ABORTED` with this message.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self::new(ErrorType::Aborted, message)
    }

    /// `INTERNAL`, in words that name nothing of the inside: what happened is for the log.
    pub fn internal() -> Self {
        Self::new(ErrorType::Internal, "something went wrong inside the server")
    }

    /// `CONTENT_TOO_LARGE` for the limit with this name and value.
    pub fn over_limit(what: &str, limit: &str, value: u64) -> Self {
        Self::new(
            ErrorType::ContentTooLarge,
            format!("{what} is over the limit {limit} of {value}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_on_the_wire_is_the_name_in_the_table() {
        for error_type in ErrorType::ALL {
            let wire = serde_json::to_string(&error_type).unwrap();
            assert_eq!(wire, format!("{:?}", error_type.spec().name));
        }
    }

    #[test]
    fn an_error_without_details_keeps_their_number() {
        let detail = Detail {
            error_type: ErrorType::InvalidArgument,
            message: "m".into(),
            path: None,
            rule: None,
        };
        let error = ErrorObject::invalid("x").with_details(vec![detail.clone(), detail]);
        let bare = error.without_details();
        assert_eq!((bare.details.len(), bare.details_total), (0, Some(2)));
        assert_eq!(ErrorObject::invalid("x").without_details().details_total, None);
    }
}

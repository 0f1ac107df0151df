//! Answers: JSON, and the one place where an error object becomes a response.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_api::JSON;
use granary_api::bulk::{BulkStatus, BulkValid};
use granary_core::error::{ErrorObject, ErrorType};
use serde::Serialize;

/// What a handler returns.
pub(crate) type Reply = Result<Response, Failure>;

/// A failed call. Its body is the error object (contract, section 9).
pub(crate) struct Failure(pub(crate) ErrorObject);

impl From<ErrorObject> for Failure {
    fn from(error: ErrorObject) -> Self {
        Self(error)
    }
}

/// When a client that was sent away may come back, in seconds, where what it waits for is not measured.
const RETRY_AFTER_SECONDS: u32 = 1;

/// How a client that was not let in is to say who it is.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="granary""#);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &self.0);
        if matches!(
            self.0.error_type,
            ErrorType::ResourceExhausted | ErrorType::Unavailable
        ) {
            let seconds = self.0.retry_after.unwrap_or(RETRY_AFTER_SECONDS);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.error_type == ErrorType::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => raw_json(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, "").into_response()
        }
    }
}

/// The answer of a write that was checked only: it has so many operations, and nothing is wrong with them.
pub(crate) fn valid(count: u64) -> Response {
    let status = BulkStatus::Valid;
    json(StatusCode::OK, &BulkValid { status, count })
}

/// An answer that is JSON already.
pub(crate) fn raw_json(status: StatusCode, body: impl Into<Body>) -> Response {
    typed(status, JSON, body)
}

/// An answer of this media type.
pub(crate) fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The same answer with one more header; a value that is no header value is left out.
pub(crate) fn with_header(mut response: Response, name: axum::http::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

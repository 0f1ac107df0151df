//! What a call carries: names in its path, its query, its body.

use axum::extract::{FromRequestParts, Query, Request};
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use granary_api::{JSON, NDJSON};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::limits::Limits;
use serde::de::DeserializeOwned;

use crate::reply::Failure;

/// How many a list answers unless told (contract, section 2).
const LIMIT_DEFAULT: u64 = 50;

/// The query of a call; unknown parameters and values are refused.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => {
                // The chain below says which parameter; the sentence above it says only that there is one.
                let mut cause: &dyn std::error::Error = &error;
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                Err(ErrorObject::invalid(format!("the query of the URL is not valid: {cause}")).into())
            }
        }
    }
}

/// The key of something that may exist: a name that is no key names nothing.
pub(crate) fn existing(what: &str, raw: &str) -> Result<Key, ErrorObject> {
    Key::parse(raw).map_err(|_| ErrorObject::not_found(format!("{what} '{}' does not exist", shortened(raw))))
}

/// A name from a path, short enough for a message.
pub(crate) fn shortened(raw: &str) -> String {
    raw.chars().take(100).collect()
}

/// How many a list is to answer.
pub(crate) fn page_limit(asked: Option<u64>, limits: &Limits) -> Result<usize, ErrorObject> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT.min(limits.list_limit));
    if limit == 0 || limit > limits.list_limit {
        let message = format!("limit must be from 1 to {} (listLimit)", limits.list_limit);
        return Err(ErrorObject::invalid(message));
    }
    Ok(limit as usize)
}

/// True where the client would rather have NDJSON.
pub(crate) fn wants_ndjson(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accept.split(',').any(|one| media_type(one) == NDJSON)
}

fn media_type(raw: &str) -> String {
    raw.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The media type of a body, one of `known`; a body without one is JSON.
pub(crate) fn body_type(headers: &HeaderMap, known: &[&'static str]) -> Result<&'static str, ErrorObject> {
    let unsupported = |what: String| ErrorObject::new(ErrorType::UnsupportedMediaType, what);
    let encoding = header(headers, &CONTENT_ENCODING).unwrap_or("identity");
    if !encoding.trim().eq_ignore_ascii_case("identity") {
        return Err(unsupported(format!(
            "the Content-Encoding '{encoding}' is not known; send the body as it is"
        )));
    }
    let Some(raw) = headers.get(CONTENT_TYPE) else {
        return Ok(JSON);
    };
    let sent = media_type(raw.to_str().unwrap_or_default());
    known
        .iter()
        .find(|known| **known == sent)
        .copied()
        .ok_or_else(|| {
            unsupported(format!(
                "the Content-Type '{sent}' is not known here; send {}",
                known.join(" or ")
            ))
        })
}

/// Refuses at once a body whose length is told and over the limit.
pub(crate) fn check_length(headers: &HeaderMap, limit: &str, bytes_max: u64) -> Result<(), ErrorObject> {
    let told = header(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    match told {
        Some(length) if length > bytes_max => Err(ErrorObject::over_limit("the body", limit, bytes_max)),
        _ => Ok(()),
    }
}

/// The body of a call that is held as a whole: JSON, within a limit.
pub(crate) async fn json_body(request: Request, limit: &str, bytes_max: u64) -> Result<Bytes, ErrorObject> {
    body_type(request.headers(), &[JSON])?;
    check_length(request.headers(), limit, bytes_max)?;
    let mut body = BytesMut::new();
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| ErrorObject::invalid(format!("the body breaks off: {error}")))?;
        if (body.len() + piece.len()) as u64 > bytes_max {
            return Err(ErrorObject::over_limit("the body", limit, bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

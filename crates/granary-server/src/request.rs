//! What a call carries: names in its path, its query, its body.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{self, FromRequestParts, Query, Request};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use granary_api::{JSON, NDJSON};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::json::without_byte_order_mark;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_engine::BodyError;
use serde::de::DeserializeOwned;

use crate::coding::{coding_of, decoded, encoded_bytes_max};
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

/// The query of a call that has none: a parameter that would do nothing is refused too.
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match parts.uri.query().unwrap_or_default() {
            "" => Ok(Self),
            query => {
                let message = format!("this call has no query, leave '?{}' out", shortened(query));
                Err(ErrorObject::invalid(message).into())
            }
        }
    }
}

/// The names in the path of a call.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(extract::Path(names)) => Ok(Self(names)),
            Err(_) => Err(ErrorObject::invalid("the path of the URL is not UTF-8 once it is decoded").into()),
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

/// How many a stream is to answer: all, unless it says how many.
pub(crate) fn stream_limit(asked: Option<u64>, limits: &Limits) -> Result<usize, ErrorObject> {
    asked.map_or(Ok(usize::MAX), |limit| page_limit(Some(limit), limits))
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
    coding_of(headers)?;
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
                "the Content-Type '{}' is not known here; send {}",
                shortened(&sent),
                known.join(" or ")
            ))
        })
}

/// How long a body is as it is sent, where that is told.
pub(crate) fn told_length(headers: &HeaderMap) -> Option<u64> {
    header(headers, &CONTENT_LENGTH)?.parse().ok()
}

/// How long a body may stand still: it holds a place among the requests in flight meanwhile.
const BODY_STILL_MAX: Duration = Duration::from_secs(60);

/// The body of a call, decoded, piece by piece: whoever takes them counts them against the limit. Refuses at once a body
/// whose length is told and over it.
pub(crate) fn body_pieces(
    request: Request,
    limit: &str,
    bytes_max: u64,
) -> Result<impl Stream<Item = Result<Bytes, BodyError>> + Send + use<>, ErrorObject> {
    let coding = coding_of(request.headers())?;
    let sent_max = match coding {
        None => bytes_max,
        Some(_) => encoded_bytes_max(bytes_max),
    };
    let over_limit = || ErrorObject::over_limit("the body", limit, bytes_max);
    if told_length(request.headers()).is_some_and(|length| length > sent_max) {
        return Err(over_limit());
    }
    let sent = sent_pieces(request.into_body()).map_err(BodyError::BrokenOff);
    Ok(match coding {
        None => sent.left_stream(),
        Some(coding) => decoded(coding, sent, sent_max, over_limit()).right_stream(),
    })
}

/// The pieces of a body as they come, or why it breaks off, in words that name nothing of the inside.
fn sent_pieces(body: Body) -> impl Stream<Item = Result<Bytes, String>> + Send + use<> {
    stream::unfold(Some(body.into_data_stream()), |pieces| async {
        let mut pieces = pieces?;
        match tokio::time::timeout(BODY_STILL_MAX, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a body broke off");
                let why = "the connection ended, or what was sent does not have the length that was told";
                Some((Err(why.to_owned()), None))
            }
            Ok(None) => None,
            Err(_) => {
                let why = format!("nothing came for {} s", BODY_STILL_MAX.as_secs());
                Some((Err(why), None))
            }
        }
    })
}

/// The body of a call that is held as a whole: JSON, within a limit.
pub(crate) async fn json_body(request: Request, limit: &str, bytes_max: u64) -> Result<Bytes, ErrorObject> {
    whole_body(request, &[JSON], limit, bytes_max).await
}

/// A body of one of the `known` media types, as a whole, within a limit.
pub(crate) async fn whole_body(
    request: Request,
    known: &[&'static str],
    limit: &str,
    bytes_max: u64,
) -> Result<Bytes, ErrorObject> {
    body_type(request.headers(), known)?;
    let mut body = BytesMut::new();
    let mut pieces = pin!(body_pieces(request, limit, bytes_max)?);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| match error {
            BodyError::Refused(refusal) => refusal,
            broken => ErrorObject::invalid(broken.to_string()),
        })?;
        if (body.len() + piece.len()) as u64 > bytes_max {
            return Err(ErrorObject::over_limit("the body", limit, bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The object that a body spells; `example` is one that is right.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8], what: &str, example: &str) -> Result<T, ErrorObject> {
    let body = without_byte_order_mark(body);
    let not_so = |why: String| ErrorObject::invalid(format!("{what} is written as {example}: {why}"));
    // An array of the members in their order is the same to serde.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(not_so("it is an array".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| not_so(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_breaks_off() {
        let slow = stream::unfold(0, |n| async move {
            tokio::time::sleep(BODY_STILL_MAX * n / 2).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), n + 1))
        });
        let pieces: Vec<_> = sent_pieces(Body::from_stream(slow)).collect().await;
        // It waited for nothing, for half of it, and for all of it or longer.
        let (last, before) = pieces.split_last().unwrap();
        assert!(before.len() >= 2 && before.iter().all(Result::is_ok));
        assert_eq!(last.as_ref().unwrap_err(), "nothing came for 60 s");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_says_so_without_the_inside() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(io::Error::other("the inside"))]);
        let pieces: Vec<_> = sent_pieces(Body::from_stream(broken)).collect().await;
        assert_eq!(pieces.len(), 2);
        assert!(!pieces[1].as_ref().unwrap_err().contains("inside"));
    }
}

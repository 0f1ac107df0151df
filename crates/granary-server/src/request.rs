//! What a call carries: names in its path, its query, its body.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{self, FromRequestParts, Query, Request};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use granary_api::{JSON, NDJSON};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::json::without_byte_order_mark;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_engine::{BodyError, Engine};
use mime::Mime;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::coding::{coding_of, decoded, encoded_bytes_max};
use crate::reply::Failure;

/// How many a list answers unless told (contract, section 2).
const LIMIT_DEFAULT: u64 = 50;

/// The query of a call; unknown parameters and values are refused.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // What takes it apart would put U+FFFD in the place of bytes that are none.
        let query = parts.uri.query().unwrap_or_default();
        if percent_decode_str(query).decode_utf8().is_err() {
            let message = "the query of the URL is not UTF-8 once it is decoded";
            return Err(ErrorObject::invalid(message).into());
        }
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

/// A media type with its parameters. Blanks around semicolons, and nothing between two of them, are legal (RFC 9110, section
/// 5.6.6), and more than the parser takes.
fn media_type(raw: &str) -> Option<Mime> {
    let mut quoted = false;
    let parts = raw.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    let parts: Vec<&str> = parts
        .map(|part| part.trim_matches([' ', '\t']))
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(";").parse().ok()
}

/// True where the client names NDJSON, and names JSON with no greater weight (RFC 9110, section 12.4.2).
pub(crate) fn wants_ndjson(headers: &HeaderMap) -> bool {
    let named = { headers.get_all(ACCEPT).iter() }
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(media_type);
    let (mut ndjson, mut json) = (0.0, 0.0);
    for named in named {
        let weight = named.get_param("q").map(|weight| weight.as_str().parse());
        let weight: f32 = weight.and_then(Result::ok).unwrap_or(1.0);
        match named.essence_str() {
            NDJSON => ndjson = weight,
            JSON => json = weight,
            _ => {}
        }
    }
    ndjson > 0.0 && ndjson >= json
}

/// UTF-8 by its name or the other that clients give it, or a part of it; in lower case.
const UTF8: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

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
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(ErrorObject::invalid(
            "a body has one Content-Type, and not several",
        ));
    }
    let raw = raw.to_str().unwrap_or_default();
    let sent = media_type(raw);
    let charset = { sent.as_ref() }.and_then(|sent| sent.get_param(mime::CHARSET));
    if let Some(charset) = charset.filter(|charset| !UTF8.contains(&&*charset.as_str().to_lowercase())) {
        return Err(unsupported(format!(
            "the charset '{}' is not read here; send the body in UTF-8",
            shortened(charset.as_str())
        )));
    }
    let sent = sent.as_ref().map_or(raw, Mime::essence_str);
    known
        .iter()
        .find(|known| **known == sent)
        .copied()
        .ok_or_else(|| {
            unsupported(format!(
                "the Content-Type '{}' is not known here; send {}",
                shortened(sent),
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
    let engine = request.extensions().get::<Engine>().cloned();
    let is_crowded = move || engine.as_ref().is_some_and(Engine::is_crowded);
    let sent = sent_pieces(request.into_body(), is_crowded);
    Ok(match coding {
        None => sent.left_stream(),
        Some(coding) => decoded(coding, sent, sent_max, over_limit()).right_stream(),
    })
}

/// While others wait for a place among the requests in flight, a body must bring so many bytes
const CROWDED_BYTES_MIN: usize = 5_000;
/// for each so long that it is waited for: clients that are slow, or mean no good, do not keep the places from all others.
const CROWDED_WAIT_MAX: Duration = Duration::from_secs(5);

/// A body on its way in.
struct Sent<C> {
    pieces: BodyDataStream,
    is_crowded: C,
    /// How long it was waited for since it was looked at how slow it is,
    waited: Duration,
    /// and what came meanwhile.
    came: usize,
}

impl<C: Fn() -> bool> Sent<C> {
    /// The next piece, or why there is none.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let mut still = Duration::ZERO;
        loop {
            let began = Instant::now();
            let next = timeout(CROWDED_WAIT_MAX.saturating_sub(self.waited), self.pieces.next()).await;
            let waited = began.elapsed();
            (self.waited, still) = (self.waited + waited, still + waited);
            if let Ok(Some(Ok(piece))) = &next {
                self.came += piece.len();
            }
            if self.waited >= CROWDED_WAIT_MAX {
                if self.came < CROWDED_BYTES_MIN && (self.is_crowded)() {
                    return Some(Err(BodyError::Refused(ErrorObject::new(
                        ErrorType::ResourceExhausted,
                        "the body came so slowly that its place among the requests in flight went to others; send the \
                         request again later",
                    ))));
                }
                (self.waited, self.came) = (Duration::ZERO, 0);
            }
            return match next {
                Ok(Some(Ok(piece))) => Some(Ok(piece)),
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "a body broke off");
                    let why = "the connection ended, or what was sent does not have the length that was told";
                    Some(Err(BodyError::BrokenOff(why.to_owned())))
                }
                Ok(None) => None,
                Err(_) if still < BODY_STILL_MAX => continue,
                Err(_) => {
                    let why = format!("nothing came for {} s", BODY_STILL_MAX.as_secs());
                    Some(Err(BodyError::BrokenOff(why)))
                }
            };
        }
    }
}

/// The pieces of a body as they come, or why it breaks off, in words that name nothing of the inside.
fn sent_pieces<C: Fn() -> bool + Send>(
    body: Body,
    is_crowded: C,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<C> {
    let sent = Sent {
        pieces: body.into_data_stream(),
        is_crowded,
        waited: Duration::ZERO,
        came: 0,
    };
    stream::unfold(Some(sent), |sent| async {
        let mut sent = sent?;
        let piece = sent.next().await?;
        let goes_on = piece.is_ok();
        Some((piece, goes_on.then_some(sent)))
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

    #[test]
    fn ndjson_is_for_who_names_it_and_weighs_json_no_higher() {
        for (sent, wants) in [
            (&["application/x-ndjson"][..], true),
            (&["Application/X-NDJSON;q=0.5, text/html;q=0.9"], true),
            (&["application/json", "application/x-ndjson"], true),
            (&["application/x-ndjson ;\tq=0.5"], true),
            (&["application/json;q=0.5, application/x-ndjson;q=0.9"], true),
            (&["application/json, application/x-ndjson;q=0.9"], false),
            (&["application/x-ndjson;q=0"], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&[], false),
        ] {
            let value = |sent: &&str| (ACCEPT, sent.parse().unwrap());
            assert_eq!(wants_ndjson(&sent.iter().map(value).collect()), wants, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_breaks_off() {
        let slow = stream::unfold(0, |n| async move {
            tokio::time::sleep(BODY_STILL_MAX * n / 2).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), n + 1))
        });
        let pieces: Vec<_> = sent_pieces(Body::from_stream(slow), || false).collect().await;
        // It waited for nothing, for half of it, and for all of it or longer.
        let (last, before) = pieces.split_last().unwrap();
        assert!(before.len() >= 2 && before.iter().all(Result::is_ok));
        assert!(told(last).ends_with("nothing came for 60 s"), "{}", told(last));
    }

    fn told(piece: &Result<Bytes, BodyError>) -> String {
        piece.as_ref().unwrap_err().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_gives_its_place_up_only_where_others_wait_for_it() {
        // A thousand bytes a second, and a little less.
        for (bytes, crowded, is_cut) in [
            (1_000, true, false),
            (990, true, true),
            (990, false, false),
            (0, true, true),
        ] {
            let trickle = stream::iter(0..30).then(move |_| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, io::Error>(Bytes::from(vec![b'x'; bytes]))
            });
            let began = Instant::now();
            let sent = sent_pieces(Body::from_stream(trickle), move || crowded);
            let pieces: Vec<_> = sent.collect().await;
            let cut = pieces.iter().find(|piece| piece.is_err());
            assert_eq!(cut.is_some(), is_cut, "{bytes} {crowded}");
            if let Some(cut) = cut {
                assert!(matches!(cut, Err(BodyError::Refused(error)) if error.code == 429));
                assert!(began.elapsed() < CROWDED_WAIT_MAX * 2);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_not_slow_because_its_reader_is() {
        let quick = stream::iter((0..30).map(|_| Ok::<_, io::Error>(Bytes::from_static(b"x"))));
        let mut sent = pin!(sent_pieces(Body::from_stream(quick), || true));
        while let Some(piece) = sent.next().await {
            piece.unwrap();
            tokio::time::sleep(CROWDED_WAIT_MAX).await;
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_says_so_without_the_inside() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(io::Error::other("the inside"))]);
        let pieces: Vec<_> = sent_pieces(Body::from_stream(broken), || true).collect().await;
        assert_eq!(pieces.len(), 2);
        assert!(!told(&pieces[1]).contains("inside"));
    }
}

//! Answers in the coding that their client asks for (RFC 9110, section 12.5.3).
//!
//! An answer with an `ETag` goes as it is: a strong tag must not name two different strings of bytes (RFC 9110, section
//! 8.8.3.3), and a tag for each coding would have to be taken apart again wherever a client sends it back. Such answers are
//! single records.

use std::io::{self, Write};
use std::mem;

use axum::body::{Body, HttpBody};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};

use super::Coding;

/// What is shorter goes as it is: it would hardly shrink.
const BYTES_MIN: u64 = 1_000;
/// Fast above all: the receipts of millions of operations shrink to a tenth all the same.
const ZSTD_LEVEL: i32 = 1;

/// The answer in the coding that the headers of its request ask for.
pub(crate) fn encoded(request: &HeaderMap, mut answer: Response) -> Response {
    let headers = answer.headers();
    if !shrinks(headers) || headers.contains_key(ETAG) || headers.contains_key(CONTENT_ENCODING) {
        return answer;
    }
    answer
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let short = answer
        .body()
        .size_hint()
        .exact()
        .is_some_and(|bytes| bytes < BYTES_MIN);
    let Some(encoder) = wanted(request).filter(|_| !short).and_then(Encoder::new) else {
        return answer;
    };
    let headers = answer.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(
        CONTENT_ENCODING,
        HeaderValue::from_static(encoder.coding().name()),
    );
    answer.map(|body| encoded_body(encoder, body))
}

/// True where the body is text.
fn shrinks(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        granary_api::JSON | granary_api::NDJSON | "application/openmetrics-text" => true,
        // Each event is to arrive when it happens, also through what stands between.
        "text/event-stream" => false,
        kind => kind.starts_with("text/"),
    }
}

/// The coding that is asked for: the one with the largest weight, zstd of two that are equal. `None` where neither is, or
/// the client would rather have the answer as it is.
fn wanted(headers: &HeaderMap) -> Option<Coding> {
    // In thousandths.
    let (mut gzip, mut zstd, mut identity, mut any) = (None, None, None, None);
    for line in headers.get_all(ACCEPT_ENCODING) {
        for one in line.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
            let Some(weight) = weight(parameters) else {
                continue;
            };
            let name = name.trim();
            let of = match Coding::parse(name) {
                Some(Coding::Gzip) => &mut gzip,
                Some(Coding::Zstd) => &mut zstd,
                None if name == "*" => &mut any,
                None if name.eq_ignore_ascii_case("identity") => &mut identity,
                None => continue,
            };
            *of = Some(weight.max(of.unwrap_or(0)));
        }
    }
    let weight = |of: Option<u32>| of.or(any).unwrap_or(0);
    let (best, coding) = match (weight(gzip), weight(zstd)) {
        (gzip, zstd) if gzip > zstd => (gzip, Coding::Gzip),
        (_, zstd) => (zstd, Coding::Zstd),
    };
    (best > 0 && best >= identity.unwrap_or(0)).then_some(coding)
}

/// The weight in thousandths that `;q=0.5` gives (RFC 9110, section 12.4.2): 1 unless said; `None` for what is none.
fn weight(parameters: &str) -> Option<u32> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1_000);
    }
    let (name, value) = parameters.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// An encoder whose output is taken from it piece by piece.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> Option<Self> {
        Some(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Coding::Zstd => match zstd::Encoder::new(Vec::new(), ZSTD_LEVEL) {
                Ok(encoder) => Self::Zstd(encoder),
                Err(error) => {
                    tracing::warn!(%error, "an answer goes as it is, zstd could not be begun");
                    return None;
                }
            },
        })
    }

    const fn coding(&self) -> Coding {
        match self {
            Self::Gzip(_) => Coding::Gzip,
            Self::Zstd(_) => Coding::Zstd,
        }
    }

    /// The piece, encoded to its last byte: whoever reads along has all that was said so far.
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                Ok(mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                Ok(mem::take(encoder.get_mut()))
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// The body, encoded as it comes. Where it breaks off the encoded one does too.
fn encoded_body(encoder: Encoder, body: Body) -> Body {
    let first = Some((encoder, body.into_data_stream()));
    Body::from_stream(stream::try_unfold(first, |state| async {
        let Some((mut encoder, mut pieces)) = state else {
            return Ok(None);
        };
        let piece = pieces.next().await.transpose().map_err(io::Error::other)?;
        let work = move || match piece {
            Some(piece) => encoder.push(&piece).map(|out| (out, Some(encoder))),
            None => encoder.finish().map(|out| (out, None)),
        };
        let (out, encoder) = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)??;
        io::Result::Ok(Some((Bytes::from(out), encoder.map(|encoder| (encoder, pieces)))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_is_the_one_that_weighs_most() {
        use Coding::{Gzip, Zstd};
        for (asked, expected) in [
            ("", None),
            ("gzip", Some(Gzip)),
            ("X-GZIP", Some(Gzip)),
            ("zstd", Some(Zstd)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip;q=1.0, zstd;q=0.9", Some(Gzip)),
            ("gzip; Q=0.001", Some(Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0, *", Some(Zstd)),
            ("*;q=0.5, zstd;q=0.2", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*;q=0", None),
            ("br, deflate", None),
            ("identity;q=1, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity, *;q=0.1", None),
            ("gzip;q=2, zstd;q=1.001, gzip;level=1", None),
            ("gzip;q=.5", None),
            ("gzip;q=0.1234", None),
            (",, gzip ,", Some(Gzip)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(asked));
            assert_eq!(wanted(&headers), expected, "{asked}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.1"));
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("zstd;q=0.2"));
        assert_eq!(wanted(&headers), Some(Zstd));
        assert_eq!(wanted(&HeaderMap::new()), None);
    }
}

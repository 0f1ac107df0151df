//! Content codings (RFC 9110, section 8.4): `gzip` and `zstd`, of bodies that come and of answers that go. Both work a
//! bounded step at a time, away from the threads that serve connections.

mod decode;
mod encode;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use granary_core::error::{ErrorObject, ErrorType};

use crate::request::shortened;

pub(crate) use decode::{decoded, encoded_bytes_max};
pub(crate) use encode::encoded;

/// What is understood, as `Accept-Encoding` says it (RFC 9110, section 12.5.3).
pub(crate) const KNOWN: &str = "gzip, zstd";

/// One of the codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The coding with this name; `x-gzip` is `gzip` (RFC 9110, section 8.4.1.3).
    fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }
}

/// The coding of a body; `None` where it is sent as it is. One that is not known, or one on top of another, is
/// `UNSUPPORTED_MEDIA_TYPE`.
pub(crate) fn coding_of(headers: &HeaderMap) -> Result<Option<Coding>, ErrorObject> {
    let unsupported = |what: String| {
        let message = format!("{what}; send the body as it is, or as one of {KNOWN}");
        Err(ErrorObject::new(ErrorType::UnsupportedMediaType, message))
    };
    let mut found = None;
    for line in headers.get_all(CONTENT_ENCODING) {
        let line = String::from_utf8_lossy(line.as_bytes());
        for name in line.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let Some(coding) = Coding::parse(name) else {
                return unsupported(format!("the Content-Encoding '{}' is not known", shortened(name)));
            };
            if found.replace(coding).is_some() {
                return unsupported("the body is encoded more than once".to_owned());
            }
        }
    }
    Ok(found)
}

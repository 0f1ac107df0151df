//! `Prefer` (RFC 7240): what a client would like, of which `wait` is granted.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use granary_core::limits::Limits;

use crate::reply::with_header;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long a client would wait for the end of a task, in seconds.
pub(crate) struct Wait(Option<u64>);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(wait(&parts.headers)))
    }
}

impl Wait {
    /// The time to wait, within the limit.
    pub(crate) fn within(&self, limits: &Limits) -> Option<Duration> {
        self.0
            .map(|seconds| Duration::from_secs(seconds.min(limits.wait_seconds)))
    }

    /// The answer of a call that waited, marked.
    pub(crate) fn marked(&self, answer: Response) -> Response {
        match self.0 {
            None => answer,
            Some(_) => with_header(answer, PREFERENCE_APPLIED, "wait"),
        }
    }
}

/// The first `wait` that is a number; what is not understood is passed over (RFC 7240, section 2).
fn wait(headers: &HeaderMap) -> Option<u64> {
    let lines = headers
        .get_all(PREFER)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        value.trim().trim_matches('"').parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_wait_that_is_a_number_counts() {
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (PREFER, HeaderValue::from_static(line)));
            wait(&lines.collect())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["wait=10"]), Some(10));
        assert_eq!(of(&["respond-async, WAIT = \"7\"; foo=bar"]), Some(7));
        assert_eq!(of(&["wait=soon", "wait=3", "wait=9"]), Some(3));
        for none in [
            "wait",
            "wait=-1",
            "waits=1",
            "wait=99999999999999999999",
            ";",
            "=",
            "return=minimal",
        ] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }
}

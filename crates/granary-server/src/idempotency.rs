//! `Idempotency-Key`: requests that are carried out once (contract, section 2).

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::Response;
use granary_core::error::ErrorObject;
use granary_core::idempotency::IdempotencyKey;
use granary_engine::{Engine, Once};

use crate::reply::{Failure, with_header};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Stands in the answer to a request that started nothing, for it was carried out before.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a call says of itself, where it is to be carried out once.
pub(crate) struct Idempotency(Option<Named>);

struct Named {
    key: IdempotencyKey,
    path: String,
    query: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        if values.next().is_some() {
            return Err(ErrorObject::invalid("a request has one Idempotency-Key").into());
        }
        let key = IdempotencyKey::parse(value.to_str().unwrap_or_default())?;
        Ok(Self(Some(Named {
            key,
            path: named_path(parts, state).await,
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })))
    }
}

/// The route, and what its path names, decoded: however it is spelled, it is the same path.
async fn named_path<S: Send + Sync>(parts: &mut Parts, state: &S) -> String {
    let route = parts.extensions.get::<MatchedPath>();
    let mut path = route.map_or_else(|| parts.uri.path().to_owned(), |route| route.as_str().to_owned());
    if let Ok(names) = RawPathParams::from_request_parts(parts, state).await {
        for (_, name) in &names {
            path.push('\n');
            path.push_str(name);
        }
    }
    path
}

impl Idempotency {
    /// For a body of this media type.
    pub(crate) fn once(self, engine: &Engine, media_type: &str) -> Option<Once> {
        let Named { key, path, query } = self.0?;
        Some(engine.once(&path, key, media_type, &query))
    }
}

/// The answer, marked where the request started nothing.
pub(crate) fn marked(answer: Response, replayed: bool) -> Response {
    match replayed {
        true => with_header(answer, IDEMPOTENCY_REPLAYED, "true"),
        false => answer,
    }
}

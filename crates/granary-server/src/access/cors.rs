//! Pages of other sites (CORS): those that are named may call, with a key of their own. A browser is told nothing of any
//! other, and keeps its answers from it.

use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
    RETRY_AFTER,
};
use axum::http::{HeaderName, Method};
use tower_http::cors::CorsLayer;

use super::Access;

/// How long a browser need not ask again.
const ASKED_EVERY: Duration = Duration::from_secs(600);

impl Access {
    /// What tells browsers so; `None` where no site is named.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        if self.options.origins.is_empty() {
            return None;
        }
        let named = HeaderName::from_static;
        let cors = CorsLayer::new()
            .allow_origin(self.options.origins.clone())
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                ACCEPT,
                AUTHORIZATION,
                CONTENT_ENCODING,
                CONTENT_TYPE,
                IF_MATCH,
                IF_NONE_MATCH,
                named("idempotency-key"),
                named("last-event-id"),
                named("prefer"),
                named("x-api-key"),
                named("x-request-id"),
            ])
            .expose_headers([
                ETAG,
                LINK,
                LOCATION,
                RETRY_AFTER,
                named("idempotency-replayed"),
                named("preference-applied"),
                named("x-request-id"),
            ])
            .max_age(ASKED_EVERY);
        Some(cors)
    }
}

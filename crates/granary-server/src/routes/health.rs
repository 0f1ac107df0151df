//! `/healthz`, `/readyz`, `/limits`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use granary_api::health::{Health, HealthStatus, Limits, STARTING};

use crate::App;
use crate::reply::{Reply, json, with_header};

fn ok() -> Response {
    json(StatusCode::OK, &health(HealthStatus::Ok, None))
}

fn not_ready(status: HealthStatus, reason: String) -> Response {
    let answer = json(StatusCode::SERVICE_UNAVAILABLE, &health(status, Some(reason)));
    with_header(answer, RETRY_AFTER, "1")
}

fn health(status: HealthStatus, reason: Option<String>) -> Health {
    Health {
        status,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reason,
    }
}

pub(crate) async fn alive() -> Reply {
    Ok(ok())
}

/// Not ready yet: the store is being opened.
pub(crate) fn starting() -> Response {
    let reason = format!("{STARTING}: its store is being opened");
    not_ready(HealthStatus::Starting, reason)
}

/// Ready for new work: not while the server is stopping, nor once the store takes no writes.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Reply {
    if app.stop.begun() || app.engine.stopping() {
        let reason = "the server is stopping".to_owned();
        return Ok(not_ready(HealthStatus::Stopping, reason));
    }
    match app.engine.store().check_writable().await {
        Ok(()) => Ok(ok()),
        Err(failure) => Ok(not_ready(HealthStatus::Unavailable, failure.to_string())),
    }
}

pub(super) async fn limits(State(app): State<Arc<App>>) -> Reply {
    Ok(json(StatusCode::OK, &Limits::from(app.engine.limits())))
}

//! `/healthz`, `/readyz`, `/limits`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use granary_api::health::{Health, HealthStatus, Limits};

use crate::App;
use crate::reply::{Reply, json};

fn health(status: HealthStatus) -> Health {
    Health {
        status,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) async fn alive() -> Reply {
    Ok(json(StatusCode::OK, &health(HealthStatus::Ok)))
}

/// Ready for new work: not while the server is stopping, nor once the store takes no writes.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Reply {
    if app.stop.begun() || app.engine.stopping() {
        return Ok(json(
            StatusCode::SERVICE_UNAVAILABLE,
            &health(HealthStatus::Stopping),
        ));
    }
    match app.engine.store().check_writable().await {
        Ok(()) => Ok(json(StatusCode::OK, &health(HealthStatus::Ok))),
        Err(_) => Ok(json(
            StatusCode::SERVICE_UNAVAILABLE,
            &health(HealthStatus::Unavailable),
        )),
    }
}

pub(super) async fn limits(State(app): State<Arc<App>>) -> Reply {
    Ok(json(StatusCode::OK, &Limits::from(app.engine.limits())))
}

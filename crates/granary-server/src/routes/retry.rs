//! `…/tasks/{taskId}/retry`: a new task from what another did not do.

use std::sync::Arc;

use axum::extract::{Request, State};
use granary_api::JSON;
use granary_api::bulk::RetryQuery;
use granary_core::error::ErrorObject;
use granary_engine::Retry;

use super::{bulk, tasks};
use crate::App;
use crate::idempotency::Idempotency;
use crate::prefer::Wait;
use crate::reply::Reply;
use crate::request::{Asked, Path, existing, whole_body};

pub(super) async fn start(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    Asked(query): Asked<RetryQuery>,
    idempotency: Idempotency,
    wait: Wait,
    request: Request,
) -> Reply {
    let key = existing("source", &source)?;
    let place = app.engine.admit()?;
    // What it has a body for would not be understood.
    let body = whole_body(
        request,
        &[JSON],
        "singleBodyBytes",
        app.engine.limits().single_body_bytes,
    )
    .await?;
    if !body.trim_ascii().is_empty() && serde_json::from_slice::<Empty>(&body).is_err() {
        let message =
            "a retry has no body, or {}: it is of all operations of the task that failed or were cancelled";
        return Err(ErrorObject::invalid(message).into());
    }
    let retry = Retry {
        source: key.clone(),
        receipts: bulk::shown(query.receipts),
        once: idempotency
            .once(&app.engine, JSON)
            .map(|once| once.with_body(&body)),
    };
    let parent = tasks::find(&app, &source, &id);
    let intake = app.engine.retry(place, retry, parent).await?;
    bulk::answer(&app, &key, "tasks", intake, &wait).await
}

/// `{}`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

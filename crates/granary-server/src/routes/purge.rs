//! `…/purge`: the deletion of every record of a type, as a task.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use granary_api::JSON;
use granary_api::tasks::{PurgeWrite, TaskQuery};
use granary_core::error::ErrorObject;
use granary_core::task::TaskKind;
use granary_engine::Purging;

use super::tasks;
use crate::App;
use crate::access::Audited;
use crate::idempotency::{Idempotency, marked};
use crate::prefer::Wait;
use crate::reply::{Reply, json, with_header};
use crate::request::{Asked, NoQuery, Path, existing, json_body, object, shortened};

pub(super) async fn start(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    _: NoQuery,
    idempotency: Idempotency,
    request: Request,
) -> Reply {
    let source = existing("source", &source)?;
    let _place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    let example = r#"{"collectionType":"RESOURCE","collectionKey":"…"}"#;
    let purge: PurgeWrite = object(&body, "a purge", example)?;
    // An object that is spelled otherwise is another request: of what was read, nothing else counts.
    let once = idempotency
        .once(&app.engine, JSON)
        .map(|once| once.with_body(&body));
    let Purging { task, replayed } = app
        .engine
        .purge(&source, purge.collection_type, &purge.collection_key, once)
        .await?;
    let location = format!("/sources/{source}/v1/purge/{}", task.task.id);
    let answer = json(StatusCode::ACCEPTED, &tasks::shown(&task));
    let mut answer = with_header(answer, LOCATION, &location);
    let what = format!("every {} in the task {}", purge.collection_key, task.task.id);
    answer.extensions_mut().insert(Audited(what));
    Ok(marked(answer, replayed))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    Asked(_): Asked<TaskQuery>,
    wait: Wait,
) -> Reply {
    let task = tasks::find_waited(&app, &source, &id, &wait).await?;
    if task.task.id.kind != TaskKind::Purge {
        return Err(ErrorObject::not_found(format!("there is no purge '{}'", shortened(&id))).into());
    }
    Ok(wait.marked(json(StatusCode::OK, &tasks::shown(&task))))
}

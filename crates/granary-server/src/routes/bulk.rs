//! `…/resources/bulk` and `…/relationships/bulk`: bulk requests and their tasks.

use std::io;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use granary_api::bulk::{BulkAccepted, BulkQuery};
use granary_api::tasks::TaskQuery;
use granary_api::{CSV, JSON, NDJSON, bulk};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_core::task::TaskKind;
use granary_engine::{BodyFormat, BulkRequest, CsvFormat, Intake, ReceiptsShown, Rejection};

use crate::App;
use crate::idempotency::{Idempotency, marked};
use crate::prefer::Wait;
use crate::reply::{Reply, json, raw_json, valid, with_header};
use crate::request::{Asked, Path, body_pieces, body_type, existing, shortened, told_length};
use crate::routes::tasks;
use crate::stream::paged;

type Shared = State<Arc<App>>;

pub(super) async fn resources(
    app: Shared,
    path: Path<String>,
    query: Asked<BulkQuery>,
    idempotency: Idempotency,
    wait: Wait,
    request: Request,
) -> Reply {
    send(app, path, query, idempotency, wait, request, TargetType::Resource).await
}

pub(super) async fn relationships(
    app: Shared,
    path: Path<String>,
    query: Asked<BulkQuery>,
    idempotency: Idempotency,
    wait: Wait,
    request: Request,
) -> Reply {
    send(
        app,
        path,
        query,
        idempotency,
        wait,
        request,
        TargetType::Relationship,
    )
    .await
}

pub(super) async fn resources_task(
    app: Shared,
    path: Path<(String, String)>,
    query: Asked<TaskQuery>,
    wait: Wait,
) -> Reply {
    show(app, path, query, wait, TargetType::Resource).await
}

pub(super) async fn relationships_task(
    app: Shared,
    path: Path<(String, String)>,
    query: Asked<TaskQuery>,
    wait: Wait,
) -> Reply {
    show(app, path, query, wait, TargetType::Relationship).await
}

async fn send(
    State(app): Shared,
    Path(source): Path<String>,
    Asked(query): Asked<BulkQuery>,
    idempotency: Idempotency,
    wait: Wait,
    request: Request,
    target: TargetType,
) -> Reply {
    let source = existing("source", &source)?;
    let media_type = body_type(request.headers(), &[JSON, NDJSON, CSV])?;
    let format = match media_type {
        CSV => BodyFormat::Csv(CsvFormat {
            type_key: query.type_key,
            action: query.action,
            separator: query.separator,
        }),
        _ if query.type_key.is_some() || query.action.is_some() || query.separator.is_some() => {
            let message =
                "type, action and separator are for text/csv; other bodies say them in each operation";
            return Err(ErrorObject::invalid(message).into());
        }
        NDJSON => BodyFormat::Ndjson,
        _ => BodyFormat::Json,
    };
    let bytes_max = app.engine.limits().bulk_body_bytes;
    let body_bytes = told_length(request.headers());
    let body = body_pieces(request, "bulkBodyBytes", bytes_max)?;
    let bulk = BulkRequest {
        source: source.clone(),
        target,
        format,
        validate_only: query.validate_only,
        receipts: shown(query.receipts),
        body_bytes,
        once: idempotency.once(&app.engine, media_type),
    };
    let intake = app.engine.bulk(bulk, body).await?;
    answer(
        &app,
        &source,
        &format!("{}/bulk", folder_of(target)),
        intake,
        &wait,
    )
    .await
}

/// Which receipts a rejection is to show.
pub(super) fn shown(asked: Option<bulk::ReceiptsShown>) -> ReceiptsShown {
    match asked.unwrap_or_default() {
        bulk::ReceiptsShown::All => ReceiptsShown::All,
        bulk::ReceiptsShown::Failures => ReceiptsShown::Failures,
    }
}

/// The answer to operations that were taken in, or not. Their task is read at `place` in its source.
pub(super) async fn answer(app: &App, source: &Key, place: &str, intake: Intake, wait: &Wait) -> Reply {
    let (id, replayed) = match intake {
        Intake::Accepted(task) => (task.task.id, false),
        Intake::Replayed(id) => (id, true),
        Intake::Valid { count } => return Ok(valid(count)),
        Intake::Rejected(rejection) => return Ok(rejected(*rejection)),
    };
    let mut accepted = BulkAccepted::new(id);
    if wait.within(app.engine.limits()).is_some() {
        // It is accepted, whatever becomes of the wait.
        let task = tasks::find_waited(app, source.as_str(), &id.to_string(), wait).await;
        let ended = task.ok().filter(|task| task.task.completed_at.is_some());
        accepted.task = ended.map(|task| Box::new(tasks::shown(&task)));
    }
    let status = match accepted.task {
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    let location = format!("/sources/{source}/v1/{place}/{id}");
    let answer = with_header(json(status, &accepted), LOCATION, &location);
    Ok(wait.marked(marked(answer, replayed)))
}

fn folder_of(target: TargetType) -> &'static str {
    match target {
        TargetType::Resource => "resources",
        TargetType::Relationship => "relationships",
    }
}

/// The answer to a rejected request, streamed: it has a receipt for every operation.
pub(super) fn rejected(rejection: Rejection) -> Response {
    let body = paged(rejection, |mut rejection| async move {
        let piece = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            let more = rejection.write_next(&mut out)?;
            Ok::<_, io::Error>((out, more.then_some(rejection)))
        });
        piece.await.map_err(io::Error::other)?
    });
    raw_json(StatusCode::BAD_REQUEST, body)
}

/// A bulk task with its receipts, unless they are not wanted.
async fn show(
    State(app): Shared,
    Path((source, id)): Path<(String, String)>,
    Asked(query): Asked<TaskQuery>,
    wait: Wait,
    target: TargetType,
) -> Reply {
    let task = tasks::find_waited(&app, &source, &id, &wait).await?;
    if task.task.id.kind != TaskKind::Bulk || task.task.target_type != Some(target) {
        let message = format!(
            "there is no bulk task '{}' on {}",
            shortened(&id),
            folder_of(target)
        );
        return Err(ErrorObject::not_found(message).into());
    }
    Ok(wait.marked(tasks::answer(&app, task, query.with_receipts.unwrap_or(true))))
}

//! `…/tasks`: tasks and their receipts.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use granary_api::NDJSON;
use granary_api::page::Page;
use granary_api::tasks::{ReceiptsQuery, Task, TaskQuery, TasksQuery};
use granary_core::error::ErrorObject;
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_engine::{Engine, error_object};
use granary_store::{StoreError, StoredTask, TaskFilter};

use crate::prefer::Wait;
use crate::reply::{Reply, json, raw_json, typed};
use crate::request::{Asked, NoQuery, Path, existing, page_limit, shortened, stream_limit, wants_ndjson};
use crate::stream::{PAGE, paged};
use crate::{App, cursor};

/// The task that a path names, as it is at this moment; 410 where it was removed.
pub(super) async fn find(app: &App, source: &str, id: &str) -> Result<StoredTask, ErrorObject> {
    let source = app.engine.source(&existing("source", source)?).await?;
    let found = app.engine.task(&source, id).await?;
    found.ok_or_else(|| ErrorObject::not_found(format!("task '{}' does not exist", shortened(id))))
}

/// The same, once it has ended or the time to wait is over, where the client would like to wait.
pub(super) async fn find_waited(
    app: &App,
    source: &str,
    id: &str,
    wait: &Wait,
) -> Result<StoredTask, ErrorObject> {
    let task = find(app, source, id).await?;
    match wait.within(app.engine.limits()) {
        None => Ok(task),
        Some(within) => {
            let source = app.engine.source(&existing("source", source)?).await?;
            tokio::select! {
                // Whoever waits is answered before the server goes.
                () = app.stop.now.cancelled() => Ok(task),
                waited = app.engine.waited_for(&source, task.clone(), within) => waited,
            }
        }
    }
}

pub(super) fn shown(task: &StoredTask) -> Task {
    Task::new(task.task.clone(), task.types.first().map(|of_type| &of_type.key))
}

/// A task, with its receipts streamed behind it if they are wanted. All of one moment: receipts are never changed, and
/// those past the cursor of this moment are pending.
pub(super) fn answer(app: &App, task: StoredTask, with_receipts: bool) -> Response {
    let shown = shown(&task);
    if !with_receipts {
        return json(StatusCode::OK, &shown);
    }
    let mut opening = match serde_json::to_vec(&shown) {
        Ok(opening) => opening,
        Err(_) => return json(StatusCode::OK, &shown),
    };
    opening.pop();
    opening.extend(br#","receipts":["#);
    let engine = app.engine.clone();
    let task = Arc::new(task);
    let body = paged((0_u64, opening), move |(from, mut out)| {
        let (engine, task) = (engine.clone(), Arc::clone(&task));
        async move {
            let page = engine.store().receipts(&task, from, PAGE).await.map_err(broken)?;
            for (at, receipt) in page.iter().enumerate() {
                if from > 0 || at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut out, receipt)?;
            }
            let after = from + page.len() as u64;
            if page.is_empty() || after >= task.task.counts.total {
                out.extend(b"]}");
                return Ok((out, None));
            }
            Ok((out, Some((after, Vec::new()))))
        }
    });
    raw_json(StatusCode::OK, body)
}

/// A failure in the middle of an answer: the client sees it broken off, the operator why.
pub(super) fn broken(error: StoreError) -> io::Error {
    io::Error::other(error_object(error))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    Asked(query): Asked<TaskQuery>,
    wait: Wait,
) -> Reply {
    let task = find_waited(&app, &source, &id, &wait).await?;
    Ok(wait.marked(answer(&app, task, query.with_receipts.unwrap_or(false))))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    _: NoQuery,
) -> Reply {
    let task = find(&app, &source, &id).await?;
    let source = existing("source", &source)?;
    let cancelled = app.engine.cancel(&source, task.task.id.ksuid).await?;
    Ok(json(StatusCode::OK, &shown(&cancelled)))
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    Asked(query): Asked<TasksQuery>,
) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let source = app.engine.source(&existing("source", &source)?).await?;
    let filters = [
        ("kind", query.kind.map(wire)),
        ("status", query.status.map(wire)),
        ("outcome", query.outcome.map(wire)),
        ("createdAfter", query.created_after.map(|at| at.to_string())),
        ("createdBefore", query.created_before.map(|at| at.to_string())),
    ];
    let of = cursor::filtered(&format!("tasks/{}", source.number), &filters);
    let before = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode(&of, raw)?;
        place.parse::<u64>().map_err(|_| cursor::not_of_this_list())
    });
    let filter = TaskFilter {
        kind: query.kind,
        status: query.status,
        outcome: query.outcome,
        target_type: None,
        created_after: query.created_after,
        created_before: query.created_before,
    };
    let before = before.transpose()?;
    let mut tasks = app
        .engine
        .store()
        .tasks(&source, &filter, before, limit + 1)
        .await
        .map_err(error_object)?;
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let next = tasks
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode(&of, &last.sequence.to_string()));
    let mut kept = vec![("limit", query.limit.map(|n| n.to_string()))];
    kept.extend(filters);
    let data = tasks.iter().map(shown).collect();
    super::page(
        &format!("/sources/{}/v1/tasks", source.key),
        &kept,
        Page::<Task>::new(data, next),
    )
}

/// A value as it stands in a query.
pub(super) fn wire<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

pub(super) async fn receipts(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    Asked(query): Asked<ReceiptsQuery>,
    headers: HeaderMap,
) -> Reply {
    let task = find(&app, &source, &id).await?;
    let filters = [("status", query.status.map(wire))];
    let of = cursor::filtered(&format!("receipts/{}", task.task.id), &filters);
    let from = cursor::index(&of, query.cursor.as_deref(), query.from)?;
    if wants_ndjson(&headers) {
        let left = stream_limit(query.limit, app.engine.limits())?;
        return Ok(stream_receipts(&app.engine, task, from, query.status, left));
    }
    let limit = page_limit(query.limit, app.engine.limits())?;
    let (mut data, mut at) = (Vec::with_capacity(limit), from);
    let all = number_from(&task, query.status, from);
    // One more than asked for tells whether there is a next page.
    while data.len() <= limit && (data.len() as u64) < all {
        let page = app
            .engine
            .store()
            .receipts(&task, at, PAGE)
            .await
            .map_err(error_object)?;
        if page.is_empty() {
            break;
        }
        at += page.len() as u64;
        data.extend(page.into_iter().filter(|receipt| admits(query.status, receipt)));
    }
    let next = data
        .get(limit)
        .map(|first_of_next| cursor::encode(&of, &first_of_next.index.to_string()));
    data.truncate(limit);
    let mut kept = vec![("limit", query.limit.map(|n| n.to_string()))];
    kept.extend(filters);
    super::page(
        &format!("/sources/{source}/v1/tasks/{}/receipts", task.task.id),
        &kept,
        Page::new(data, next),
    )
}

/// How many receipts of this status there are at most from this one on: few are not looked for among millions of others.
fn number_from(task: &StoredTask, status: Option<ReceiptStatus>, from: u64) -> u64 {
    match status.filter(|_| task.task.completed_at.is_some()) {
        None => u64::MAX,
        Some(status) => match task.task.counts.of(status) {
            all if from == 0 || all == 0 => all,
            _ => u64::MAX,
        },
    }
}

fn admits(status: Option<ReceiptStatus>, receipt: &Receipt) -> bool {
    status.is_none_or(|status| receipt.status == status)
}

fn stream_receipts(
    engine: &Engine,
    task: StoredTask,
    from: u64,
    status: Option<ReceiptStatus>,
    limit: usize,
) -> Response {
    let (engine, task) = (engine.clone(), Arc::new(task));
    let body = paged((from, limit), move |(from, left)| {
        let (engine, task) = (engine.clone(), Arc::clone(&task));
        async move {
            let page = engine.store().receipts(&task, from, PAGE).await.map_err(broken)?;
            let (mut out, mut left) = (Vec::new(), left);
            for receipt in page.iter().filter(|receipt| admits(status, receipt)) {
                if left == 0 {
                    break;
                }
                serde_json::to_writer(&mut out, receipt)?;
                out.push(b'\n');
                left -= 1;
            }
            let after = from.saturating_add(page.len() as u64);
            let more = left > 0 && !page.is_empty();
            Ok((out, more.then_some((after, left))))
        }
    });
    typed(StatusCode::OK, NDJSON, body)
}

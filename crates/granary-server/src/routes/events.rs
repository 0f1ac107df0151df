//! `…/tasks/{id}/events`: what becomes of a task, as it happens (server-sent events; contract, section 13).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_engine::WatchPlace;
use granary_store::{Source, StoredTask};

use super::tasks;
use crate::App;
use crate::reply::{Reply, typed, with_header};
use crate::request::{NoQuery, Path, existing};
use crate::stream::paged;

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What stands between ends connections on which nothing comes for long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client is to wait before it connects again, in milliseconds.
const CONNECT_AGAIN: &str = "retry: 1000\n\n";

/// A client that watches a task.
struct Watch {
    app: Arc<App>,
    source: Source,
    task: StoredTask,
    /// The revision that the client has seen.
    seen: Option<u64>,
    _place: WatchPlace,
}

/// The events of a task from the revision on that the client has seen last. Where it has seen the end there is nothing
/// more, and it need not come again (204).
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    _: NoQuery,
    headers: HeaderMap,
) -> Reply {
    let task = tasks::find(&app, &source, &id).await?;
    let source = app.engine.source(&existing("source", &source)?).await?;
    let seen = headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok()?.trim().parse::<u64>().ok());
    if task.task.completed_at.is_some() && seen == Some(task.task.revision()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = app.engine.watch_place()?;
    let first = Watch {
        app,
        source,
        task,
        seen,
        _place: place,
    };
    let body = paged((CONNECT_AGAIN.as_bytes().to_vec(), first), next);
    let answer = typed(StatusCode::OK, EVENT_STREAM, body);
    Ok(uncached(answer))
}

fn uncached(answer: Response) -> Response {
    with_header(answer, axum::http::header::CACHE_CONTROL, "no-store")
}

/// The next event behind what is to be sent before it, or a sign of life.
async fn next((mut out, mut watch): (Vec<u8>, Watch)) -> io::Result<(Vec<u8>, Option<(Vec<u8>, Watch)>)> {
    if watch.seen != Some(watch.task.task.revision()) {
        let is_over = write_event(&mut out, &watch.task)?;
        watch.seen = Some(watch.task.task.revision());
        return Ok((out, (!is_over).then_some((Vec::new(), watch))));
    }
    if !out.is_empty() {
        return Ok((out, Some((Vec::new(), watch))));
    }
    let stop = watch.app.stop.now.clone();
    let changed = watch.app.engine.changed(&watch.source, &watch.task, KEEP_ALIVE);
    let changed = tokio::select! {
        // The client comes again, and is served by who is there then.
        () = stop.cancelled() => return Ok((out, None)),
        changed = changed => changed.map_err(|error| io::Error::other(error.to_string()))?,
    };
    match changed {
        None => out.extend(b":\n\n"),
        Some(task) => {
            watch.task = task;
            let is_over = write_event(&mut out, &watch.task)?;
            watch.seen = Some(watch.task.task.revision());
            if is_over {
                return Ok((out, None));
            }
        }
    }
    Ok((out, Some((Vec::new(), watch))))
}

/// Writes `progress`, or `end`, which is the last; true where it is.
fn write_event(out: &mut Vec<u8>, task: &StoredTask) -> io::Result<bool> {
    let is_over = task.task.completed_at.is_some();
    let name = if is_over { "end" } else { "progress" };
    out.extend(format!("event: {name}\nid: {}\ndata: ", task.task.revision()).bytes());
    // JSON without line breaks: one line of data.
    serde_json::to_writer(&mut *out, &tasks::shown(task))?;
    out.extend(b"\n\n");
    Ok(is_over)
}

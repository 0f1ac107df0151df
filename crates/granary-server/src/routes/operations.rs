//! `…/tasks/{taskId}/operations`: the operations of a task as they were accepted, in the form that a bulk request sends
//! them in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LINK;
use axum::http::{HeaderMap, StatusCode};
use granary_api::NDJSON;
use granary_api::tasks::ReceiptsQuery;
use granary_core::error::ErrorObject;
use granary_core::operation::TypeRef;
use granary_core::receipt::ReceiptStatus;
use granary_engine::{Sent, SentOperations, error_object, write_operation};
use granary_store::{PAGE_BYTES_MAX, StoredTask, Weighed};

use super::next_link;
use super::tasks::{broken, find, wire};
use crate::reply::{Reply, raw_json, typed, with_header};
use crate::request::{Asked, Path, page_limit, stream_limit, wants_ndjson};
use crate::stream::paged;
use crate::{App, cursor};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path((source, id)): Path<(String, String)>,
    Asked(query): Asked<ReceiptsQuery>,
    headers: HeaderMap,
) -> Reply {
    let task = find(&app, &source, &id).await?;
    let filters = [("status", query.status.map(wire))];
    let of = cursor::filtered(&format!("operations/{}", task.task.id), &filters);
    let from = cursor::index(&of, query.cursor.as_deref(), query.from)?;
    let reading = Reading(SentOperations::new(&app.engine, task, query.status));
    if wants_ndjson(&headers) {
        let left = stream_limit(query.limit, app.engine.limits())?;
        return stream(reading, from, left).await;
    }
    let limit = page_limit(query.limit, app.engine.limits())?;
    let (found, next) = reading.page(from, limit).await?;
    reading.see_kept(&found)?;
    let mut out = br#"{"data":["#.to_vec();
    for (at, sent) in found.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_sent(&mut out, &reading.task().types, sent);
    }
    out.extend(br#"],"meta":{"#);
    let Some(next) = next.map(|next| cursor::encode(&of, &next.to_string())) else {
        out.extend(b"}}");
        return Ok(raw_json(StatusCode::OK, out));
    };
    out.extend(format!(r#""cursor":"{next}"}}}}"#).bytes());
    let path = format!("/sources/{source}/v1/tasks/{}/operations", reading.task().task.id);
    let mut kept = vec![("limit", query.limit.map(|n| n.to_string()))];
    kept.extend(filters);
    let link = next_link(&path, &kept, &next);
    Ok(with_header(raw_json(StatusCode::OK, out), LINK, &link))
}

/// What is read, and which of it is asked for.
struct Reading(SentOperations);

impl Reading {
    fn task(&self) -> &StoredTask {
        self.0.task()
    }

    /// At most `limit` of the operations that are asked for, from this one on, and fewer where they are large; and the
    /// next that is asked for.
    async fn page(&self, from: u64, limit: usize) -> Result<(Vec<Sent>, Option<u64>), ErrorObject> {
        let (mut found, mut next, mut bytes) = (Vec::new(), Some(from), 0);
        while let Some(from) = next.filter(|_| found.len() < limit && bytes < PAGE_BYTES_MAX) {
            let room = limit - found.len();
            let some;
            (some, next) = self.0.some(from, room).await.map_err(error_object)?;
            bytes += some.iter().map(|(_, sent)| sent.bytes()).sum::<usize>();
            found.extend(some);
        }
        // Whether there is one more tells its receipt.
        let next = match next {
            None => None,
            Some(from) => self.0.next_after(from).await.map_err(error_object)?,
        };
        Ok((found, next))
    }

    /// Refuses an answer all of which is kept no longer, where nothing of its kind is promised to be: the
    /// task has ended, and none of its operations has failed or was cancelled, or the store has let go of those too.
    fn see_kept(&self, found: &[Sent]) -> Result<(), ErrorObject> {
        let Some((status, _)) = found.first() else {
            return Ok(());
        };
        let counts = &self.task().task.counts;
        let none_promised = counts.failure == 0 && counts.cancelled == 0;
        if found.iter().any(|(_, sent)| sent.body.is_some())
            || self.task().task.completed_at.is_none()
            || (*status == ReceiptStatus::Success && !none_promised)
        {
            return Ok(());
        }
        let message = format!(
            "the operations of task {} are kept no longer; those that succeeded are in the records that they wrote, \
             and what became of each is in the receipts",
            self.task().task.id
        );
        Err(ErrorObject::not_found(message).with_code(410))
    }
}

/// The operations one a line. The first are read before the answer begins.
async fn stream(reading: Reading, from: u64, limit: usize) -> Reply {
    let (first, next) = match limit {
        0 => (Vec::new(), None),
        _ => reading.first(from, limit).await?,
    };
    reading.see_kept(&first)?;
    let left = limit - first.len();
    let opening = lines(&reading.task().types, &first);
    let reading = Arc::new(reading);
    let body = paged((next, left, opening), move |(next, left, opening)| {
        let reading = Arc::clone(&reading);
        async move {
            if !opening.is_empty() {
                return Ok((opening, Some((next, left, Vec::new()))));
            }
            let Some(from) = next.filter(|_| left > 0) else {
                return Ok((Vec::new(), None));
            };
            let (found, next) = reading.0.some(from, left).await.map_err(broken)?;
            let left = left - found.len();
            Ok((
                lines(&reading.task().types, &found),
                Some((next, left, Vec::new())),
            ))
        }
    });
    Ok(typed(StatusCode::OK, NDJSON, body))
}

impl Reading {
    /// The first of the operations that are asked for, and where to go on.
    async fn first(&self, from: u64, limit: usize) -> Result<(Vec<Sent>, Option<u64>), ErrorObject> {
        let mut next = Some(from);
        while let Some(from) = next {
            let some;
            (some, next) = self.0.some(from, limit).await.map_err(error_object)?;
            if !some.is_empty() {
                return Ok((some, next));
            }
        }
        Ok((Vec::new(), None))
    }
}

fn lines(types: &[TypeRef], found: &[Sent]) -> Vec<u8> {
    let mut out = Vec::new();
    for sent in found {
        write_sent(&mut out, types, sent);
        out.push(b'\n');
    }
    out
}

/// Appends `{"index","status","operation"}`, or `{"index","status","removed":true}`.
fn write_sent(out: &mut Vec<u8>, types: &[TypeRef], (status, sent): &Sent) {
    let (index, status) = (sent.index, wire(*status));
    out.extend(format!(r#"{{"index":{index},"status":"{status}","#).bytes());
    let of_type = types.get(sent.operation.type_index as usize);
    match sent.body.as_ref().zip(of_type) {
        None => out.extend(br#""removed":true"#),
        Some((body, of_type)) => {
            out.extend(br#""operation":"#);
            write_operation(out, of_type, sent, body);
        }
    }
    out.push(b'}');
}

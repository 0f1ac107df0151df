//! Records as JSON. Their bodies are stored as JSON already, so an answer is put together from bytes, not from values.

use std::io::Write;

use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::Response;
use granary_core::keys::Key;
use granary_core::operation::{RecordId, TypeRef};
use granary_engine::Persisted;
use granary_store::{Record, may_go_on};

use crate::conditions::tagged;
use crate::idempotency::marked;
use crate::reply::{raw_json, with_header};
use crate::routes::next_link;

/// Appends `{"id","type","data","contained"?,"meta"}`.
pub(crate) fn write_resource(out: &mut Vec<u8>, source: &Key, type_key: &str, record: &Record) {
    // Ids and keys hold no character that JSON would escape.
    out.extend(format!(r#"{{"id":"{}","type":"{type_key}""#, record.id).bytes());
    write_rest(out, source, record);
}

/// Appends `{"id","type","from","to","data"?,"meta"}`.
pub(crate) fn write_relationship(out: &mut Vec<u8>, source: &Key, of_type: &TypeRef, record: &Record) {
    let (RecordId::Relationship { from, to }, Some(edge)) = (&record.id, &of_type.edge) else {
        return;
    };
    let (key, from_type, to_type) = (&of_type.key, &edge.from.profile, &edge.to.profile);
    let ends = format!(
        r#"{{"id":"{from}.{to}","type":"{key}","from":{{"id":"{from}","type":"{from_type}"}},"to":{{"id":"{to}","type":"{to_type}"}}"#
    );
    out.extend(ends.bytes());
    write_rest(out, source, record);
}

/// Puts `includes`, resources by their type, into the object that was written last.
pub(crate) fn write_includes<'a>(
    out: &mut Vec<u8>,
    source: &Key,
    resources: impl IntoIterator<Item = (&'a str, Record)>,
) {
    out.pop();
    out.extend(br#","includes":{"#);
    let mut before = None;
    for (type_key, record) in resources {
        match before {
            Some(before) if before == type_key => out.push(b','),
            _ => {
                let comma = if before.is_some() { "]," } else { "" };
                out.extend(format!(r#"{comma}"{type_key}":["#).bytes());
            }
        }
        write_resource(out, source, type_key, &record);
        before = Some(type_key);
    }
    out.extend(if before.is_some() { &b"]}}"[..] } else { b"}}" });
}

/// The members of the body, then `meta`, then the end of the object.
fn write_rest(out: &mut Vec<u8>, source: &Key, record: &Record) {
    if let Some(members) = record
        .body
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
    {
        out.push(b',');
        out.extend(members);
    }
    let head = &record.head;
    let (created_at, updated_at, version) = (head.created_at, head.updated_at, head.version);
    let meta = format!(r#","meta":{{"createdAt":"{created_at}","updatedAt":"{updated_at}""#);
    out.extend(meta.bytes());
    if !record.identifiers.is_empty() {
        out.extend(br#","identifier":"#);
        out.extend(&record.identifiers);
    }
    out.extend(format!(r#","source":"{source}","version":{version}}}}}"#).bytes());
}

/// The answer of a single write: `{taskId, status, resource?}`, with `ETag`.
pub(crate) fn resource_written(
    status: StatusCode,
    persisted: &Persisted,
    source: &Key,
    type_key: &str,
) -> Response {
    written(status, persisted, "resource", |out, record| {
        write_resource(out, source, type_key, record)
    })
}

/// The answer of a single write: `{taskId, status, relationship?}`, with `ETag`.
pub(crate) fn relationship_written(
    status: StatusCode,
    persisted: &Persisted,
    source: &Key,
    of_type: &TypeRef,
) -> Response {
    written(status, persisted, "relationship", |out, record| {
        write_relationship(out, source, of_type, record)
    })
}

/// The same of a record that is there no more.
pub(crate) fn written_and_gone(status: StatusCode, persisted: &Persisted) -> Response {
    written(status, persisted, "", |_, _| {})
}

fn written(
    status: StatusCode,
    persisted: &Persisted,
    member: &str,
    write: impl Fn(&mut Vec<u8>, &Record),
) -> Response {
    let mut out = Vec::new();
    // Writing to a vector does not fail.
    let _ = write!(out, r#"{{"taskId":"{}","status":"PERSISTED""#, persisted.task_id);
    if let Some(record) = &persisted.record {
        let _ = write!(out, r#","{member}":"#);
        write(&mut out, record);
    }
    out.push(b'}');
    let answer = raw_json(status, out);
    let answer = match &persisted.tag {
        Some(tag) => tagged(answer, tag),
        None => answer,
    };
    marked(answer, persisted.replayed)
}

/// A page of records, and the cursor of the next one.
pub(crate) struct PageOf {
    records: Vec<Record>,
    next: Option<String>,
}

impl PageOf {
    /// A page of at most `limit` of the records found, of which one more was asked for. Where their bodies are large
    /// the store gives fewer, and the list goes on behind them.
    pub(crate) fn cut(mut found: Vec<Record>, limit: usize, cursor: impl Fn(&Record) -> String) -> Self {
        let more = may_go_on(&found, limit + 1);
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(cursor);
        Self { records: found, next }
    }

    /// `{"data":[…],"meta":{"cursor"?}}`, with `Link`.
    pub(crate) fn answer(
        self,
        path: &str,
        query: &[(&str, Option<String>)],
        write: impl Fn(&mut Vec<u8>, &Record),
    ) -> Response {
        let mut out = br#"{"data":["#.to_vec();
        for (at, record) in self.records.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write(&mut out, record);
        }
        out.extend(br#"],"meta":{"#);
        if let Some(cursor) = &self.next {
            out.extend(format!(r#""cursor":"{cursor}""#).bytes());
        }
        out.extend(b"}}");
        let answer = raw_json(StatusCode::OK, out);
        match &self.next {
            Some(cursor) => with_header(answer, LINK, &next_link(path, query, cursor)),
            None => answer,
        }
    }
}

//! `…/resources/{type}`: resources, one at a time and in lists.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use granary_api::NDJSON;
use granary_api::page::PageQuery;
use granary_api::resources::WriteQuery;
use granary_core::error::ErrorObject;
use granary_core::keys::ResourceId;
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_engine::{Change, SingleWrite, WriteOutcome, error_object, tag_of_record};
use granary_store::{Record, Source, may_go_on};

use crate::conditions::Conditions;
use crate::records::{self, PageOf};
use crate::reply::{Reply, raw_json, typed, valid, with_header};
use crate::request::{
    Asked, NoQuery, Path, existing, json_body, page_limit, shortened, stream_limit, wants_ndjson,
};
use crate::stream::{PAGE, paged};
use crate::{App, cursor};

type Shared = State<Arc<App>>;

/// The ROOT profile that a path names.
pub(super) async fn type_of(app: &App, source: &Source, key: &str) -> Result<TypeRef, ErrorObject> {
    let schema = app.engine.schema(source).await?;
    match schema.resource_type(key) {
        Some(index) => Ok(schema.types[index as usize].clone()),
        None => Err(ErrorObject::not_found(format!(
            "there is no ROOT profile '{}'",
            shortened(key)
        ))),
    }
}

fn no_record(type_key: &str, id: &str) -> ErrorObject {
    ErrorObject::not_found(format!(
        "there is no '{}' with id '{}'",
        shortened(type_key),
        shortened(id)
    ))
}

pub(super) async fn create(
    State(app): Shared,
    Path((source, type_key)): Path<(String, String)>,
    Asked(query): Asked<WriteQuery>,
    conditions: Conditions,
    request: Request,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Create(body),
        expected,
    };
    if query.validate_only {
        app.engine.validate(place, write).await?;
        return Ok(valid(1));
    }
    let persisted = app.engine.write(place, write).await?;
    let location = persisted
        .record
        .as_ref()
        .map(|r| format!("/sources/{source}/v1/resources/{type_key}/{}", r.id));
    let answer = records::resource_written(StatusCode::CREATED, &persisted, &type_key);
    Ok(with_header(answer, LOCATION, &location.unwrap_or_default()))
}

pub(super) async fn upsert(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    Asked(query): Asked<WriteQuery>,
    conditions: Conditions,
    request: Request,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let id = ResourceId::parse(&id).map_err(ErrorObject::from)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    let write = SingleWrite {
        source,
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Upsert(id, body),
        expected,
    };
    if query.validate_only {
        app.engine.validate(place, write).await?;
        return Ok(valid(1));
    }
    let persisted = app.engine.write(place, write).await?;
    let status = match persisted.outcome {
        WriteOutcome::Created => StatusCode::CREATED,
        WriteOutcome::Replaced | WriteOutcome::Deleted => StatusCode::OK,
    };
    Ok(records::resource_written(status, &persisted, &type_key))
}

pub(super) async fn delete(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let parsed = ResourceId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    let place = app.engine.admit()?;
    let write = SingleWrite {
        source,
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Delete(RecordId::Resource(parsed)),
        expected,
    };
    let persisted = app.engine.write(place, write).await?;
    Ok(records::resource_written(StatusCode::OK, &persisted, &type_key))
}

pub(super) async fn show(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let parsed = ResourceId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    let found = app
        .engine
        .store()
        .record(&source, of_type.number, &RecordId::Resource(parsed))
        .await;
    let record = found
        .map_err(error_object)?
        .ok_or_else(|| no_record(&type_key, &id))?;
    conditions.answer(&tag_of_record(&source, &record.head), || {
        let mut body = Vec::new();
        records::write_resource(&mut body, &type_key, &record);
        raw_json(StatusCode::OK, body)
    })
}

fn id_of(record: &Record) -> Option<ResourceId> {
    match &record.id {
        RecordId::Resource(id) => Some(id.clone()),
        RecordId::Relationship { .. } => None,
    }
}

pub(super) async fn list(
    State(app): Shared,
    Path((source, type_key)): Path<(String, String)>,
    Asked(query): Asked<PageQuery>,
    headers: HeaderMap,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let of = format!("resources/{}/{}", source.number, of_type.number);
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode(&of, raw)?;
        ResourceId::parse(&place).map_err(|_| cursor::not_of_this_list())
    });
    let after = after.transpose()?;
    if wants_ndjson(&headers) {
        let first = (after, stream_limit(query.limit, app.engine.limits())?);
        let body = paged(first, move |(after, left): (Option<ResourceId>, usize)| {
            let (app, source, type_key) = (Arc::clone(&app), source.clone(), type_key.clone());
            async move {
                let store = app.engine.store();
                let page = store
                    .resources(&source, of_type.number, after.as_ref(), left.min(PAGE))
                    .await;
                let page = page.map_err(super::tasks::broken)?;
                let mut out = Vec::new();
                for record in &page {
                    records::write_resource(&mut out, &type_key, record);
                    out.push(b'\n');
                }
                let left = left - page.len();
                let more = page.last().filter(|_| left > 0 && may_go_on(&page, PAGE));
                Ok((out, more.and_then(id_of).map(|last| (Some(last), left))))
            }
        });
        return Ok(typed(StatusCode::OK, NDJSON, body));
    }
    let limit = page_limit(query.limit, app.engine.limits())?;
    let found = app
        .engine
        .store()
        .resources(&source, of_type.number, after.as_ref(), limit + 1)
        .await;
    let page = PageOf::cut(found.map_err(error_object)?, limit, |last| {
        cursor::encode(&of, &last.id.to_string())
    });
    let path = format!("/sources/{}/v1/resources/{}", source.key, of_type.key);
    Ok(page.answer(
        &path,
        &[("limit", query.limit.map(|n| n.to_string()))],
        |out, record| {
            records::write_resource(out, &type_key, record);
        },
    ))
}

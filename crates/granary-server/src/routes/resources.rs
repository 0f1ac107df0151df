//! `…/resources/{type}`: resources, one at a time and in lists.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use granary_api::resources::{ResourcesQuery, WriteQuery};
use granary_api::{JSON, NDJSON};
use granary_core::error::ErrorObject;
use granary_core::keys::ResourceId;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_engine::{Change, SingleWrite, WriteOutcome, error_object, tag_of_record};
use granary_store::{Record, Source, may_go_on};

use crate::conditions::Conditions;
use crate::idempotency::Idempotency;
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
        None => Err(no_type(key)),
    }
}

pub(super) fn no_type(key: &str) -> ErrorObject {
    ErrorObject::not_found(format!("there is no ROOT profile '{}'", shortened(key)))
}

pub(super) fn no_record(type_key: &str, id: &str) -> ErrorObject {
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
    idempotency: Idempotency,
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
        once: idempotency.once(&app.engine, JSON),
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
    let answer = records::resource_written(StatusCode::CREATED, &persisted, &source, &type_key);
    Ok(match location {
        Some(location) => with_header(answer, LOCATION, &location),
        None => answer,
    })
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
        source: source.clone(),
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Upsert(id, body),
        expected,
        once: None,
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
    Ok(records::resource_written(status, &persisted, &source, &type_key))
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
    let place = app.engine.admit_delete()?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Delete(RecordId::Resource(parsed)),
        expected,
        once: None,
    };
    let persisted = app.engine.write(place, write).await?;
    Ok(records::resource_written(
        StatusCode::OK,
        &persisted,
        &source,
        &type_key,
    ))
}

pub(super) async fn show(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    OriginalUri(uri): OriginalUri,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    // The notation of an identifier is cut at its colons before it is decoded.
    let raw = uri.path().rsplit('/').next().unwrap_or_default();
    let record = if raw.contains(':') {
        identified(
            &app,
            &source,
            &of_type,
            &Triple::parse(raw).map_err(ErrorObject::from)?,
        )
        .await?
    } else {
        let parsed = ResourceId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
        let store = app.engine.store();
        let found = store
            .record(&source, of_type.number, &RecordId::Resource(parsed))
            .await;
        found
            .map_err(error_object)?
            .ok_or_else(|| no_record(&type_key, &id))?
    };
    conditions.answer(&tag_of_record(&source, &record.head), || {
        let mut body = Vec::new();
        records::write_resource(&mut body, &source.key, &type_key, &record);
        raw_json(StatusCode::OK, body)
    })
}

/// The one resource that has this identifier.
async fn identified(
    app: &App,
    source: &Source,
    of_type: &TypeRef,
    identifier: &Triple,
) -> Result<Record, ErrorObject> {
    /// Ids that are named where several resources have it.
    const NAMED_MAX: usize = 10;
    let store = app.engine.store();
    let found = store
        .identified(source, of_type.number, identifier, None, NAMED_MAX + 1)
        .await;
    let mut found = found.map_err(error_object)?;
    // A page of large records may hold one, though there are more.
    if let [
        Record {
            id: RecordId::Resource(first),
            ..
        },
    ] = found.as_slice()
        && may_go_on(&found, NAMED_MAX + 1)
    {
        let next = store
            .identified(source, of_type.number, identifier, Some(first), 1)
            .await;
        found.extend(next.map_err(error_object)?);
    }
    if found.len() > 1 {
        let more = if found.len() > NAMED_MAX {
            " and others"
        } else {
            ""
        };
        let ids: Vec<String> = found
            .iter()
            .take(NAMED_MAX)
            .map(|record| record.id.to_string())
            .collect();
        let ids = ids.join(", ");
        let message = format!(
            "several '{}' have this identifier: {ids}{more}; read one by its id",
            of_type.key
        );
        return Err(ErrorObject::failed_precondition(message));
    }
    let type_key = &of_type.key;
    found
        .pop()
        .ok_or_else(|| ErrorObject::not_found(format!("there is no '{type_key}' with this identifier")))
}

fn id_of(record: &Record) -> Option<ResourceId> {
    match &record.id {
        RecordId::Resource(id) => Some(id.clone()),
        RecordId::Relationship { .. } => None,
    }
}

/// The next resources, of those with an identifier if one is asked for.
async fn page_of(
    app: &App,
    source: &Source,
    number: TypeNumber,
    identifier: Option<&Triple>,
    after: Option<&ResourceId>,
    limit: usize,
) -> granary_store::Result<Vec<Record>> {
    let store = app.engine.store();
    match identifier {
        Some(identifier) => store.identified(source, number, identifier, after, limit).await,
        None => store.resources(source, number, after, limit).await,
    }
}

pub(super) async fn list(
    State(app): Shared,
    Path((source, type_key)): Path<(String, String)>,
    Asked(query): Asked<ResourcesQuery>,
    headers: HeaderMap,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let identifier = query.identifier.as_deref().map(Triple::parse);
    let identifier = identifier.transpose().map_err(ErrorObject::from)?;
    let filter = identifier.as_ref().map(Triple::to_string).unwrap_or_default();
    let of = format!("resources/{}/{}/{filter}", source.number, of_type.number);
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode(&of, raw)?;
        ResourceId::parse(&place).map_err(|_| cursor::not_of_this_list())
    });
    let after = after.transpose()?;
    if wants_ndjson(&headers) {
        let first = (after, stream_limit(query.limit, app.engine.limits())?);
        let body = paged(first, move |(after, left): (Option<ResourceId>, usize)| {
            let (app, source, type_key) = (Arc::clone(&app), source.clone(), type_key.clone());
            let (identifier, number) = (identifier.clone(), of_type.number);
            async move {
                let page = page_of(
                    &app,
                    &source,
                    number,
                    identifier.as_ref(),
                    after.as_ref(),
                    left.min(PAGE),
                )
                .await;
                let page = page.map_err(super::tasks::broken)?;
                let mut out = Vec::new();
                for record in &page {
                    records::write_resource(&mut out, &source.key, &type_key, record);
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
    let found = page_of(
        &app,
        &source,
        of_type.number,
        identifier.as_ref(),
        after.as_ref(),
        limit + 1,
    )
    .await;
    let page = PageOf::cut(found.map_err(error_object)?, limit, |last| {
        cursor::encode(&of, &last.id.to_string())
    });
    let path = format!("/sources/{}/v1/resources/{}", source.key, of_type.key);
    Ok(page.answer(
        &path,
        &[
            ("limit", query.limit.map(|n| n.to_string())),
            ("identifier", query.identifier.clone()),
        ],
        |out, record| {
            records::write_resource(out, &source.key, &type_key, record);
        },
    ))
}

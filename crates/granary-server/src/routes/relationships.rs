//! `…/relationships/{type}`: edges, one at a time and in lists.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use granary_api::NDJSON;
use granary_api::relationships::RelationshipsQuery;
use granary_api::resources::WriteQuery;
use granary_core::error::ErrorObject;
use granary_core::keys::{RelationshipId, ResourceId};
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_engine::{Change, SingleWrite, error_object, tag_of_record};
use granary_store::{EdgeFilter, Record, Source, may_go_on};

use crate::conditions::Conditions;
use crate::records::{self, PageOf};
use crate::reply::{Reply, raw_json, typed, valid, with_header};
use crate::request::{
    Asked, NoQuery, Path, existing, json_body, page_limit, shortened, stream_limit, wants_ndjson,
};
use crate::stream::{PAGE, paged};
use crate::{App, cursor};

type Shared = State<Arc<App>>;

/// The relationship definition that a path names.
async fn type_of(app: &App, source: &Source, key: &str) -> Result<TypeRef, ErrorObject> {
    let schema = app.engine.schema(source).await?;
    match schema.relationship_type(key) {
        Some(index) => Ok(schema.types[index as usize].clone()),
        None => Err(ErrorObject::not_found(format!(
            "there is no relationship definition '{}'",
            shortened(key)
        ))),
    }
}

fn no_record(type_key: &str, id: &str) -> ErrorObject {
    ErrorObject::not_found(format!(
        "there is no edge '{}' with id '{}'",
        shortened(type_key),
        shortened(id)
    ))
}

pub(super) async fn create(
    State(app): Shared,
    Path((source_key, type_key)): Path<(String, String)>,
    Asked(query): Asked<WriteQuery>,
    conditions: Conditions,
    request: Request,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source_key)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    // Before the write: what has persisted is answered whatever happens to its definition then.
    let of_type = type_of(&app, &app.engine.source(&source).await?, &type_key).await?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Relationship,
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
        .map(|r| format!("/sources/{source}/v1/relationships/{type_key}/{}", r.id));
    let answer = records::relationship_written(StatusCode::CREATED, &persisted, &source, &of_type);
    Ok(with_header(answer, LOCATION, &location.unwrap_or_default()))
}

pub(super) async fn delete(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let of_type = type_of(&app, &app.engine.source(&source).await?, &type_key).await?;
    let RelationshipId { from, to } = RelationshipId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    let place = app.engine.admit()?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Relationship,
        type_key,
        change: Change::Delete(RecordId::Relationship { from, to }),
        expected,
    };
    let persisted = app.engine.write(place, write).await?;
    Ok(records::relationship_written(
        StatusCode::OK,
        &persisted,
        &source,
        &of_type,
    ))
}

pub(super) async fn show(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let RelationshipId { from, to } = RelationshipId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    let record = RecordId::Relationship { from, to };
    let found = app.engine.store().record(&source, of_type.number, &record).await;
    let record = found
        .map_err(error_object)?
        .ok_or_else(|| no_record(&type_key, &id))?;
    conditions.answer(&tag_of_record(&source, &record.head), || {
        let mut body = Vec::new();
        records::write_relationship(&mut body, &source.key, &of_type, &record);
        raw_json(StatusCode::OK, body)
    })
}

fn ends_of(record: &Record) -> Option<(ResourceId, ResourceId)> {
    match &record.id {
        RecordId::Relationship { from, to } => Some((from.clone(), to.clone())),
        RecordId::Resource(_) => None,
    }
}

pub(super) async fn list(
    State(app): Shared,
    Path((source, type_key)): Path<(String, String)>,
    Asked(query): Asked<RelationshipsQuery>,
    headers: HeaderMap,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let end = |raw: &Option<String>| {
        raw.as_deref()
            .map(ResourceId::parse)
            .transpose()
            .map_err(ErrorObject::from)
    };
    let filter = EdgeFilter {
        from: end(&query.from)?,
        to: end(&query.to)?,
    };
    let of = format!("relationships/{}/{}", source.number, of_type.number);
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode(&of, raw)?;
        let id = RelationshipId::parse(&place).map_err(|_| cursor::not_of_this_list())?;
        Ok::<_, ErrorObject>((id.from, id.to))
    });
    let after = after.transpose()?;
    if wants_ndjson(&headers) {
        let first = (after, stream_limit(query.limit, app.engine.limits())?);
        let body = paged(
            first,
            move |(after, left): (Option<(ResourceId, ResourceId)>, usize)| {
                let (app, source, filter) = (Arc::clone(&app), source.clone(), filter.clone());
                let of_type = of_type.clone();
                async move {
                    let place = after.as_ref().map(|(from, to)| (from, to));
                    let store = app.engine.store();
                    let page = store
                        .relationships(&source, of_type.number, &filter, place, left.min(PAGE))
                        .await;
                    let page = page.map_err(super::tasks::broken)?;
                    let mut out = Vec::new();
                    for record in &page {
                        records::write_relationship(&mut out, &source.key, &of_type, record);
                        out.push(b'\n');
                    }
                    let left = left - page.len();
                    let more = page.last().filter(|_| left > 0 && may_go_on(&page, PAGE));
                    Ok((out, more.and_then(ends_of).map(|last| (Some(last), left))))
                }
            },
        );
        return Ok(typed(StatusCode::OK, NDJSON, body));
    }
    let limit = page_limit(query.limit, app.engine.limits())?;
    let place = after.as_ref().map(|(from, to)| (from, to));
    let found = app
        .engine
        .store()
        .relationships(&source, of_type.number, &filter, place, limit + 1)
        .await;
    let page = PageOf::cut(found.map_err(error_object)?, limit, |last| {
        cursor::encode(&of, &last.id.to_string())
    });
    let path = format!("/sources/{}/v1/relationships/{}", source.key, of_type.key);
    let kept = [
        ("limit", query.limit.map(|n| n.to_string())),
        ("from", query.from.clone()),
        ("to", query.to.clone()),
    ];
    Ok(page.answer(&path, &kept, |out, record| {
        records::write_relationship(out, &source.key, &of_type, record)
    }))
}

//! `…/relationships/{type}`: edges, one at a time and in lists.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use granary_api::relationships::RelationshipsQuery;
use granary_api::resources::WriteQuery;
use granary_api::{JSON, JSON_PATCH, NDJSON};
use granary_core::error::ErrorObject;
use granary_core::keys::{IncludeKey, RelationshipId, ResourceId};
use granary_core::operation::{EdgeEnds, RecordId, TargetType, TypeRef};
use granary_engine::{Change, SingleWrite, error_object, tag_of_record};
use granary_store::{EdgeFilter, Record, Source, may_go_on};

use crate::conditions::Conditions;
use crate::idempotency::Idempotency;
use crate::records::{self, PageOf};
use crate::reply::{Reply, raw_json, typed, valid, with_header};
use crate::request::{
    Asked, NoQuery, Path, existing, json_body, page_limit, shortened, stream_limit, wants_ndjson, whole_body,
};
use crate::stream::{PAGE, paged};
use crate::{App, cursor};

type Shared = State<Arc<App>>;

/// The relationship definition that a path names.
async fn type_of(app: &App, source: &Source, key: &str) -> Result<TypeRef, ErrorObject> {
    let schema = app.engine.schema(source).await?;
    match schema.relationship_type(key) {
        Some(index) => Ok(schema.types[index as usize].clone()),
        None => Err(no_type(key)),
    }
}

fn no_type(key: &str) -> ErrorObject {
    let message = format!("there is no relationship definition '{}'", shortened(key));
    ErrorObject::not_found(message)
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
    idempotency: Idempotency,
    request: Request,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source_key)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    // Before the write: what has persisted is answered whatever happens to its definition then.
    let once = idempotency.once(&app.engine, JSON);
    let of_type = match type_of(&app, &app.engine.source(&source).await?, &type_key).await {
        Ok(of_type) => Some(of_type),
        // What is asked for once more may have gone since, with its definition.
        Err(error) if error.code == 404 && once.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Relationship,
        type_key: type_key.clone(),
        change: Change::Create(body),
        expected,
        once,
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
    let of_type = match of_type {
        // It came in the meantime.
        None if persisted.record.is_some() => {
            Some(type_of(&app, &app.engine.source(&source).await?, &type_key).await?)
        }
        of_type => of_type,
    };
    let answer = match of_type {
        Some(of_type) => records::relationship_written(StatusCode::CREATED, &persisted, &source, &of_type),
        None => records::written_and_gone(StatusCode::CREATED, &persisted),
    };
    Ok(match location {
        Some(location) => with_header(answer, LOCATION, &location),
        None => answer,
    })
}

pub(super) async fn patch(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    _: NoQuery,
    conditions: Conditions,
    request: Request,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let of_type = type_of(&app, &app.engine.source(&source).await?, &type_key).await?;
    let parsed = RelationshipId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    let place = app.engine.admit()?;
    let bytes_max = app.engine.limits().single_body_bytes;
    let body = whole_body(request, &[JSON_PATCH, JSON], "singleBodyBytes", bytes_max).await?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Relationship,
        type_key,
        change: Change::Patch(parsed, body),
        expected,
        once: None,
    };
    let persisted = app.engine.write(place, write).await?;
    Ok(records::relationship_written(
        StatusCode::OK,
        &persisted,
        &source,
        &of_type,
    ))
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
    let place = app.engine.admit_delete()?;
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Relationship,
        type_key,
        change: Change::Delete(RecordId::Relationship { from, to }),
        expected,
        once: None,
    };
    let persisted = app.engine.write(place, write).await?;
    Ok(records::relationship_written(
        StatusCode::OK,
        &persisted,
        &source,
        &of_type,
    ))
}

/// Which resources an answer has beside the edge.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Included {
    from: bool,
    to: bool,
}

/// The names in `?includes=`, which may be given again and may hold several with commas between: each is the type or
/// the include key of an end.
fn included(
    query: &[(String, String)],
    edge: &EdgeEnds,
    include_keys: [&IncludeKey; 2],
) -> Result<Included, ErrorObject> {
    let mut included = Included::default();
    let [from_key, to_key] = include_keys.map(IncludeKey::as_str);
    let (from_type, to_type) = (edge.from.profile.as_str(), edge.to.profile.as_str());
    for (parameter, names) in query {
        if parameter != "includes" {
            let message = format!(
                "the query of the URL is not valid: unknown parameter '{}', there is 'includes' alone",
                shortened(parameter)
            );
            return Err(ErrorObject::invalid(message));
        }
        for name in names.split(',') {
            let found = Included {
                from: name == from_type || name == from_key,
                to: name == to_type || name == to_key,
            };
            if found == Included::default() {
                let mut known = vec![from_type, to_type, from_key, to_key];
                known.sort_unstable();
                known.dedup();
                return Err(ErrorObject::invalid(format!(
                    "includes: '{}' is neither a type nor an include key of this relationship type, which has {}",
                    shortened(name),
                    known.join(", ")
                )));
            }
            included.from |= found.from;
            included.to |= found.to;
        }
    }
    Ok(included)
}

pub(super) async fn show(
    State(app): Shared,
    Path((source, type_key, id)): Path<(String, String, String)>,
    Asked(query): Asked<Vec<(String, String)>>,
    conditions: Conditions,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of_type = type_of(&app, &source, &type_key).await?;
    let schema = app.engine.schema(&source).await?;
    let keys = schema
        .relationship_type(&type_key)
        .and_then(|index| schema.include_keys(index));
    let (Some(edge), Some(keys)) = (&of_type.edge, keys) else {
        return Err(no_type(&type_key).into());
    };
    let included = included(&query, edge, keys)?;
    let RelationshipId { from, to } = RelationshipId::parse(&id).map_err(|_| no_record(&type_key, &id))?;
    // The edge and its ends are read together: they are of one moment.
    let mut wanted = vec![(
        of_type.number,
        RecordId::Relationship {
            from: from.clone(),
            to: to.clone(),
        },
    )];
    if included.from {
        wanted.push((edge.from.number, RecordId::Resource(from)));
    }
    if included.to {
        wanted.push((edge.to.number, RecordId::Resource(to)));
    }
    // An edge of a resource with itself has one resource at both ends.
    wanted.dedup();
    let found = app.engine.store().records(&source, &wanted).await;
    let mut found = found.map_err(error_object)?.into_iter();
    let record = found.next().flatten().ok_or_else(|| no_record(&type_key, &id))?;
    let mut body = Vec::new();
    records::write_relationship(&mut body, &source.key, &of_type, &record);
    if query.is_empty() {
        return conditions.answer(&tag_of_record(&source, &record.head), || {
            raw_json(StatusCode::OK, body)
        });
    }
    let ends = wanted.iter().skip(1).zip(found);
    let of_number = |number| match number == edge.from.number {
        true => &edge.from.profile,
        false => &edge.to.profile,
    };
    let ends = ends.filter_map(|((number, _), record)| Some((of_number(*number).as_str(), record?)));
    records::write_includes(&mut body, &source.key, ends);
    Ok(raw_json(StatusCode::OK, body))
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
    let filters = [("from", query.from.clone()), ("to", query.to.clone())];
    let list = format!("relationships/{}/{}", source.number, of_type.number);
    let of = cursor::filtered(&list, &filters);
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
    let mut kept = vec![("limit", query.limit.map(|n| n.to_string()))];
    kept.extend(filters);
    Ok(page.answer(&path, &kept, |out, record| {
        records::write_relationship(out, &source.key, &of_type, record)
    }))
}

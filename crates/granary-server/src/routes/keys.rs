//! `/access/v1/keys`: API keys.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use granary_api::keys::{Key, KeyCreated, KeyWrite, Revoked};
use granary_api::page::{Page, PageQuery};
use granary_api::paths::KEYS;
use granary_core::access::KeyRecord;
use granary_core::error::ErrorObject;
use granary_core::ksuid::Ksuid;
use granary_engine::{NewKey, create_key, error_object};

use crate::access::Audited;
use crate::reply::{Reply, json, with_header};
use crate::request::{Asked, NoQuery, Path, json_body, object, page_limit, shortened};
use crate::{App, cursor};

fn shown(app: &App, key: &KeyRecord) -> Key {
    Key {
        id: key.id.to_string(),
        name: key.name.as_ref().map(|name| name.as_str().to_owned()),
        role: key.role,
        sources: key.sources.clone(),
        created_at: key.created_at,
        last_used_at: key.last_used_at.max(app.access.last_use(&key.id)),
    }
}

fn no_key(id: &str) -> ErrorObject {
    ErrorObject::not_found(format!("key '{}' does not exist", shortened(id)))
}

/// The id of a key that may exist. A key that was sent in its place is not shown again.
fn existing_id(raw: &str) -> Result<Ksuid, ErrorObject> {
    match Ksuid::parse(raw) {
        Some(id) => Ok(id),
        None if raw.len() > Ksuid::LEN => Err(no_key("…")),
        None => Err(no_key(raw)),
    }
}

pub(super) async fn create(State(app): State<Arc<App>>, _: NoQuery, request: Request) -> Reply {
    let body = json_body(request, "definitionBytes", app.engine.limits().definition_bytes).await?;
    let example = r#"{"role":"writer","sources":["…"]}"#;
    let KeyWrite { name, role, sources } = object(&body, "a key", example)?;
    let new = NewKey { name, role, sources };
    let now = app.engine.clock().now();
    let created = create_key(app.engine.store().as_ref(), app.engine.limits(), new, now).await;
    app.access.forget();
    let (key, record) = created?;
    let id = record.id.to_string();
    let what = format!(
        "key {id} with the role {} for {}",
        record.role.name(),
        record.sources.names().join(", ")
    );
    let created = KeyCreated {
        id,
        key: key.reveal().to_owned(),
        name: record.name.map(|name| name.as_str().to_owned()),
        role: record.role,
        sources: record.sources,
    };
    let answer = json(StatusCode::CREATED, &created);
    let answer = with_header(answer, LOCATION, &format!("{KEYS}/{}", created.id));
    let mut answer = with_header(answer, CACHE_CONTROL, "no-store");
    answer.extensions_mut().insert(Audited(what));
    Ok(answer)
}

pub(super) async fn list(State(app): State<Arc<App>>, Asked(query): Asked<PageQuery>) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode("keys", raw)?;
        Ksuid::parse(&place).ok_or_else(cursor::not_of_this_list)
    });
    let after = after.transpose()?;
    let stored = app.engine.store().access().keys().await.map_err(error_object)?;
    let rest = stored.keys.iter();
    let mut rest: Vec<&KeyRecord> = rest
        .filter(|key| after.is_none_or(|after| key.id > after))
        .take(limit + 1)
        .collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode("keys", &last.id.to_string()));
    let data = rest.into_iter().map(|key| shown(&app, key)).collect();
    super::page(
        KEYS,
        &[("limit", query.limit.map(|n| n.to_string()))],
        Page::new(data, next),
    )
}

pub(super) async fn show(State(app): State<Arc<App>>, Path(raw): Path<String>, _: NoQuery) -> Reply {
    let id = existing_id(&raw)?;
    let stored = app.engine.store().access().keys().await.map_err(error_object)?;
    let found = stored.keys.iter().find(|key| key.id == id);
    let found = found.ok_or_else(|| no_key(&raw))?;
    Ok(json(StatusCode::OK, &shown(&app, found)))
}

pub(super) async fn revoke(State(app): State<Arc<App>>, Path(raw): Path<String>, _: NoQuery) -> Reply {
    let id = existing_id(&raw)?;
    let revoked = app.engine.store().access().revoke_key(id).await;
    // Also where it is not known whether it was.
    app.access.forget();
    let revoked = revoked.map_err(error_object)?;
    let mut answer = json(StatusCode::OK, &Revoked { id: id.to_string() });
    let what = format!("key {}", revoked.label());
    answer.extensions_mut().insert(Audited(what));
    Ok(answer)
}

//! `/catalog/v1/sources`: sources.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use granary_api::page::{Page, PageQuery};
use granary_api::sources::{Deleted, Source, SourceDeleteQuery, SourceType, SourceWrite};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_engine::error_object;

use crate::reply::{Reply, json};
use crate::request::{Asked, NoQuery, Path, existing, json_body, object, page_limit};
use crate::routes::definitions::status_of;
use crate::{App, cursor};

fn shown(source: granary_store::Source) -> Source {
    Source {
        key: source.key,
        source_type: SourceType::Registry,
        created_at: source.created_at,
    }
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    _: NoQuery,
    request: Request,
) -> Reply {
    let key = Key::parse(&key).map_err(ErrorObject::from)?;
    let body = json_body(request, "definitionBytes", app.engine.limits().definition_bytes).await?;
    let _: SourceWrite = object(&body, "a source", r#"{"type":"registry"}"#)?;
    let (source, stored) = app
        .engine
        .store()
        .put_source(&key, app.engine.clock().now())
        .await
        .map_err(error_object)?;
    Ok(json(status_of(stored), &shown(source)))
}

pub(super) async fn list(State(app): State<Arc<App>>, Asked(query): Asked<PageQuery>) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let after = query
        .cursor
        .map(|raw| cursor::decode("sources", &raw))
        .transpose()?;
    let after = after
        .map(|key| Key::parse(&key))
        .transpose()
        .map_err(|_| cursor::not_of_this_list())?;
    let mut sources = app
        .engine
        .store()
        .sources(after.as_ref(), limit + 1)
        .await
        .map_err(error_object)?;
    let more = sources.len() > limit;
    sources.truncate(limit);
    let next = sources
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode("sources", last.key.as_str()));
    super::page(
        "/catalog/v1/sources",
        &[("limit", query.limit.map(|n| n.to_string()))],
        Page::new(sources.into_iter().map(shown).collect::<Vec<_>>(), next),
    )
}

pub(super) async fn show(State(app): State<Arc<App>>, Path(key): Path<String>, _: NoQuery) -> Reply {
    let source = app.engine.source(&existing("source", &key)?).await?;
    Ok(json(StatusCode::OK, &shown(source)))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    Asked(query): Asked<SourceDeleteQuery>,
) -> Reply {
    let key = existing("source", &key)?;
    app.engine.delete_source(&key, query.purge).await?;
    // What it held is freed in the background.
    let status = if query.purge {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok(json(status, &Deleted { key }))
}

//! `/catalog/v1/sources`: sources.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use granary_api::page::{Page, PageQuery};
use granary_api::paths::SOURCES;
use granary_api::sources::{Deleted, Source, SourceDeleteQuery, SourceType, SourceWrite};
use granary_core::access::Sources;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_engine::error_object;
use granary_store::StoreError;

use crate::access::{Audited, Caller};
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

/// Sources in key order after `after`, at most `limit`: those that the caller may see.
async fn seen_by(
    caller: &Caller,
    app: &App,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<granary_store::Source>, StoreError> {
    let store = app.engine.store();
    let these = match caller.sources() {
        Sources::All => return store.sources(after, limit).await,
        Sources::These(these) => these,
    };
    let mut found = Vec::new();
    for key in these.iter().filter(|key| after.is_none_or(|after| *key > after)) {
        if found.len() == limit {
            break;
        }
        found.extend(store.source(key).await?);
    }
    Ok(found)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<PageQuery>,
) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let after = query
        .cursor
        .map(|raw| cursor::decode("sources", &raw))
        .transpose()?;
    let after = after
        .map(|key| Key::parse(&key))
        .transpose()
        .map_err(|_| cursor::not_of_this_list())?;
    let mut sources = seen_by(&caller, &app, after.as_ref(), limit + 1)
        .await
        .map_err(error_object)?;
    let more = sources.len() > limit;
    sources.truncate(limit);
    let next = sources
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode("sources", last.key.as_str()));
    super::page(
        SOURCES,
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
    let mut answer = json(status, &Deleted { key });
    if query.purge {
        answer
            .extensions_mut()
            .insert(Audited("with all it holds".to_owned()));
    }
    Ok(answer)
}

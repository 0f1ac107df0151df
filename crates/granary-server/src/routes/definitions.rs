//! `…/profiles` and `…/relationship-definitions`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use granary_api::definitions::{Definition, Members};
use granary_api::page::{Page, PageQuery};
use granary_api::sources::Deleted;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::schema::{DefinitionKind, StoredDefinition};
use granary_engine::{error_object, tag_of_definition};
use granary_store::{Stored, take_page};

use crate::conditions::{Conditions, tagged};
use crate::reply::{Reply, json};
use crate::request::{Asked, NoQuery, Path, existing, json_body, page_limit, shortened};
use crate::{App, cursor};

use DefinitionKind::{Profile, RelationshipDefinition};

type OfSource = Path<String>;
type Named = Path<(String, String)>;
type Shared = State<Arc<App>>;

pub(super) async fn put_profile(
    app: Shared,
    path: Named,
    _: NoQuery,
    conditions: Conditions,
    request: Request,
) -> Reply {
    put(app, path, conditions, request, Profile).await
}

pub(super) async fn put_relationship_definition(
    app: Shared,
    path: Named,
    _: NoQuery,
    conditions: Conditions,
    request: Request,
) -> Reply {
    put(app, path, conditions, request, RelationshipDefinition).await
}

pub(super) async fn show_profile(app: Shared, path: Named, _: NoQuery, conditions: Conditions) -> Reply {
    show(app, path, conditions, Profile).await
}

pub(super) async fn show_relationship_definition(
    app: Shared,
    path: Named,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    show(app, path, conditions, RelationshipDefinition).await
}

pub(super) async fn list_profiles(app: Shared, path: OfSource, query: Asked<PageQuery>) -> Reply {
    list(app, path, query, Profile).await
}

pub(super) async fn list_relationship_definitions(
    app: Shared,
    path: OfSource,
    query: Asked<PageQuery>,
) -> Reply {
    list(app, path, query, RelationshipDefinition).await
}

pub(super) async fn delete_profile(app: Shared, path: Named, _: NoQuery, conditions: Conditions) -> Reply {
    delete(app, path, conditions, Profile).await
}

pub(super) async fn delete_relationship_definition(
    app: Shared,
    path: Named,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    delete(app, path, conditions, RelationshipDefinition).await
}

/// What a PUT answers.
pub(super) fn status_of(stored: Stored) -> StatusCode {
    match stored {
        Stored::Created => StatusCode::CREATED,
        Stored::Replaced => StatusCode::OK,
    }
}

pub(super) fn shown(stored: &StoredDefinition) -> Result<Definition, ErrorObject> {
    let members: Members = serde_json::from_str(&stored.json).map_err(|error| {
        tracing::error!(%error, definition = %stored.key, "a stored definition is not JSON");
        ErrorObject::internal()
    })?;
    Ok(Definition {
        key: stored.key.clone(),
        revision: stored.revision,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
        members,
    })
}

async fn put(
    State(app): Shared,
    Path((source, key)): Named,
    conditions: Conditions,
    request: Request,
    kind: DefinitionKind,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let key = Key::parse(&key).map_err(ErrorObject::from)?;
    let _place = app.engine.admit()?;
    let body = json_body(request, "definitionBytes", app.engine.limits().definition_bytes).await?;
    let defined = app
        .engine
        .put_definition(&source, kind, &key, body, expected)
        .await?;
    let answer = json(status_of(defined.stored), &shown(&defined.definition)?);
    Ok(tagged(answer, &defined.tag))
}

async fn show(
    State(app): Shared,
    Path((source, key)): Named,
    conditions: Conditions,
    kind: DefinitionKind,
) -> Reply {
    let source = app.engine.source(&existing("source", &source)?).await?;
    let definitions = app
        .engine
        .store()
        .definitions(&source)
        .await
        .map_err(error_object)?;
    let found = definitions
        .list
        .iter()
        .find(|d| d.kind == kind && d.key.as_str() == key);
    let found = found.ok_or_else(|| {
        ErrorObject::not_found(format!("{} '{}' does not exist", kind.noun(), shortened(&key)))
    })?;
    let shown = shown(found)?;
    conditions.answer(&tag_of_definition(&source, found), || {
        json(StatusCode::OK, &shown)
    })
}

async fn list(
    State(app): Shared,
    Path(source): OfSource,
    Asked(query): Asked<PageQuery>,
    kind: DefinitionKind,
) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let source = app.engine.source(&existing("source", &source)?).await?;
    let of = format!("{}/{}", kind.noun(), source.number);
    let after = query.cursor.map(|raw| cursor::decode(&of, &raw)).transpose()?;
    let definitions = app
        .engine
        .store()
        .definitions(&source)
        .await
        .map_err(error_object)?;
    let rest = |d: &&StoredDefinition| {
        d.kind == kind && after.as_ref().is_none_or(|after| d.key.as_str() > after.as_str())
    };
    let rest: Vec<&StoredDefinition> = definitions.list.iter().filter(rest).take(limit + 1).collect();
    let page = take_page(rest.iter().copied().map(Ok::<_, ErrorObject>), limit)?;
    let next = page
        .last()
        .filter(|_| page.len() < rest.len())
        .map(|last| cursor::encode(&of, last.key.as_str()));
    let data = page.into_iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let folder = match kind {
        Profile => "profiles",
        RelationshipDefinition => "relationship-definitions",
    };
    let path = format!("/sources/{}/v1/{folder}", source.key);
    super::page(
        &path,
        &[("limit", query.limit.map(|n| n.to_string()))],
        Page::new(data, next),
    )
}

async fn delete(
    State(app): Shared,
    Path((source, key)): Named,
    conditions: Conditions,
    kind: DefinitionKind,
) -> Reply {
    let expected = conditions.of_write()?;
    let source = existing("source", &source)?;
    let key = existing(kind.noun(), &key)?;
    app.engine
        .delete_definition(&source, kind, &key, expected)
        .await?;
    Ok(json(StatusCode::OK, &Deleted { key }))
}

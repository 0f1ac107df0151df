//! `…/resources/{type}/{id}/{containKey}[/{containedId}/…]`: contained resources, one at a time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_api::JSON;
use granary_core::contained::{self, ContainedPath};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::{Key, ResourceId};
use granary_core::operation::{RecordId, TargetType};
use granary_engine::{Change, Once, PartChange, SingleWrite, WriteOutcome, error_object, tag_of_record};

use crate::App;
use crate::conditions::Conditions;
use crate::idempotency::Idempotency;
use crate::records;
use crate::reply::{Failure, Reply, raw_json, with_header};
use crate::request::{NoQuery, Path, existing, json_body, shortened};
use crate::routes::resources::{no_record, no_type};

type Shared = State<Arc<App>>;
type Names = Path<(String, String, String, String)>;

/// What a path names.
struct Named {
    source: Key,
    type_key: String,
    root: ResourceId,
    path: ContainedPath,
    /// The path as it was sent.
    sent: String,
}

impl Named {
    fn parse(
        (source, type_key, root, contained): (String, String, String, String),
    ) -> Result<Self, ErrorObject> {
        let path = ContainedPath::parse(&contained).map_err(|_| {
            let shown = shortened(&contained);
            ErrorObject::not_found(format!("there is no contained resource at '{shown}'"))
        });
        Ok(Self {
            source: existing("source", &source)?,
            root: ResourceId::parse(&root).map_err(|_| no_record(&type_key, &root))?,
            type_key,
            path: path?,
            sent: contained,
        })
    }

    /// Refuses a method that is not for what the path ends with.
    fn has_no(&self, method: &Method) -> Response {
        let (end, allowed) = match self.path.id {
            Some(_) => (
                "a path that ends with the id of a contained resource",
                "GET,HEAD,PUT,DELETE",
            ),
            None => ("a path that ends with a contain key", "GET,HEAD,POST"),
        };
        let message = format!("{end} has no method {}", shortened(method.as_str()));
        let error = ErrorObject::new(ErrorType::Unimplemented, message).with_code(405);
        with_header(Failure(error).into_response(), ALLOW, allowed)
    }
}

/// The methods that no path of contained resources has.
pub(super) async fn no_such_method(method: Method, Path(names): Names) -> Reply {
    Ok(Named::parse(names)?.has_no(&method))
}

pub(super) async fn show(
    State(app): Shared,
    Path(names): Names,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let named = Named::parse(names)?;
    let source = app.engine.source(&named.source).await?;
    let schema = app.engine.schema(&source).await?;
    let no_root = || no_record(&named.type_key, named.root.as_str());
    let type_index = schema
        .resource_type(&named.type_key)
        .ok_or_else(|| no_type(&named.type_key))?;
    let number = schema.types[type_index as usize].number;
    let root = RecordId::Resource(named.root.clone());
    let found = app.engine.store().record(&source, number, &root).await;
    let record = found.map_err(error_object)?.ok_or_else(no_root)?;
    let found = contained::read(&schema, type_index, &record.body, &named.path)?;
    conditions.answer(&tag_of_record(&source, &record.head), || {
        let body = match named.path.id {
            Some(_) => found,
            None => format!(r#"{{"data":{found},"meta":{{}}}}"#),
        };
        raw_json(StatusCode::OK, body)
    })
}

pub(super) async fn add(
    State(app): Shared,
    Path(names): Names,
    _: NoQuery,
    conditions: Conditions,
    idempotency: Idempotency,
    request: Request,
) -> Reply {
    let named = Named::parse(names)?;
    if named.path.id.is_some() {
        return Ok(named.has_no(&Method::POST));
    }
    let place = app.engine.admit()?;
    let bytes_max = app.engine.limits().single_body_bytes;
    let body = json_body(request, "singleBodyBytes", bytes_max).await?;
    let once = idempotency.once(&app.engine, JSON);
    write(&app, place, named, conditions, PartChange::Add(body), once).await
}

pub(super) async fn put(
    State(app): Shared,
    Path(names): Names,
    _: NoQuery,
    conditions: Conditions,
    request: Request,
) -> Reply {
    // What names nothing elsewhere would be made here.
    ContainedPath::parse(&names.3).map_err(ErrorObject::from)?;
    let named = Named::parse(names)?;
    if named.path.id.is_none() {
        return Ok(named.has_no(&Method::PUT));
    }
    let place = app.engine.admit()?;
    let bytes_max = app.engine.limits().single_body_bytes;
    let body = json_body(request, "singleBodyBytes", bytes_max).await?;
    write(&app, place, named, conditions, PartChange::Put(body), None).await
}

pub(super) async fn remove(
    State(app): Shared,
    Path(names): Names,
    _: NoQuery,
    conditions: Conditions,
) -> Reply {
    let named = Named::parse(names)?;
    if named.path.id.is_none() {
        return Ok(named.has_no(&Method::DELETE));
    }
    let place = app.engine.admit()?;
    write(&app, place, named, conditions, PartChange::Remove, None).await
}

/// Answers the root as it is now: its version and its tag are those of all that it contains.
async fn write(
    app: &App,
    place: granary_engine::InFlight,
    named: Named,
    conditions: Conditions,
    change: PartChange,
    once: Option<Once>,
) -> Reply {
    let expected = conditions.of_write()?;
    let Named {
        source,
        type_key,
        root,
        path,
        sent,
    } = named;
    let added = matches!(change, PartChange::Add(_));
    let at = format!("/sources/{source}/v1/resources/{type_key}/{root}/{sent}");
    let write = SingleWrite {
        source: source.clone(),
        target: TargetType::Resource,
        type_key: type_key.clone(),
        change: Change::Contained(root, path, change),
        expected,
        once,
    };
    let persisted = app.engine.write(place, write).await?;
    let status = match persisted.outcome {
        WriteOutcome::Created => StatusCode::CREATED,
        WriteOutcome::Replaced | WriteOutcome::Deleted => StatusCode::OK,
    };
    let answer = records::resource_written(status, &persisted, &source, &type_key);
    Ok(match &persisted.part {
        Some(id) if added => with_header(answer, LOCATION, &format!("{at}/{id}")),
        _ => answer,
    })
}

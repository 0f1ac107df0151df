//! The routes, a file for each noun. The tree of URLs is the contract's, section 3.

mod bulk;
mod definitions;
mod health;
mod purge;
mod relationships;
mod resources;
mod sources;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::header::LINK;
use axum::http::{Method, StatusCode};
use axum::routing::{any, get, post};
use granary_api::page::Page;
use granary_core::error::{ErrorObject, ErrorType};

use crate::App;
use crate::reply::{Failure, Reply, json, with_header};
use crate::request::shortened;

/// Every path of the contract.
pub(crate) fn all() -> Router<Arc<App>> {
    let of_source = Router::new()
        .route("/profiles", get(definitions::list_profiles))
        .route(
            "/profiles/{key}",
            get(definitions::show_profile)
                .put(definitions::put_profile)
                .delete(definitions::delete_profile),
        )
        .route(
            "/relationship-definitions",
            get(definitions::list_relationship_definitions),
        )
        .route(
            "/relationship-definitions/{key}",
            get(definitions::show_relationship_definition)
                .put(definitions::put_relationship_definition)
                .delete(definitions::delete_relationship_definition),
        )
        .route("/resources/bulk", post(bulk::resources))
        .route("/resources/bulk/{id}", get(bulk::resources_task))
        .route("/relationships/bulk", post(bulk::relationships))
        .route("/relationships/bulk/{id}", get(bulk::relationships_task))
        .route("/resources/{type}", get(resources::list).post(resources::create))
        .route(
            "/resources/{type}/{id}",
            get(resources::show)
                .put(resources::upsert)
                .delete(resources::delete),
        )
        .route(
            "/relationships/{type}",
            get(relationships::list).post(relationships::create),
        )
        .route(
            "/relationships/{type}/{id}",
            get(relationships::show)
                .delete(relationships::delete)
                .patch(not_yet),
        )
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::show))
        .route("/tasks/{id}/receipts", get(tasks::receipts))
        .route("/tasks/{id}/operations", get(not_yet))
        .route("/tasks/{id}/events", get(not_yet))
        .route("/tasks/{id}/cancel", post(tasks::cancel))
        .route("/tasks/{id}/retry", post(not_yet))
        .route(
            "/resources/{type}/{id}/{*contained}",
            post(not_yet).put(not_yet).delete(not_yet),
        )
        .route("/bundle", post(not_yet))
        .route("/purge", post(purge::start))
        .route("/purge/{id}", get(purge::show));
    Router::new()
        .route("/catalog/v1/sources", get(sources::list))
        .route(
            "/catalog/v1/sources/{source}",
            get(sources::show).put(sources::put).delete(sources::delete),
        )
        .nest("/sources/{source}/v1", of_source)
        .route("/terminology/v1/{*path}", any(not_yet))
        .route("/limits", get(health::limits))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(not_yet))
        .route("/openapi.json", get(not_yet))
        .route("/docs", get(not_yet))
        .route("/", get(not_yet))
}

/// A page of a list, with the address of the next one in `Link`.
fn page<T: serde::Serialize>(path: &str, query: &[(&str, Option<String>)], page: Page<T>) -> Reply {
    let response = json(StatusCode::OK, &page);
    Ok(match &page.meta.cursor {
        Some(cursor) => with_header(response, LINK, &next_link(path, query, cursor)),
        None => response,
    })
}

/// The value of `Link`: the same list, from the cursor on.
pub(crate) fn next_link(path: &str, query: &[(&str, Option<String>)], cursor: &str) -> String {
    let kept = query
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}&", encoded(value.as_ref()?))));
    format!(
        "<{path}?{}cursor={cursor}>; rel=\"next\"",
        kept.collect::<String>()
    )
}

/// A value of a query, percent-encoded but for what never needs it.
fn encoded(raw: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    raw.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// Calls that the contract names and that are not built yet.
async fn not_yet(OriginalUri(uri): OriginalUri, method: Method) -> Failure {
    let message = format!(
        "{} {} is not supported yet",
        shortened(method.as_str()),
        shortened(uri.path())
    );
    Failure(ErrorObject::new(ErrorType::Unimplemented, message))
}

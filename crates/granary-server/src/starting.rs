//! What a server answers before it serves: that it is alive, and not ready.

use axum::Router;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use granary_api::health::STARTING;
use granary_core::error::{ErrorObject, ErrorType};
use tokio_util::sync::CancellationToken;

use crate::connections::Listening;
use crate::reply::Failure;
use crate::{layers, routes};

/// Answers while a store is opened, which takes a while where it recovers; until `ready` is cancelled. `/healthz` says that
/// the server is alive, `/readyz` that it is starting, and all else is refused. Takes no connection any more when it returns.
pub async fn starting(listening: Listening, ready: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(routes::health::alive))
        .route(
            "/readyz",
            get(async || -> Response { routes::health::starting() }),
        )
        .fallback(async || {
            let message = format!("{STARTING}; send the call again later");
            Failure(ErrorObject::new(ErrorType::Unavailable, message))
        })
        .layer(middleware::from_fn(layers::while_starting));
    listening.take(router, ready).await;
}

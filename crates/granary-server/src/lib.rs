//! The wire: routes that follow the URLs of the contract, over the engine. Knows nothing of which store runs.
//!
//! `routes/` has a file for each noun; `reply` turns what came of a call into its answer; `request` reads what a call
//! carries; `layers` is what every call goes through.

mod conditions;
mod cursor;
mod layers;
mod linger;
mod records;
mod reply;
mod request;
mod routes;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use granary_engine::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) stop: CancellationToken,
}

/// How long calls that are under way may go on when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Serves until `stop` is cancelled; then takes no new connections, and returns when the calls under way have ended
/// or the time for it is over. The engine is the caller's to stop.
pub async fn serve(listener: TcpListener, engine: Engine, stop: CancellationToken) -> io::Result<()> {
    let app = App {
        engine,
        stop: stop.clone(),
    };
    let stopping = stop.clone();
    // An answer of several pieces must not wait for the client to acknowledge the first.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let serving = axum::serve(listener, router(app))
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future();
    let out_of_time = async move {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        outcome = serving => outcome,
        () = out_of_time => {
            tracing::warn!("stopped with calls still under way");
            Ok(())
        }
    }
}

/// Every call that is routed: its method and its path, with names in braces.
pub fn calls() -> impl Iterator<Item = (String, &'static str)> {
    routes::TABLE.iter().flat_map(|route| {
        let methods = route.methods.iter();
        methods.map(|method| (method.to_ascii_uppercase(), route.path))
    })
}

fn router(app: App) -> Router {
    let shared = Arc::new(app);
    layers::around(routes::all(), &shared).with_state(shared)
}

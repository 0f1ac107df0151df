//! The wire: routes that follow the URLs of the contract, over the engine. Knows nothing of which store runs.
//!
//! `routes/` has a file for each noun; `reply` turns what came of a call into its answer; `request` reads what a call
//! carries; `layers` is what every call goes through; `access` says who may call.

mod access;
mod assets;
mod coding;
mod conditions;
mod connections;
mod console;
mod cursor;
mod description;
mod idempotency;
mod layers;
mod linger;
mod metrics;
mod prefer;
mod records;
mod reply;
mod request;
mod routes;
mod starting;
mod stream;
mod tls;
mod trace;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use access::AccessOptions;
pub use axum::http::HeaderValue;
use axum::{Router, middleware};
pub use connections::{CONNECTIONS_MAX, Listening};
use granary_engine::Engine;
pub use starting::starting;
pub use tls::{Tls, TlsError};
use tokio_util::sync::CancellationToken;

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) calls: Calls,
    pub(crate) access: Arc<access::Access>,
    pub(crate) stop: Stop,
    pub(crate) metrics: metrics::Metrics,
}

/// Which calls a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// All of them.
    #[default]
    All,
    /// Only whether it is alive and ready: it carries out tasks, and takes in nothing.
    Health,
}

/// How a server is stopped, in two steps.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled first: `/readyz` says that the server stops, and each answer ends its connection. All else is served as
    /// before, until those who send calls here have noticed.
    pub announced: CancellationToken,
    /// Cancelled then, or alone: no new connections, and what has begun is finished.
    pub now: CancellationToken,
}

impl Stop {
    /// True from the first step on.
    pub(crate) fn begun(&self) -> bool {
        self.announced.is_cancelled() || self.now.is_cancelled()
    }
}

/// How long calls that are under way may go on when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long a server that stops tries to write down when keys were used.
const USES_WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Serves until `stop.now` is cancelled; then takes no new connections, and returns when the calls under way have ended
/// or the time for it is over. The engine is the caller's to stop.
///
/// Where it listens on this machine alone, and the store has never had an API key, whoever is on this machine is served;
/// anywhere else nobody without a key.
pub async fn serve(
    listening: impl Into<Listening>,
    engine: Engine,
    calls: Calls,
    access: AccessOptions,
    stop: Stop,
) -> io::Result<()> {
    let now = stop.now.clone();
    let listening = listening.into();
    let this_machine = listening.local_addr()?.ip().is_loopback();
    let access = Arc::new(access::Access::new(access, this_machine));
    access.look(engine.store().access()).await;
    let app = App {
        engine: engine.clone(),
        calls,
        access: Arc::clone(&access),
        stop,
        metrics: metrics::Metrics::default(),
    };
    let serving = listening.serve(router(app), now.clone());
    let out_of_time = async move {
        now.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    let keys = engine.store().access();
    let outcome = tokio::select! {
        () = serving => Ok(()),
        () = out_of_time => {
            tracing::warn!("stopped with calls still under way");
            Ok(())
        }
        () = access.keep_writing_uses(keys) => Ok(()),
    };
    // Nobody waits long for that.
    let _ = tokio::time::timeout(USES_WRITTEN_WITHIN, access.write_uses(keys)).await;
    outcome
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
    let routes = match shared.calls {
        Calls::All => routes::all(),
        Calls::Health => routes::health(),
    };
    let routes = layers::around(routes, &shared);
    let routes = match shared.access.cors() {
        Some(cors) => routes.layer(cors).layer(middleware::from_fn(layers::with_id)),
        None => routes,
    };
    routes.with_state(shared)
}

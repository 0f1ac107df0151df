//! `/metrics`: what the server has done and is at, as OpenMetrics text.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use granary_engine::{Engine, error_object};
use granary_store::FigureValue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::App;
use crate::reply::{Reply, typed};

/// The media type of what is answered.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of what calls take, in seconds: bulk requests take minutes.
const SECONDS: [f64; 12] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0,
];

/// What calls are counted by. The route is that of the table, not the path as sent, so that there are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    name: &'static str,
}

/// Counts the calls of a server.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        }
    }
}

impl Metrics {
    /// Counts a call that was answered, but for what is left of its body.
    pub(crate) fn call(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let (method, route) = (known(method), route.to_owned());
        let labels = CallLabels {
            method,
            route: route.clone(),
            status,
        };
        self.calls.get_or_create(&labels).inc();
        let labels = RouteLabels { method, route };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// The name of a method; a client may make up as many others as it likes.
pub(crate) fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    { KNOWN.into_iter() }
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

pub(crate) async fn show(State(app): State<Arc<App>>) -> Reply {
    let mut registry = Registry::with_prefix("granary");
    registry.register("calls", "Calls that were answered", app.metrics.calls.clone());
    registry.register(
        "call_seconds",
        "From the head of a call to that of its answer",
        app.metrics.seconds.clone(),
    );
    of_engine(&mut registry, &app).await?;
    of_store(&mut registry, &app.engine);
    let mut text = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
        tracing::error!(%error, "the metrics could not be written");
        return Err(granary_core::error::ErrorObject::new(
            granary_core::error::ErrorType::Internal,
            "the metrics could not be written",
        )
        .into());
    }
    Ok(typed(StatusCode::OK, OPENMETRICS, text))
}

async fn of_engine(registry: &mut Registry, app: &App) -> Result<(), crate::reply::Failure> {
    let engine = &app.engine;
    let figures = engine.figures();
    let mut counter = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstCounter::new(value));
    };
    counter(
        "bulk_accepted",
        "Bulk requests that were accepted",
        figures.bulk_accepted,
    );
    counter(
        "bulk_rejected",
        "Bulk requests that were rejected",
        figures.bulk_rejected,
    );
    counter(
        "bulk_replayed",
        "Bulk requests that were accepted before",
        figures.bulk_replayed,
    );
    counter(
        "bulk_failed",
        "Bulk requests that failed as calls",
        figures.bulk_failed,
    );
    counter(
        "operations_accepted",
        "Operations of the requests that were accepted",
        figures.operations_accepted,
    );
    counter(
        "operations_applied",
        "Operations of tasks that were decided",
        figures.operations_applied,
    );
    counter("chunks", "Chunks of tasks that were applied", figures.chunks);
    counter(
        "chunk_failures",
        "Chunks that were not applied, and are tried again",
        figures.chunk_failures,
    );
    counter(
        "tasks_removed",
        "Tasks that were kept no longer and are removed",
        figures.tasks_removed,
    );
    let chunk_seconds = ConstCounter::new(figures.chunk_time.as_secs_f64());
    registry.register(
        "chunk_seconds",
        "What applying chunks took, all together",
        chunk_seconds,
    );

    let store = engine.store();
    let spooled = store.spooled_bytes().await.map_err(error_object);
    let ready = store.check_writable().await.is_ok() && !engine.stopping() && !app.stop.begun();
    let limits = engine.limits();
    let in_force = Family::<LimitLabels, Gauge<u64, AtomicU64>>::default();
    for row in limits.table() {
        let of = LimitLabels { name: row.name };
        in_force.get_or_create(&of).set(row.value);
    }
    registry.register("limit", "The limits in force, as at /limits", in_force);
    let mut gauge = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(value));
    };
    gauge("ready", "1 where the server takes new work", u64::from(ready));
    gauge("lanes_held", "Lanes that workers are at", figures.lanes_held);
    gauge(
        "requests_in_flight",
        "Calls that hold a place among the requests in flight, but for deletes of single records",
        figures.requests_in_flight,
    );
    gauge(
        "requests_in_flight_limit",
        "The limit requestsInFlight",
        limits.requests_in_flight,
    );
    // Where the store is out of reach all else is told all the same.
    if let Ok(spooled) = spooled {
        gauge(
            "spool_bytes",
            "Bytes of uploads under way and of tasks that have not ended",
            spooled,
        );
    }
    gauge("spool_bytes_limit", "The limit spoolBytes", limits.spool_bytes);
    gauge(
        "scratch_bytes",
        "Bytes of files that hold the failures of rejected requests",
        figures.scratch_bytes,
    );
    Ok(())
}

fn of_store(registry: &mut Registry, engine: &Engine) {
    let registry = registry.sub_registry_with_prefix("store");
    for figure in engine.store().figures() {
        match figure.value {
            FigureValue::Counter(value) => {
                registry.register(figure.name, figure.help, ConstCounter::new(value))
            }
            FigureValue::Gauge(value) => registry.register(figure.name, figure.help, ConstGauge::new(value)),
        }
    }
}

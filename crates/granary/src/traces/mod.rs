//! Traces over OTLP, where the variables of OpenTelemetry ask for them.
//!
//! Spans are handed to a queue of bounded length, and a thread of its own sends them: whoever is served waits for none of
//! that. What finds the queue full, or is not taken, is dropped and counted. What a collector answers, and how it is
//! reached, is told once when it begins to fail and once a minute from then on; headers, which may be secrets, are told
//! nowhere.

mod export;
mod tasks;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use export::{Counted, Sender};
use tasks::Tasks;

/// How long a server that stops waits until what is left of its spans is sent.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// How long one request to the collector may take, unless told.
const SEND_MAX: Duration = Duration::from_secs(10);
/// What spans are of, unless told.
const SERVICE: &str = "granary";

/// Traces that are on.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Traces as the environment asks for them; `None` where it does not.
    pub(crate) fn from_environment() -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = of_traces("ENDPOINT") else {
            return Ok(None);
        };
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
        let exporter = variable("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".to_owned());
        if disabled || exporter == "none" {
            return Ok(None);
        }
        ensure!(
            exporter == "otlp",
            "OTEL_TRACES_EXPORTER is '{exporter}'; only otlp and none are supported"
        );
        if let Some(protocol) = of_traces("PROTOCOL")
            && protocol != "http/protobuf"
        {
            bail!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is '{protocol}', and only http/protobuf is supported; collectors take that \
                 at port 4318 as a rule"
            );
        }
        if let Some(compression) = of_traces("COMPRESSION")
            && compression != "none"
        {
            bail!("OTEL_EXPORTER_OTLP_COMPRESSION is '{compression}', and is not supported; leave it off");
        }
        let timeout = match of_traces("TIMEOUT") {
            None => SEND_MAX,
            Some(raw) => {
                let wrong = || format!("OTEL_EXPORTER_OTLP_TIMEOUT is '{raw}'; give it whole milliseconds");
                Duration::from_millis(raw.parse().with_context(wrong)?)
            }
        };
        // Whatever stands in front of the host may be a secret.
        let wrong = "OTEL_EXPORTER_OTLP_ENDPOINT is no URL; write it as http://collector.example:4318";
        let url: reqwest::Url = endpoint.parse().context(wrong)?;
        ensure!(matches!(url.scheme(), "http" | "https"), "{wrong}");
        let certificate = of_traces("CERTIFICATE");
        let http = granary_client::http(&url, certificate.as_deref().map(Path::new));
        let http = http.map_err(anyhow::Error::msg)?.timeout(timeout);
        // Its headers are for this host alone.
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        let sender = Sender::new(http, tokio::runtime::Handle::current());
        let exporter = SpanExporter::builder().with_http().with_http_client(sender);
        let exporter = Counted::new(exporter.build()?);
        let resource = Resource::builder();
        let resource = match variable("OTEL_SERVICE_NAME").is_some() || names_service() {
            true => resource,
            false => resource.with_service_name(SERVICE),
        };
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.with_attribute(version).build())
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = provider.tracer(SERVICE);
        Ok(Some(Self { provider, tracer }))
    }

    /// Makes spans of what is told of calls and tasks, and of nothing else.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == granary_engine::told::TRACES
            }));
        let tasks = Tasks::new(self.tracer.clone()).with_filter(filter_fn(tasks::tells));
        spans.and_then(tasks)
    }

    /// Sends what is left, within a bounded time.
    pub(crate) async fn stop(self) {
        let provider = Arc::new(self.provider);
        let stopping = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_MAX));
        // What was not sent is counted where it is dropped.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(FLUSH_MAX, stopping).await {
            tracing::debug!(%error, "the last spans were not sent in time");
        }
    }
}

/// The variable of OTLP for traces, or that for everything.
fn of_traces(name: &str) -> Option<String> {
    variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
        .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
}

/// A variable that is set to something: one that is empty counts as none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn names_service() -> bool {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut names = attributes
        .split(',')
        .filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
    names.any(|name| name == "service.name")
}

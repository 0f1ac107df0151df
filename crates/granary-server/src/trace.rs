//! The span of a call in a trace, with the names of the semantic conventions of OpenTelemetry. Where no traces are asked for
//! it is disabled, and costs next to nothing.
//!
//! The path as sent is not in it, nor any query: both may hold ids of records.

use axum::http::{HeaderMap, Method};
use granary_engine::told::TRACES;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use tracing::{Span, trace_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::metrics::known;

/// The span of a call, under the span that its caller sent along as `traceparent`.
pub(crate) fn of_call(method: &Method, route: Option<&str>, request_id: &str, headers: &HeaderMap) -> Span {
    let name = match known(method) {
        "other" => "_OTHER",
        known => known,
    };
    let span = trace_span!(
        target: TRACES,
        "call",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
        http.request.method = name,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request.id = request_id,
    );
    if !span.is_disabled() {
        // A method that is not known is not part of a name, of which there would be too many.
        let shown = if name == "_OTHER" { "HTTP" } else { name };
        match route {
            Some(route) => span.record("otel.name", format!("{shown} {route}")),
            None => span.record("otel.name", shown),
        };
        let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Sent(headers)));
        // It fails where the log shows the span and traces are off.
        let _ = span.set_parent(parent);
    }
    span
}

/// Notes in the span of the call that is answered how it is.
pub(crate) fn answered(status: u16) {
    let span = Span::current();
    let of_call = span.metadata().map(|metadata| metadata.target());
    if of_call != Some(TRACES) {
        return;
    }
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.to_string());
    }
}

/// The headers of a call, as OpenTelemetry reads them.
struct Sent<'a>(&'a HeaderMap);

impl Extractor for Sent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

//! A collector of traces: OTLP over real HTTP, into memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::PATIENCE;

/// What a collector was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    /// Spans, in the order in which they came.
    pub(super) spans: Vec<Span>,
    /// Attributes of what sent the last of them.
    pub(super) resource: BTreeMap<String, String>,
    /// The headers that the last of them came with.
    pub(super) headers: HeaderMap,
}

/// A collector that listens until it is dropped with its runtime.
pub(super) struct Collector {
    pub(super) url: String,
    collected: watch::Receiver<Collected>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let (sender, collected) = watch::channel(Collected::default());
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(1 << 24))
            .with_state(Arc::new(sender));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, collected }
    }

    /// What was sent, once it is like this.
    pub(super) async fn once(&self, ready: impl FnMut(&Collected) -> bool) -> Collected {
        let mut collected = self.collected.clone();
        let waiting = tokio::time::timeout(PATIENCE, collected.wait_for(ready)).await;
        match waiting {
            Ok(collected) => collected.unwrap().clone(),
            Err(_) => panic!("it never comes to that: {:#?}", self.now()),
        }
    }

    /// What was sent by now.
    pub(super) fn now(&self) -> Collected {
        self.collected.borrow().clone()
    }
}

async fn take(State(sender): State<Arc<watch::Sender<Collected>>>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    sender.send_modify(|collected| {
        collected.headers = headers;
        for sent in request.resource_spans {
            collected.resource = attributes(&sent.resource.unwrap().attributes);
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            collected.spans.extend(spans);
        }
    });
}

/// Attributes by their names, as text.
pub(super) fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = all.iter().map(|pair| (pair.key.clone(), text(&pair.value)));
    pairs.collect()
}

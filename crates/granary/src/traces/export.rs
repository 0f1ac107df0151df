//! How spans get to the collector.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

/// How often it is told that spans are not taken, while that goes on.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// An answer of a collector is a few bytes; more of it is not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends requests by the client that the rest of granary uses: the thread that exports has no runtime of its own.
#[derive(Debug)]
pub(super) struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    pub(super) fn new(http: reqwest::Client, runtime: Handle) -> Self {
        Self { http, runtime }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move {
            // The URL may hold secrets.
            let request = request.try_into()?;
            let mut answer = http.execute(request).await.map_err(reqwest::Error::without_url)?;
            let status = answer.status();
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                let room = ANSWER_BYTES_MAX - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                if body.len() == ANSWER_BYTES_MAX {
                    break;
                }
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = status;
            Ok(response)
        });
        sending.await?
    }
}

/// An exporter that tells now and then how much of what it is given is lost, and is content with that.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    lost: Mutex<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    /// All together.
    spans: u64,
    /// When it was told last, while it goes on.
    told_at: Option<Instant>,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self {
            exporter,
            lost: Mutex::default(),
        }
    }

    fn took(&self, count: usize, outcome: OTelSdkResult) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                if lost.told_at.take().is_some() {
                    tracing::info!(spans_lost = lost.spans, "the collector takes spans again");
                }
            }
            Err(error) => {
                lost.spans += count as u64;
                if lost.told_at.is_none_or(|told_at| told_at.elapsed() >= TOLD_EVERY) {
                    lost.told_at = Some(Instant::now());
                    tracing::warn!(%error, spans_lost = lost.spans, "the collector does not take spans; they are dropped");
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.took(count, outcome);
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

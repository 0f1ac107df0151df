//! Bulk requests. Neither side of one has a bound, so neither is held: the body is a stream, and a rejection is read
//! receipt by receipt.

use std::fmt;
use std::io::{self, BufReader};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use granary_api::bulk::{BulkAccepted, BulkQuery, BulkValid, ReceiptsShown, RejectedReceipt, RetryQuery};
use granary_api::{CSV, JSON, NDJSON};
use granary_core::error::ErrorObject;
use granary_core::idempotency::IdempotencyKey;
use granary_core::operation::TargetType;
use granary_core::receipt::ReceiptStatus;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio_util::io::{StreamReader, SyncIoBridge};
use url::Url;

use crate::error::{BodyError, chain, shown};
use crate::{Error, SourceClient};

/// The part of the path that names what operations are on.
pub(crate) const fn collection(target: TargetType) -> &'static str {
    match target {
        TargetType::Resource => "resources",
        TargetType::Relationship => "relationships",
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the answer to a retry is read by.
fn of_retry(query: &RetryQuery) -> BulkQuery {
    BulkQuery {
        receipts: query.receipts,
        ..BulkQuery::default()
    }
}

/// The body of a bulk request.
#[derive(Debug)]
pub struct BulkBody {
    content_type: &'static str,
    encoding: Option<&'static str>,
    length: Option<u64>,
    body: Body,
}

impl BulkBody {
    /// One JSON document, `{"operations":[…]}`.
    pub fn json<S>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::new(JSON, stream)
    }

    /// One operation a line.
    pub fn ndjson<S>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::new(NDJSON, stream)
    }

    /// A header row that names properties, and a row for each operation. The query names their type.
    pub fn csv<S>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::new(CSV, stream)
    }

    fn new<S>(content_type: &'static str, stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let body = Body::wrap_stream(stream.map_err(BodyError));
        Self {
            content_type,
            encoding: None,
            length: None,
            body,
        }
    }

    /// The same, whose bytes are in this content coding already: `gzip` or `zstd`.
    #[must_use]
    pub const fn with_encoding(mut self, encoding: &'static str) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// The same, telling the server its length in bytes beforehand: one that is too long is then refused at once.
    #[must_use]
    pub const fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }
}

/// What a bulk request was answered with.
#[derive(Debug)]
pub enum BulkReply {
    /// It is on the server's disk, and a task carries it out.
    Accepted(BulkAccepted),
    /// It would be accepted.
    Valid(BulkValid),
    /// It is wrong, and nothing of it is stored.
    Rejected(Rejection),
}

impl SourceClient {
    /// Sends a bulk request of operations on `target`.
    pub async fn send_bulk(
        &self,
        target: TargetType,
        query: &BulkQuery,
        body: BulkBody,
    ) -> Result<BulkReply, Error> {
        let request = self.bulk_request(target, query, body)?;
        Ok(self.bulk_reply(request, query).await?.0)
    }

    /// The same under a key by which it is carried out once, however often it is sent. True where it was accepted before:
    /// then the reply is that of the first time, and nothing was started.
    pub async fn send_bulk_once(
        &self,
        target: TargetType,
        query: &BulkQuery,
        body: BulkBody,
        key: &IdempotencyKey,
    ) -> Result<(BulkReply, bool), Error> {
        let request = self.bulk_request(target, query, body)?;
        let request = request.header(IDEMPOTENCY_KEY, key.as_str());
        self.bulk_reply(request, query).await
    }

    fn bulk_request(
        &self,
        target: TargetType,
        query: &BulkQuery,
        body: BulkBody,
    ) -> Result<RequestBuilder, Error> {
        let mut request = self.request(Method::POST, &[collection(target), "bulk"])?;
        request = request
            .query(query)
            .header(CONTENT_TYPE, body.content_type)
            .header(ACCEPT, JSON);
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(length) = body.length {
            request = request.header(CONTENT_LENGTH, length);
        }
        Ok(request.body(body.body))
    }

    /// Sends a request that is answered as bulk requests are; true where the answer is that of an earlier one.
    async fn bulk_reply(
        &self,
        request: RequestBuilder,
        query: &BulkQuery,
    ) -> Result<(BulkReply, bool), Error> {
        let response = self.client.send(request).await?;
        let replayed = response.headers().contains_key(IDEMPOTENCY_REPLAYED);
        let reply = match response.status() {
            StatusCode::BAD_REQUEST => self.rejection(query.receipts, response).await?,
            status if !status.is_success() => return Err(self.client.refused(response).await),
            _ if query.validate_only => BulkReply::Valid(self.client.parse(response).await?),
            _ => BulkReply::Accepted(self.client.parse(response).await?),
        };
        Ok((reply, replayed))
    }

    /// Makes a new task of the operations of a bulk task that failed or were cancelled. It is checked and answered as a
    /// bulk request is; the prefix of the id may be left off.
    pub async fn retry_task(&self, id: &str, query: &RetryQuery) -> Result<BulkReply, Error> {
        let request = self.retry_request(id, query)?;
        Ok(self.bulk_reply(request, &of_retry(query)).await?.0)
    }

    /// The same under a key by which it is carried out once, however often it is sent; true where it was accepted before.
    pub async fn retry_task_once(
        &self,
        id: &str,
        query: &RetryQuery,
        key: &IdempotencyKey,
    ) -> Result<(BulkReply, bool), Error> {
        let request = self.retry_request(id, query)?;
        let request = request.header(IDEMPOTENCY_KEY, key.as_str());
        self.bulk_reply(request, &of_retry(query)).await
    }

    fn retry_request(&self, id: &str, query: &RetryQuery) -> Result<RequestBuilder, Error> {
        let request = self.request(Method::POST, &["tasks", id, "retry"])?;
        Ok(request.query(query).header(ACCEPT, JSON))
    }

    /// Tells a rejection from a plain error: both are 400. Only the start is read for it.
    async fn rejection(
        &self,
        receipts: Option<ReceiptsShown>,
        mut response: Response,
    ) -> Result<BulkReply, Error> {
        /// The first member of a rejection is its `status`; an error object has none.
        const START: &[u8] = br#"{"status":"REJECTED""#;
        let mut start = Vec::new();
        let mut told: Vec<u8> = Vec::new();
        while told.len() < START.len() {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    told.extend(chunk.iter().filter(|byte| !byte.is_ascii_whitespace()));
                    start.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                Err(error) => return Err(Error::from_transport(&self.client.server, error)),
            }
        }
        if told.starts_with(START) {
            let failures_only = receipts == Some(ReceiptsShown::Failures);
            let (server, response) = (Box::new(self.client.server.clone()), Box::new(response));
            return Ok(BulkReply::Rejected(Rejection {
                start: start.into(),
                response,
                server,
                failures_only,
            }));
        }
        Err(self.client.refused_after(start, response).await)
    }
}

/// A rejection, its answer not yet read.
#[derive(Debug)]
pub struct Rejection {
    start: Bytes,
    response: Box<Response>,
    server: Box<Url>,
    failures_only: bool,
}

/// What a rejection says, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub struct RejectionSummary {
    /// What is wrong with the body itself, where it breaks off or is not JSON.
    pub error: Option<ErrorObject>,
    /// How many operations failed.
    pub failures: u64,
    /// How many operations there are; `None` where only the failures were asked for.
    pub operations: Option<u64>,
    /// The first failures, each with its index.
    pub first: Vec<RejectedReceipt>,
}

impl Rejection {
    /// The answer as it arrives, byte for byte: a `BulkRejected`.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let start = futures::stream::iter([Ok(self.start)]);
        start.chain(self.response.bytes_stream().map_err(io::Error::other))
    }

    /// Reads the answer to its end, keeping its first `keep` failures and the number of all.
    pub async fn summary(self, keep: usize) -> Result<RejectionSummary, Error> {
        self.summary_with(keep, |_| Ok(())).await
    }

    /// The same, handing each failure to `each` as it is read, with its index, on a thread that may wait. An error of it
    /// ends the reading.
    pub async fn summary_with(
        self,
        keep: usize,
        each: impl FnMut(&RejectedReceipt) -> io::Result<()> + Send + 'static,
    ) -> Result<RejectionSummary, Error> {
        let (failures_only, server) = (self.failures_only, shown(&self.server));
        let (url, status) = (
            Box::new(self.response.url().clone()),
            self.response.status().as_u16(),
        );
        let body = SyncIoBridge::new(StreamReader::new(Box::pin(self.into_stream())));
        // The parser pulls, the connection pushes: the one waits for the other on a thread that may wait.
        let reading = tokio::task::spawn_blocking(move || summarize(BufReader::new(body), keep, each));
        let summary = match reading.await {
            Ok(summary) => summary,
            Err(panicked) => {
                return Err(Error::Broken {
                    server,
                    why: panicked.to_string(),
                });
            }
        };
        let mut summary = match summary {
            Ok(summary) => summary,
            Err(Stopped::ByCaller(error)) => return Err(Error::Kept(error)),
            Err(Stopped::Answer(error)) => {
                return Err(match error.is_io() {
                    true => Error::Broken {
                        server,
                        why: chain(&error),
                    },
                    false => Error::Unexpected {
                        url,
                        status,
                        why: error.to_string(),
                    },
                });
            }
        };
        if failures_only {
            summary.operations = None;
        }
        Ok(summary)
    }
}

/// Why an answer was not read to its end.
enum Stopped {
    /// It is not what it should be, or broke off.
    Answer(serde_json::Error),
    /// Who reads it said so.
    ByCaller(io::Error),
}

/// Reads a `BulkRejected` without holding it.
fn summarize(
    body: impl io::Read,
    keep: usize,
    mut each: impl FnMut(&RejectedReceipt) -> io::Result<()>,
) -> Result<RejectionSummary, Stopped> {
    let mut summary = RejectionSummary::default();
    let mut stopped = None;
    let mut json = serde_json::Deserializer::from_reader(body);
    let answer = Answer {
        summary: &mut summary,
        keep,
        each: &mut |receipt| {
            each(receipt).map_err(|error| {
                stopped = Some(error);
                "it is not read to its end"
            })
        },
    };
    let read = answer.deserialize(&mut json).and_then(|()| json.end());
    match (stopped, read) {
        (Some(error), _) => Err(Stopped::ByCaller(error)),
        (None, Err(error)) => Err(Stopped::Answer(error)),
        (None, Ok(())) => Ok(summary),
    }
}

/// What is done with a failure; an error ends the reading.
type Each<'a> = dyn FnMut(&RejectedReceipt) -> Result<(), &'static str> + 'a;

struct Answer<'a> {
    summary: &'a mut RejectionSummary,
    keep: usize,
    each: &'a mut Each<'a>,
}

impl<'de> DeserializeSeed<'de> for Answer<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rejection")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "error" => self.summary.error = map.next_value()?,
                "receipts" => map.next_value_seed(Receipts {
                    summary: &mut *self.summary,
                    keep: self.keep,
                    each: &mut *self.each,
                })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Receipts<'a, 'e> {
    summary: &'a mut RejectionSummary,
    keep: usize,
    each: &'a mut Each<'e>,
}

impl<'de> DeserializeSeed<'de> for Receipts<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Receipts<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("receipts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut receipts: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(receipt) = receipts.next_element::<RejectedReceipt>()? {
            if receipt.status == ReceiptStatus::Failure {
                self.summary.failures += 1;
                let index = receipt.index.or(Some(position));
                let receipt = RejectedReceipt { index, ..receipt };
                (self.each)(&receipt).map_err(serde::de::Error::custom)?;
                if self.summary.first.len() < self.keep {
                    self.summary.first.push(receipt);
                }
            }
            position += 1;
        }
        self.summary.operations = Some(position);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summarized(answer: &[u8]) -> Result<RejectionSummary, Stopped> {
        summarize(answer, 3, |_| Ok(()))
    }

    #[test]
    fn who_reads_a_rejection_may_stop_it() {
        let answer = format!(
            r#"{{"status":"REJECTED","receipts":[{}]}}"#,
            [r#"{"status":"CANCELLED"}"#, r#"{"status":"FAILURE"}"#]
                .repeat(4)
                .join(",")
        );
        let mut seen = Vec::new();
        let stopped = summarize(answer.as_bytes(), 0, |receipt| {
            seen.push(receipt.index);
            match seen.len() {
                3 => Err(io::Error::other("enough")),
                _ => Ok(()),
            }
        });
        assert!(matches!(stopped, Err(Stopped::ByCaller(error)) if error.to_string() == "enough"));
        assert_eq!(seen, [Some(1), Some(3), Some(5)]);
    }

    #[test]
    fn a_rejection_is_counted_whole_and_kept_in_part() {
        let failure = r#"{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"m"}}"#;
        let receipts = [r#"{"status":"CANCELLED"}"#, failure].repeat(500).join(",");
        let answer = format!(r#"{{"status":"REJECTED","receipts":[{receipts}]}}"#);
        let summary = summarized(answer.as_bytes()).unwrap_or_else(|_| panic!("it is whole"));
        assert_eq!((summary.operations, summary.failures), (Some(1_000), 500));
        let kept: Vec<_> = summary.first.iter().map(|receipt| receipt.index).collect();
        assert_eq!(kept, [Some(1), Some(3), Some(5)]);
    }

    #[test]
    fn the_index_that_the_server_names_counts() {
        let answer =
            r#"{ "status": "REJECTED", "error": null, "receipts": [ {"index": 7, "status": "FAILURE"} ] }"#;
        let summary = summarized(answer.as_bytes()).unwrap_or_else(|_| panic!("it is whole"));
        assert_eq!(summary.first[0].index, Some(7));
    }

    #[test]
    fn a_rejection_that_breaks_off_is_none() {
        let cut = br#"{"status":"REJECTED","receipts":[{"status":"CANCELLED"},"#;
        let Err(Stopped::Answer(error)) = summarized(cut) else {
            panic!("it has no end");
        };
        assert!(error.is_eof());
    }
}

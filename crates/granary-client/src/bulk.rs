//! Bulk requests. Neither side of one has a bound, so neither is held: the body is a stream, and a rejection is read
//! receipt by receipt.

use std::fmt;
use std::io::{self, BufReader};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use granary_api::bulk::{BulkAccepted, BulkQuery, BulkValid, ReceiptsShown, RejectedReceipt, RetryQuery};
use granary_api::{CSV, JSON, NDJSON};
use granary_core::error::ErrorObject;
use granary_core::operation::TargetType;
use granary_core::receipt::ReceiptStatus;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, Response, StatusCode};
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
        let response = self.client.send(request.body(body.body)).await?;
        match response.status() {
            StatusCode::BAD_REQUEST => self.rejection(query.receipts, response).await,
            status if !status.is_success() => Err(self.client.refused(response).await),
            _ if query.validate_only => Ok(BulkReply::Valid(self.client.parse(response).await?)),
            _ => Ok(BulkReply::Accepted(self.client.parse(response).await?)),
        }
    }

    /// Makes a new task of the operations of a bulk task that failed or were cancelled. It is checked and answered as a
    /// bulk request is; the prefix of the id may be left off.
    pub async fn retry_task(&self, id: &str, query: &RetryQuery) -> Result<BulkReply, Error> {
        let request = self.request(Method::POST, &["tasks", id, "retry"])?;
        let request = request.query(query).header(ACCEPT, JSON);
        let response = self.client.send(request).await?;
        match response.status() {
            StatusCode::BAD_REQUEST => self.rejection(query.receipts, response).await,
            status if !status.is_success() => Err(self.client.refused(response).await),
            _ => Ok(BulkReply::Accepted(self.client.parse(response).await?)),
        }
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
        let (failures_only, server) = (self.failures_only, shown(&self.server));
        let (url, status) = (
            Box::new(self.response.url().clone()),
            self.response.status().as_u16(),
        );
        let body = SyncIoBridge::new(StreamReader::new(Box::pin(self.into_stream())));
        // The parser pulls, the connection pushes: the one waits for the other on a thread that may wait.
        let reading = tokio::task::spawn_blocking(move || summarize(BufReader::new(body), keep));
        let summary = match reading.await {
            Ok(summary) => summary,
            Err(panicked) => {
                return Err(Error::Broken {
                    server,
                    why: panicked.to_string(),
                });
            }
        };
        let mut summary = summary.map_err(|error| match error.is_io() {
            true => Error::Broken {
                server,
                why: chain(&error),
            },
            false => Error::Unexpected {
                url,
                status,
                why: error.to_string(),
            },
        })?;
        if failures_only {
            summary.operations = None;
        }
        Ok(summary)
    }
}

/// Reads a `BulkRejected` without holding it.
fn summarize(body: impl io::Read, keep: usize) -> serde_json::Result<RejectionSummary> {
    let mut summary = RejectionSummary::default();
    let mut json = serde_json::Deserializer::from_reader(body);
    Answer {
        summary: &mut summary,
        keep,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(summary)
}

struct Answer<'a> {
    summary: &'a mut RejectionSummary,
    keep: usize,
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
                })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Receipts<'a> {
    summary: &'a mut RejectionSummary,
    keep: usize,
}

impl<'de> DeserializeSeed<'de> for Receipts<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Receipts<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("receipts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut receipts: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(receipt) = receipts.next_element::<RejectedReceipt>()? {
            if receipt.status == ReceiptStatus::Failure {
                self.summary.failures += 1;
                if self.summary.first.len() < self.keep {
                    let index = receipt.index.or(Some(position));
                    self.summary.first.push(RejectedReceipt { index, ..receipt });
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

    #[test]
    fn a_rejection_is_counted_whole_and_kept_in_part() {
        let failure = r#"{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"m"}}"#;
        let receipts = [r#"{"status":"CANCELLED"}"#, failure].repeat(500).join(",");
        let answer = format!(r#"{{"status":"REJECTED","receipts":[{receipts}]}}"#);
        let summary = summarize(answer.as_bytes(), 3).unwrap();
        assert_eq!((summary.operations, summary.failures), (Some(1_000), 500));
        let kept: Vec<_> = summary.first.iter().map(|receipt| receipt.index).collect();
        assert_eq!(kept, [Some(1), Some(3), Some(5)]);
    }

    #[test]
    fn the_index_that_the_server_names_counts() {
        let answer =
            r#"{ "status": "REJECTED", "error": null, "receipts": [ {"index": 7, "status": "FAILURE"} ] }"#;
        let summary = summarize(answer.as_bytes(), 3).unwrap();
        assert_eq!(summary.first[0].index, Some(7));
    }

    #[test]
    fn a_rejection_that_breaks_off_is_none() {
        let error = summarize(
            &br#"{"status":"REJECTED","receipts":[{"status":"CANCELLED"},"#[..],
            3,
        );
        assert!(error.unwrap_err().is_eof());
    }
}

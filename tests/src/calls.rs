//! Calls as they are sent, for what the typed client does not do: bundles, conditions.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use granary_client::Client;
use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH, RETRY_AFTER};
use serde_json::Value;

/// How long a call is waited for before it counts as lost.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(8);

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// There was no answer, or one that says to try again: it took effect or it did not, or it may still.
    Unknown,
    /// Nobody was there: it took no effect.
    Unreached,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    /// What was done, where it was.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The task of a write.
    pub(crate) fn task(&self) -> Result<String> {
        Ok(self.body["taskId"]
            .as_str()
            .context("a write has a task")?
            .to_owned())
    }
}

/// A request to a path of a source.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) source: &'a str,
    pub(crate) path: &'a str,
    pub(crate) if_match: Option<&'a str>,
    pub(crate) body: Option<Value>,
}

impl Call<'_> {
    /// Sends it to one node. What is not among the answers that a client may get is an error.
    pub(crate) async fn send(self, http: &reqwest::Client, node: &Client) -> Result<Outcome> {
        let url = format!("{}sources/{}/v1/{}", node.server(), self.source, self.path);
        let mut request = http.request(self.method.clone(), url).timeout(CALL_TIME_MAX);
        if let Some(tag) = self.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(Outcome::Unreached),
            Err(_) => return Ok(Outcome::Unknown),
        };
        let status = response.status().as_u16();
        let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let retry_after = response.headers().contains_key(RETRY_AFTER);
        let Ok(body) = response.bytes().await else {
            return Ok(Outcome::Unknown);
        };
        if matches!(status, 429 | 503) {
            ensure!(retry_after, "{status} without Retry-After");
            return Ok(Outcome::Unknown);
        }
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body)?
        };
        if status >= 500 {
            bail!("{self:?} was answered {status}: {body}");
        }
        Ok(Outcome::Answered(Answer { status, etag, body }))
    }
}

//! From an HTTP answer to what was asked for.

use std::time::{Duration, Instant};

use futures::{Stream, TryStreamExt};
use granary_api::{JSON, NDJSON};
use granary_core::error::ErrorObject;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::io::StreamReader;

use crate::{Client, Error, Put, STARTING_MAX};

/// How long to wait before a server that is starting is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The most of an error's body that is read. An error object is far smaller.
const ERROR_BYTES_MAX: usize = 4_000_000;

impl Client {
    /// Sends a request, whatever the answer; 503 is an error. A server that is starting is waited for where that is asked
    /// for: it has taken nothing.
    pub(crate) async fn send(&self, mut request: RequestBuilder) -> Result<Response, Error> {
        let begun_at = Instant::now();
        loop {
            let same = request.try_clone();
            let sent = request.send().await;
            let response = sent.map_err(|error| Error::from_transport(&self.server, error))?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(response);
            }
            let error = self.refused(response).await;
            match (self.on_starting, same) {
                (Some(tell), Some(same)) if error.is_starting() && begun_at.elapsed() < STARTING_MAX => {
                    tell(&self.server);
                    tokio::time::sleep(ASK_AGAIN).await;
                    request = same;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends a request; an answer that says no is an error.
    pub(crate) async fn succeed(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = self.send(request).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(response).await)
        }
    }

    /// Sends a request and reads what it is answered with.
    pub(crate) async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        Ok(self.put(request).await?.value)
    }

    /// The same, and whether 201 says that it is new.
    pub(crate) async fn put<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Put<T>, Error> {
        let response = self.succeed(request.header(ACCEPT, JSON)).await?;
        let created = response.status() == StatusCode::CREATED;
        let value = self.parse(response).await?;
        Ok(Put { created, value })
    }

    /// Sends a request of which only success matters.
    pub(crate) async fn done(&self, request: RequestBuilder) -> Result<(), Error> {
        self.succeed(request.header(ACCEPT, JSON)).await.map(drop)
    }

    /// Sends a request and reads its answer line by line, one `T` each.
    pub(crate) async fn lines<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<impl Stream<Item = Result<T, Error>> + use<T>, Error> {
        let response = self.succeed(request.header(ACCEPT, NDJSON)).await?;
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let server = self.server.clone();
        let reader = BufReader::new(StreamReader::new(
            response.bytes_stream().map_err(std::io::Error::other),
        ));
        Ok(futures::stream::try_unfold(
            (reader, Vec::new()),
            move |(mut reader, mut line)| {
                let (url, server) = (url.clone(), server.clone());
                async move {
                    line.clear();
                    let read = reader.read_until(b'\n', &mut line).await;
                    match read {
                        Ok(0) => Ok(None),
                        Ok(_) => match serde_json::from_slice(&line) {
                            Ok(item) => Ok(Some((item, (reader, line)))),
                            Err(error) => Err(Error::Unexpected {
                                url: Box::new(url),
                                status,
                                why: error.to_string(),
                            }),
                        },
                        Err(error) => Err(Error::Broken {
                            server: crate::error::shown(&server),
                            why: crate::error::chain(&error),
                        }),
                    }
                }
            },
        ))
    }

    /// The body of an answer as a `T`.
    pub(crate) async fn parse<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let body = response
            .bytes()
            .await
            .map_err(|error| Error::from_transport(&self.server, error))?;
        serde_json::from_slice(&body).map_err(|error| {
            let why = format!("{error} in {}", shown(&body));
            Error::Unexpected {
                url: Box::new(url),
                status,
                why,
            }
        })
    }

    /// What an answer that says no says.
    pub(crate) async fn refused(&self, response: Response) -> Error {
        self.refused_after(Vec::new(), response).await
    }

    /// The same, of an answer whose first bytes are already read.
    pub(crate) async fn refused_after(&self, mut body: Vec<u8>, mut response: Response) -> Error {
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let request_id = response.headers().get("x-request-id");
        let request_id = request_id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        while body.len() <= ERROR_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Error::from_transport(&self.server, error),
            }
        }
        match serde_json::from_slice::<ErrorObject>(&body) {
            Ok(error) => Error::Refused {
                error: Box::new(error),
                status,
                request_id,
            },
            Err(_) => Error::Unexpected {
                url: Box::new(url),
                status,
                why: shown(&body),
            },
        }
    }
}

/// Adds a body of JSON that is already written.
pub(crate) fn with_json(request: RequestBuilder, json: impl Into<reqwest::Body>) -> RequestBuilder {
    request.header(CONTENT_TYPE, JSON).body(json)
}

/// The start of a body, for a message.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let mut text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return "an empty body".into();
    }
    if let Some((at, _)) = text.char_indices().nth(100) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_little_of_a_body() {
        assert_eq!(shown(b" \n"), "an empty body");
        assert_eq!(shown(b"<html>\n  <b>"), "<html> <b>");
        assert!(shown("é".repeat(10_000).as_bytes()).chars().count() <= 101);
    }
}

//! Server-sent events: a task as it goes on.

use futures::{Stream, TryStreamExt};
use granary_api::tasks::Task;
use reqwest::RequestBuilder;
use reqwest::header::ACCEPT;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;

use crate::{Client, Error};

/// The longest line that is read. A task without its receipts is far shorter.
const LINE_BYTES_MAX: usize = 1_000_000;

/// A task at one moment.
#[derive(Clone, Debug)]
pub struct TaskEvent {
    /// Grows with each event.
    pub revision: u64,
    /// True of the last.
    pub ended: bool,
    /// The task.
    pub task: Task,
}

impl Client {
    /// Sends a request and reads the events that it is answered with, one after the other as they arrive.
    pub(crate) async fn events(
        &self,
        request: RequestBuilder,
    ) -> Result<impl Stream<Item = Result<TaskEvent, Error>> + use<>, Error> {
        let response = self.succeed(request.header(ACCEPT, "text/event-stream")).await?;
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let server = self.server.clone();
        let bytes = response.bytes_stream().map_err(std::io::Error::other);
        let reader = BufReader::new(StreamReader::new(bytes));
        Ok(futures::stream::try_unfold(reader, move |mut reader| {
            let (url, server) = (url.clone(), server.clone());
            async move {
                match next(&mut reader).await {
                    Ok(event) => Ok(event.map(|event| (event, reader))),
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Error::Unexpected {
                        url: Box::new(url),
                        status,
                        why: error.to_string(),
                    }),
                    Err(error) => Err(Error::Broken {
                        server: crate::error::shown(&server),
                        why: crate::error::chain(&error),
                    }),
                }
            }
        }))
    }
}

/// The next event; `None` at the end of the stream. An event without data is none.
async fn next(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<TaskEvent>> {
    let wrong = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let (mut name, mut revision, mut data) = (String::new(), 0, None);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut *reader).take(LINE_BYTES_MAX as u64 + 1);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(wrong(format!(
                "an event has a line of more than {LINE_BYTES_MAX} bytes"
            )));
        }
        if !line.ends_with(b"\n") {
            // The stream broke off inside an event, which is none then.
            return Ok(None);
        }
        let text = std::str::from_utf8(&line).map_err(|error| wrong(error.to_string()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            if let Some(task) = data.take() {
                return Ok(Some(TaskEvent {
                    revision,
                    ended: name == "end",
                    task,
                }));
            }
            continue;
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "id" => {
                revision = value
                    .parse()
                    .map_err(|_| wrong(format!("'{value}' is no revision")))?
            }
            "data" => data = Some(serde_json::from_str(value).map_err(|error| wrong(error.to_string()))?),
            // A sign of life, or how long to wait.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    const TASK: &str = concat!(
        r#"{"taskId":"bk_2eVocVVgjAWYJ74DifXluwVtSYs","kind":"BULK","status":"PENDING","#,
        r#""counts":{"total":2,"success":1,"failure":0,"pending":1,"cancelled":0},"createdAt":"2026-01-31T08:15:30.250Z"}"#
    );

    #[test]
    fn events_are_read_and_signs_of_life_are_passed_over() {
        let stream = format!(
            "retry: 1000\n\n:\n\nevent: progress\nid: 7\ndata: {TASK}\n\n:\n\nevent: end\nid: 9\r\ndata: {TASK}\r\n\r\n"
        );
        let mut reader = stream.as_bytes();
        let first = block_on(next(&mut reader)).unwrap().unwrap();
        assert_eq!(
            (first.revision, first.ended, first.task.counts.success),
            (7, false, 1)
        );
        let last = block_on(next(&mut reader)).unwrap().unwrap();
        assert_eq!((last.revision, last.ended), (9, true));
        assert!(block_on(next(&mut reader)).unwrap().is_none());
    }

    #[test]
    fn an_event_that_breaks_off_is_none_and_a_wrong_one_is_an_error() {
        let whole = format!("event: progress\nid: 7\ndata: {TASK}\n\n");
        for cut in 0..whole.len() {
            let mut cut = &whole.as_bytes()[..cut];
            assert!(block_on(next(&mut cut)).unwrap().is_none());
        }
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        assert!(block_on(next(&mut long.as_bytes())).is_err());
        assert!(block_on(next(&mut &b"id: x\n\n"[..])).is_err());
    }
}

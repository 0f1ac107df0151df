//! Bodies that are refused before they have been read. A connection that is closed while its client still sends is
//! reset, and most clients then report that and not the answer, though it says what was wrong. So what is left of
//! such a body is read and thrown away for a while, beside the answer.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use futures::{Stream, StreamExt};

/// How long a client may go on sending,
const LINGER_MAX: Duration = Duration::from_secs(30);
/// and how long it may send nothing.
const STILL_MAX: Duration = Duration::from_secs(2);

/// The request, whose body is read to its end in any case.
pub(crate) fn lingering(request: Request) -> Request {
    // A client that waits to be told to go on has sent nothing, and must not be told so once it was refused.
    let waits = request.headers().contains_key(EXPECT);
    request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::from_stream(Lingering {
            body: body.into_data_stream(),
            over: waits,
        })
    })
}

struct Lingering {
    body: BodyDataStream,
    /// True once there is nothing left to read, and until there is something.
    over: bool,
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.poll_next_unpin(context);
        self.over = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut body = mem::replace(&mut self.body, Body::empty().into_data_stream());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(tokio::time::timeout(LINGER_MAX, async move {
            while let Ok(Some(Ok(_))) = tokio::time::timeout(STILL_MAX, body.next()).await {}
        }));
    }
}

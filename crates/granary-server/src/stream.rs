//! Answers of any length: read page by page, never held as a whole.

use std::future::Future;
use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

/// How many records or receipts are read from the store at once for a streamed answer.
pub(crate) const PAGE: usize = 1_000;

/// A body made of what `next` gives for one place after another: the bytes, and the place to go on from, `None` at the
/// end. A failure half way breaks the answer off, so that a client cannot take it for whole.
pub(crate) fn paged<P, N, F>(first: P, next: N) -> Body
where
    P: Send + 'static,
    N: Fn(P) -> F + Send + 'static,
    F: Future<Output = io::Result<(Vec<u8>, Option<P>)>> + Send,
{
    Body::from_stream(stream::try_unfold(
        (Some(first), next),
        |(place, next)| async move {
            let Some(place) = place else {
                return Ok::<_, io::Error>(None);
            };
            let (bytes, after) = next(place).await?;
            Ok(Some((Bytes::from(bytes), (after, next))))
        },
    ))
}

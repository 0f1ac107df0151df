//! Answers of any length: read page by page, never held as a whole.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc::{self, Sender};
use tracing::Instrument;

/// How many records or receipts are read from the store at once for a streamed answer.
pub(crate) const PAGE: usize = 1_000;

/// An answer goes out in frames of at most this size.
const FRAME_BYTES: usize = 64 * 1024;
/// How long a client may take nothing of an answer: what it is made from, a file of receipts say, is kept meanwhile.
pub(crate) const ANSWER_STILL_MAX: Duration = Duration::from_secs(60);

/// A body made of what `next` gives for one place after another: the bytes, and the place to go on from, `None` at the
/// end. A failure half way breaks the answer off, so that a client cannot take it for whole; so does a client that takes
/// nothing for a minute. One piece is held, and the frames on their way.
pub(crate) fn paged<P, N, F>(first: P, next: N) -> Body
where
    P: Send + 'static,
    N: Fn(P) -> F + Send + 'static,
    F: Future<Output = io::Result<(Vec<u8>, Option<P>)>> + Send + 'static,
{
    let (pieces, made) = mpsc::channel(1);
    tokio::spawn(make(first, next, pieces).in_current_span());
    Body::from_stream(stream::try_unfold(made, |mut made| async move {
        match made.recv().await {
            Some(Ok(Some(piece))) => Ok(Some((piece, made))),
            Some(Ok(None)) => Ok(None),
            Some(Err(error)) => Err(error),
            None => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }))
}

/// Sends each piece, frame by frame, then `None`.
async fn make<P, N, F>(first: P, next: N, frames: Sender<io::Result<Option<Bytes>>>)
where
    N: Fn(P) -> F,
    F: Future<Output = io::Result<(Vec<u8>, Option<P>)>>,
{
    let mut place = Some(first);
    while let Some(at) = place.take() {
        let made = tokio::select! {
            made = next(at) => made,
            // Its client has gone.
            () = frames.closed() => return,
        };
        match made {
            Ok((bytes, after)) => {
                place = after;
                let mut piece = Bytes::from(bytes);
                while !piece.is_empty() {
                    let frame = piece.split_to(piece.len().min(FRAME_BYTES));
                    if !sent(&frames, Ok(Some(frame))).await {
                        return;
                    }
                }
            }
            Err(error) => {
                sent(&frames, Err(error)).await;
                return;
            }
        }
    }
    sent(&frames, Ok(None)).await;
}

/// False where nobody takes it.
async fn sent(frames: &Sender<io::Result<Option<Bytes>>>, frame: io::Result<Option<Bytes>>) -> bool {
    let taken = tokio::time::timeout(ANSWER_STILL_MAX, frames.send(frame)).await;
    if taken.is_err() {
        let seconds = ANSWER_STILL_MAX.as_secs();
        tracing::debug!(seconds, "an answer was broken off: its client took nothing of it");
    }
    matches!(taken, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up_and_does_not_look_whole() {
        let file = Arc::new(());
        let body = paged(Arc::clone(&file), |file| async move {
            Ok((b"piece".to_vec(), Some(file)))
        });
        let mut pieces = body.into_data_stream();
        for _ in 0..10 {
            tokio::time::sleep(ANSWER_STILL_MAX / 2).await;
            pieces.next().await.unwrap().unwrap();
        }
        assert_eq!(Arc::strong_count(&file), 2, "a slow client is served");
        tokio::time::sleep(ANSWER_STILL_MAX * 2).await;
        assert_eq!(Arc::strong_count(&file), 1, "what it was made from is free");
        let last = pieces.filter_map(|piece| async { piece.err() });
        assert_eq!(last.count().await, 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_is_not_made_any_further() {
        let file = Arc::new(());
        let body = paged(Arc::clone(&file), |file| async move {
            Ok((b"piece".to_vec(), Some(file)))
        });
        drop(body);
        while Arc::strong_count(&file) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_answer_is_all_of_its_pieces_or_breaks_off() {
        let counted = |fails: bool| {
            let body = paged(0, move |at: u8| async move {
                match at {
                    3 if fails => Err(io::Error::other("a page cannot be read")),
                    _ => Ok((vec![at], (at < 4).then_some(at + 1))),
                }
            });
            body.into_data_stream().collect::<Vec<_>>()
        };
        let whole: Vec<_> = counted(false).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(whole.concat(), [0, 1, 2, 3, 4]);
        let broken = counted(true).await;
        assert_eq!(broken.len(), 4);
        assert!(broken[3].is_err());
    }
}

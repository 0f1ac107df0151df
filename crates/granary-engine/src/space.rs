//! The space of what is over is freed in the background, a little at a time: deleted sources, and answers that are kept no
//! longer.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::Inner;
use crate::once::kept_since;

/// Rows that are removed in one go: small, so that writes of other sources do not wait for it.
const ROWS: usize = 1_024;
/// How often it is looked whether something is left, also where nothing was deleted.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Frees space until the engine stops. Where that is not asked for by workers (a node that only takes in), it is left
/// to others.
pub(crate) async fn keep_freeing(inner: Arc<Inner>, stop: CancellationToken) {
    if inner.options.workers == 0 {
        return;
    }
    while !stop.is_cancelled() {
        match inner.store.free_space(ROWS).await {
            Ok(true) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(false) => {}
            Err(failure) => warn!(%failure, "the space of deleted sources was not freed; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = inner.deleted.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// How often answers that are kept no longer are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Forgets answers to requests that are carried out once, when their time is over, until the engine stops.
pub(crate) async fn keep_forgetting(inner: Arc<Inner>, stop: CancellationToken) {
    if inner.options.workers == 0 {
        return;
    }
    while !stop.is_cancelled() {
        match inner.store.forget_answers(kept_since(&inner), ROWS).await {
            Ok(true) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(false) => {}
            Err(failure) => warn!(%failure, "answers of idempotency keys were not forgotten; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

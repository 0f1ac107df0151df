//! The space of deleted sources is freed in the background, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::Inner;

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

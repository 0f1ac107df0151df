//! Waiting for the end of a task (contract, section 2: `Prefer: wait`).

use std::time::Duration;

use granary_core::error::ErrorObject;
use granary_store::{Source, StoredTask};
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::error::error_object;

/// So many wait at once; more are answered at once, for waiting is a wish.
pub(crate) const WAITS_MAX: usize = 1_024;
/// The first look comes after this, each next one after twice as long, to the longest pause.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(250);

impl Engine {
    /// A task once it has ended; as it is when the time is over, the engine stops, or too many wait.
    pub async fn waited_for(
        &self,
        source: &Source,
        mut task: StoredTask,
        within: Duration,
    ) -> Result<StoredTask, ErrorObject> {
        let Ok(_place) = self.inner.waits.try_acquire() else {
            return Ok(task);
        };
        let (until, mut pause) = (Instant::now() + within, LOOK_FIRST);
        while task.task.completed_at.is_none() && Instant::now() < until {
            tokio::select! {
                () = self.stopped() => break,
                () = sleep_until(until.min(Instant::now() + pause)) => {}
            }
            pause = (pause * 2).min(LOOK_MAX);
            let found = self.inner.store.task(source, task.task.id.ksuid).await;
            match found.map_err(error_object)? {
                Some(found) => task = found,
                // It went with its source.
                None => break,
            }
        }
        Ok(task)
    }
}

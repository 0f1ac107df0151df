//! Waiting for what becomes of a task (contract, section 2: `Prefer: wait`; section 13: events).

use std::sync::Arc;
use std::time::Duration;

use granary_core::error::{ErrorObject, ErrorType};
use granary_store::{Source, StoreError, StoredTask};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::error::error_object;

/// The first look comes after this, each next one after twice as long, to the longest pause.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(250);

/// A place among those who watch tasks (limit `eventStreams`), given back when it is dropped.
#[derive(Debug)]
pub struct WatchPlace {
    _permit: OwnedSemaphorePermit,
}

impl Engine {
    /// A task once it has ended; as it is when the time is over, or too many wait (limit `waits`), for waiting is a wish.
    pub async fn waited_for(
        &self,
        source: &Source,
        task: StoredTask,
        within: Duration,
    ) -> Result<StoredTask, ErrorObject> {
        let Ok(_place) = self.inner.waits.try_acquire() else {
            return Ok(task);
        };
        if task.task.completed_at.is_some() {
            return Ok(task);
        }
        let has_ended = |now: &StoredTask| now.task.completed_at.is_some();
        let (now, _) = self
            .looked_at(source, task, LOOK_FIRST, within, has_ended)
            .await?;
        Ok(now)
    }

    /// A task once more has become of it, a quarter of a second from now at the earliest; `None` where nothing has, until
    /// the time is over.
    pub async fn changed(
        &self,
        source: &Source,
        task: &StoredTask,
        within: Duration,
    ) -> Result<Option<StoredTask>, ErrorObject> {
        let seen = task.task.revision();
        let has_changed = |now: &StoredTask| now.task.revision() != seen;
        let looked = self.looked_at(source, task.clone(), LOOK_MAX, within, has_changed);
        let (now, changed) = looked.await?;
        Ok(changed.then_some(now))
    }

    /// Takes a place among those who watch tasks.
    pub fn watch_place(&self) -> Result<WatchPlace, ErrorObject> {
        match Arc::clone(&self.inner.watches).try_acquire_owned() {
            Ok(permit) => Ok(WatchPlace { _permit: permit }),
            Err(_) => Err(ErrorObject::new(
                ErrorType::ResourceExhausted,
                format!(
                    "{} streams of events are open, which is the limit eventStreams; read the task instead, or come \
                     again later",
                    self.inner.limits.event_streams
                ),
            )),
        }
    }

    /// Looks at a task, after this pause for the first time, until it is as wanted or the time is over; and whether it is.
    async fn looked_at(
        &self,
        source: &Source,
        mut task: StoredTask,
        mut pause: Duration,
        within: Duration,
        is_wanted: impl Fn(&StoredTask) -> bool,
    ) -> Result<(StoredTask, bool), ErrorObject> {
        let until = Instant::now() + within;
        loop {
            sleep_until(until.min(Instant::now() + pause)).await;
            pause = (pause * 2).min(LOOK_MAX);
            let id = task.task.id;
            let found = self.inner.store.task(source, id.ksuid).await;
            task = found
                .map_err(error_object)?
                .ok_or_else(|| error_object(StoreError::task_gone(id)))?;
            let now = Instant::now();
            if is_wanted(&task) {
                return Ok((task, true));
            }
            if now >= until {
                return Ok((task, false));
            }
        }
    }
}

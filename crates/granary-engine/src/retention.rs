//! Tasks are kept for a time (contract, section 7.8), and then removed in the background, a little at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_core::error::ErrorObject;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{RemovedTask, Retention, Source, StoreError, StoredTask};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::{Engine, Inner};
use crate::error::error_object;
use crate::once::kept_since;

/// Rows that are removed in one go.
const ROWS: usize = 1_024;
/// How often it is looked whether tasks are kept no longer.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Between two steps it rests for as long as the step took, but no longer.
const REST_MAX: Duration = Duration::from_millis(250);

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Which tasks are kept now.
fn kept(inner: &Inner) -> Retention {
    let limits = &inner.limits;
    let now = inner.clock.now().millis();
    let before = |count: u64, unit: i64| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.saturating_sub(count.saturating_mul(unit)))
    };
    // What is answered for a request that is sent twice is told by its task, which ended after it was accepted.
    let spared_since = kept_since(inner);
    Retention {
        lane_since: before(limits.task_retention_days, DAY).min(spared_since),
        at_once_since: before(limits.single_task_retention_hours, HOUR).min(spared_since),
        bytes_max: limits.task_retention_bytes,
        spared_since,
        removed_since: before(limits.removed_task_days, DAY),
    }
}

/// Takes a step; true where there may be more to do.
async fn step(inner: &Inner) -> Result<bool, StoreError> {
    let (kept, now) = (kept(inner), inner.clock.now());
    let retired = inner.store.retire_tasks(&kept, now, ROWS).await?;
    inner.counters.tasks_removed(retired.tasks);
    Ok(retired.more)
}

/// Removes tasks that are kept no longer, until the engine stops. Where it has no workers (a node that only takes in),
/// that is left to others.
pub(crate) async fn keep_retiring(inner: Arc<Inner>, stop: CancellationToken) {
    if inner.options.workers == 0 {
        return;
    }
    loop {
        // A store may wait for who reads what it removes, such as an export, and ends that only when it is closed.
        match stop.run_until_cancelled(round(&inner)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(failure)) => {
                warn!(%failure, "tasks that are kept no longer were not removed; trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Removes all that is kept no longer, and rests after each step. One round at a time: a store knows how far it is, and
/// who joined in the middle would not see what was passed before it was due. One that fails is ended by the next.
async fn round(inner: &Inner) -> Result<(), StoreError> {
    let _alone = inner.retiring.lock().await;
    loop {
        let began = Instant::now();
        if !step(inner).await? {
            return Ok(());
        }
        tokio::time::sleep(began.elapsed().min(REST_MAX)).await;
    }
}

impl Engine {
    /// Removes all tasks that are kept no longer; returns when that is done. For who does not wait for the engine, which does it by
    /// itself.
    pub async fn retire_tasks(&self) -> Result<(), ErrorObject> {
        round(&self.inner).await.map_err(error_object)
    }

    /// The task of a source that this names, with or without its prefix. 410 where it was removed, as long as that is
    /// known; `None` where there is none.
    pub async fn task(&self, source: &Source, named: &str) -> Result<Option<StoredTask>, ErrorObject> {
        let Some(id) = TaskId::parse_reference(named) else {
            return Ok(None);
        };
        // An id with the prefix of another kind names no task.
        let is_named = |id: TaskId| TaskId::parse(named).is_none_or(|named| named == id);
        let store = &self.inner.store;
        let task = store.task(source, id).await.map_err(error_object)?;
        if task.is_some() {
            return Ok(task.filter(|task| is_named(task.task.id)));
        }
        let removed = store.removed_task(source, id).await.map_err(error_object)?;
        match removed.filter(|removed| is_named(removed.id)) {
            Some(removed) => Err(self.gone(&removed)),
            None => Ok(None),
        }
    }

    fn gone(&self, removed: &RemovedTask) -> ErrorObject {
        let (id, at) = (removed.id, removed.at);
        let days = self.inner.limits.task_retention_days;
        ErrorObject::not_found(format!(
            "task {id} was removed by retention at {at}: a task is kept for {days} days after its end \
             (taskRetentionDays), less long where they are many (taskRetentionBytes)"
        ))
        .with_code(410)
    }
}

//! Tasks that are kept no longer. A bulk task or a purge is removed in one transaction, which says that it was there; what it
//! held goes in those that follow, over the end of any node. Tasks of single writes and bundles go whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use granary_core::ksuid::Ksuid;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{RemovedTask, Result, Retention, Retired, Source, TaskProgress};

use crate::catalog::see_source;
use crate::failure::Attempt;
use crate::session::{Session, params};
use crate::tasks::kind_of;
use crate::transact::Rules;
use crate::{Inner, bucket_of, int4, int8, lock};

/// Tasks of single writes and bundles that go together.
const AT_ONCE_TASKS: i64 = 256;

/// Tasks that are removed for what they take, after which that is counted again.
const COUNTED_EVERY: u64 = 16;

/// How far the removal of tasks is on this node. What has begun is in the rows.
#[derive(Default)]
pub(crate) struct Retiring {
    next: Mutex<Next>,
    /// By how many bytes the tasks of lanes were over the limit when they were last counted, less those removed since.
    over: AtomicU64,
    /// How many were removed since then for what they take.
    since_counted: AtomicU64,
}

/// What is looked at next.
#[derive(Clone, Copy, Default)]
enum Next {
    /// Tasks of lanes.
    #[default]
    Lanes,
    /// Those of single writes and bundles.
    AtOnce,
    /// What is known of removed ones.
    Removed,
}

/// What a task of a lane takes: as [`TaskProgress::kept_bytes`].
macro_rules! kept_bytes {
    () => {
        "(512 + total * 64 + (failures + greatest(total - cursor, 0)) * 128 \
         + (bytes::numeric * (failures + greatest(total - cursor, 0)) / greatest(total, 1))::int8)"
    };
}

// The numbers above are these.
const _: () = assert!(
    TaskProgress::BYTES == 512 && TaskProgress::OPERATION_BYTES == 64 && TaskProgress::ERROR_BYTES == 128
);

impl Inner {
    pub(crate) async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        self.read(|session: Arc<Session>| async move {
            let sql =
                "SELECT kind, at FROM granary.removed_task WHERE bucket = $1 AND source = $2 AND ksuid = $3";
            let of = params![
                bucket_of(source.number),
                int4(source.number),
                id.as_bytes().as_slice()
            ];
            let (row, ()) = futures::try_join!(session.query_opt(sql, of), see_source(&session, source))?;
            let removed = |row: tokio_postgres::Row| {
                let kind = kind_of(row.get(0))?;
                let id = TaskId { kind, ksuid: id };
                let at = Timestamp::from_millis(row.get(1));
                Ok(RemovedTask { id, at })
            };
            row.map(removed).transpose()
        })
        .await
    }

    /// Takes one step: of what is half removed, of tasks of lanes, of those of single writes, of what is known of removed
    /// ones.
    pub(crate) async fn retire_tasks(
        &self,
        kept: &Retention,
        now: Timestamp,
        rows: usize,
    ) -> Result<Retired> {
        self.check_open()?;
        let next = *lock(&self.retiring.next);
        let (tasks, after) = match next {
            Next::Lanes => (self.retire_of_lanes(kept, now, rows).await?, Next::AtOnce),
            Next::AtOnce => {
                let tasks = self.remove_at_once(kept.at_once_since).await?;
                ((tasks > 0).then_some(tasks), Next::Removed)
            }
            Next::Removed => {
                let more = self
                    .forget_removed(kept.removed_since, rows.max(1) as u64)
                    .await?;
                (more.then_some(0), Next::Lanes)
            }
        };
        if tasks.is_none() {
            *lock(&self.retiring.next) = after;
        }
        Ok(Retired {
            tasks: tasks.unwrap_or(0),
            more: tasks.is_some() || !matches!(after, Next::Lanes),
        })
    }

    /// The same with tasks of lanes: how many are gone, `None` once there is nothing left to do.
    async fn retire_of_lanes(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Option<u64>> {
        if self.clear_one(rows.max(1) as u64).await? {
            return Ok(Some(0));
        }
        if let Some((tasks, _)) = self.remove_oldest(kept.lane_since, now).await? {
            return Ok(Some(tasks));
        }
        if self.is_over(kept).await?
            && let Some((tasks, bytes)) = self.remove_oldest(kept.spared_since, now).await?
        {
            let retiring = &self.retiring;
            let over = retiring.over.load(Ordering::Relaxed).saturating_sub(bytes);
            // Other nodes remove as well: what is over is counted again after some, and where one was sooner.
            let since_counted = retiring.since_counted.fetch_add(1, Ordering::Relaxed) + 1;
            let is_known = tasks > 0 && since_counted < COUNTED_EVERY;
            retiring
                .over
                .store(if is_known { over } else { 0 }, Ordering::Relaxed);
            return Ok(Some(tasks));
        }
        self.retiring.over.store(0, Ordering::Relaxed);
        Ok(None)
    }

    /// Removes so many rows of what a removed task held; false where no task has any.
    async fn clear_one(&self, rows: u64) -> Result<bool> {
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = "SELECT bucket, source, ksuid FROM granary.removed_task WHERE NOT cleared ORDER BY at LIMIT 1";
            let Some(row) = session.query_opt(sql, params![]).await? else {
                return Ok(false);
            };
            let (bucket, source, id): (i16, i32, &[u8]) = (row.get(0), row.get(1), row.get(2));
            share_freeing(&session, bucket, source).await?;
            let sql = "SELECT 1 FROM granary.removed_task WHERE bucket = $1 AND source = $2 AND ksuid = $3 \
                       AND NOT cleared FOR UPDATE";
            let of = params![bucket, source, id.to_vec()];
            if session.query_opt(sql, of).await?.is_none() {
                // Another node was at it.
                return Ok(true);
            }
            let mut left = rows;
            for delete in OF_TASK {
                let of = params![bucket, source, id.to_vec(), int8(left)];
                left -= session.execute(delete, of).await?;
                if left == 0 {
                    return Ok(true);
                }
            }
            let sql = "UPDATE granary.removed_task SET cleared = true WHERE bucket = $1 AND source = $2 AND ksuid = $3";
            session.execute(sql, params![bucket, source, id.to_vec()]).await?;
            Ok(true)
        })
        .await
    }

    /// Removes the task of a lane that ended first, if that was before `since`: one, or none where another node has, and
    /// what it took.
    async fn remove_oldest(&self, since: Timestamp, now: Timestamp) -> Result<Option<(u64, u64)>> {
        self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            let sql = concat!(
                "SELECT bucket, source, ksuid, kind, ",
                kept_bytes!(),
                " FROM granary.task WHERE NOT at_once AND completed_at < $1 ORDER BY completed_at LIMIT 1"
            );
            let Some(row) = session.query_opt(sql, params![since.millis()]).await? else {
                return Ok(None);
            };
            let (bucket, source, id): (i16, i32, &[u8]) = (row.get(0), row.get(1), row.get(2));
            let of = || params![bucket, source, id.to_vec()];
            // Its source takes along what is said here, or has gone.
            let alive = share_freeing(&session, bucket, source).await?;
            let sql = "DELETE FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3";
            if session.execute(sql, of()).await? == 0 {
                return Ok(Some((0, 0)));
            }
            if alive {
                let sql = "INSERT INTO granary.removed_task (bucket, source, ksuid, kind, at) VALUES ($1, $2, $3, $4, $5)";
                let kind: i16 = row.get(3);
                let said = params![bucket, source, id.to_vec(), kind, now.millis()];
                session.execute_on(1, sql, said).await?;
            }
            Ok(Some((1, row.get::<_, i64>(4).unsigned_abs())))
        })
        .await
    }

    /// True while the tasks of lanes take more than they may.
    async fn is_over(&self, kept: &Retention) -> Result<bool> {
        if self.retiring.over.load(Ordering::Relaxed) > 0 {
            return Ok(true);
        }
        let taken = self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = concat!(
                "SELECT coalesce(sum(",
                kept_bytes!(),
                "), 0)::int8 FROM granary.task WHERE NOT at_once AND completed_at IS NOT NULL"
            );
            Ok(session
                .query_one(sql, params![])
                .await?
                .get::<_, i64>(0)
                .unsigned_abs())
        });
        let over = taken.await?.saturating_sub(kept.bytes_max);
        self.retiring.over.store(over, Ordering::Relaxed);
        self.retiring.since_counted.store(0, Ordering::Relaxed);
        Ok(over > 0)
    }

    /// Removes some tasks of single writes and bundles that ended before `since`, those of one source: how many.
    async fn remove_at_once(&self, since: Timestamp) -> Result<u64> {
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = "SELECT bucket, source FROM granary.task WHERE at_once AND completed_at < $1 \
                       ORDER BY completed_at LIMIT 1";
            let Some(row) = session.query_opt(sql, params![since.millis()]).await? else {
                return Ok(0);
            };
            let (bucket, source): (i16, i32) = (row.get(0), row.get(1));
            share_freeing(&session, bucket, source).await?;
            // They stand in the order in which they were carried out.
            let sql = "SELECT ksuid FROM granary.task WHERE bucket = $1 AND source = $2 AND at_once \
                       AND completed_at < $3 ORDER BY sequence LIMIT $4 FOR UPDATE SKIP LOCKED";
            let of = params![bucket, source, since.millis(), AT_ONCE_TASKS];
            let rows = session.query(sql, of).await?;
            let ids: Vec<&[u8]> = rows.iter().map(|row| row.get(0)).collect();
            let mut removed = 0;
            for delete in OF_TASKS {
                removed = session
                    .execute(delete, params![bucket, source, ids.clone()])
                    .await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Forgets tasks that were removed before `since`, at most so many; false once none is left.
    async fn forget_removed(&self, since: Timestamp, rows: u64) -> Result<bool> {
        let forgotten = self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = "DELETE FROM granary.removed_task WHERE ctid = ANY (ARRAY(SELECT ctid FROM granary.removed_task \
                       WHERE cleared AND at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)) AND cleared AND at < $1";
            let forgotten: Attempt<u64> = session.execute(sql, params![since.millis(), int8(rows)]).await;
            forgotten
        });
        Ok(forgotten.await? == rows)
    }
}

/// Keeps a source from being freed meanwhile, whose rows would be locked in another order; true where it is alive.
async fn share_freeing(session: &Session, bucket: i16, source: i32) -> Attempt<bool> {
    let sql = "SELECT NOT dead FROM granary.source WHERE bucket = $1 AND source = $2 FOR KEY SHARE";
    let row = session.query_opt(sql, params![bucket, source]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}

macro_rules! delete_of_task {
    ($($table:literal),+) => {
        [$(concat!(
            "DELETE FROM granary.", $table, " WHERE ctid = ANY (ARRAY(SELECT ctid FROM granary.", $table,
            " WHERE bucket = $1 AND source = $2 AND ksuid = $3 LIMIT $4)) AND bucket = $1 AND source = $2 AND ksuid = $3"
        )),+]
    };
}

/// Remove what a task held.
const OF_TASK: [&str; 2] = delete_of_task!("receipts", "segment");

macro_rules! delete_of_tasks {
    ($($table:literal),+) => {
        [$(concat!(
            "DELETE FROM granary.", $table, " WHERE bucket = $1 AND source = $2 AND ksuid = ANY ($3)"
        )),+]
    };
}

/// Remove tasks with what they held.
const OF_TASKS: [&str; 3] = delete_of_tasks!("receipts", "segment", "task");

/// Finds nothing where a task is gone, or its source. Looked for last: what was read before is whole.
pub(crate) const TASK_IS_THERE: &str = "SELECT 1 FROM granary.source WHERE bucket = $1 AND source = $2 AND NOT dead \
     AND EXISTS (SELECT FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3)";

//! Acceptance: a bulk request on its way into the database, segment by segment, and the one transaction that makes it a
//! task. An upload has a row, which its node renews; what has expired is swept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use granary_core::ksuid::Ksuid;
use granary_core::operation::{TargetType, TypeRef};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{
    CheckedBatch, Idempotent, Result, Source, StoreError, StoreLimits, StoredTask, TaskProgress, Upload, pack,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::catalog::{read_definitions, see_source, share_source};
use crate::chunk::pack_bodies;
use crate::current::next_stamps;
use crate::failure::Attempt;
use crate::lanes::{lock_intake, wake_lane};
use crate::packed::encode;
use crate::session::{Session, params};
use crate::tasks::{NewTask, insert_task};
use crate::transact::Rules;
use crate::{Inner, bucket_of, int4, int8, lock};

/// A segment is written when it holds so many operations,
const SEGMENT_OPERATIONS_MAX: usize = 4_096;
/// or so many bytes of bodies and of meta.
const SEGMENT_BYTES_MAX: usize = 1 << 20;
/// What an operation counts for beside its body and its meta.
const OPERATION_BYTES: usize = 64;
/// How long an upload whose node is gone is kept.
const EXPIRES_AFTER: Duration = Duration::from_secs(60);

/// What names an upload.
pub(crate) type UploadKey = (u32, Ksuid);

pub(crate) struct PostgresUpload {
    inner: Arc<Inner>,
    source: Source,
    task_id: TaskId,
    target_type: TargetType,
    types: Arc<[TypeRef]>,
    types_used: BTreeSet<u32>,
    /// Operations of the segment that is not full.
    held: CheckedBatch,
    meta_bytes: usize,
    segments: i32,
    /// What is held, as it counts in the spooled bytes of the store.
    held_bytes: u64,
    /// Operations in segments that are written.
    written: u64,
    /// Bytes of these segments.
    bytes: u64,
    /// The row is there, and not yet a task.
    is_open: bool,
    idempotent: Option<Idempotent>,
    retry_of: Option<TaskId>,
    _renewing: DropGuard,
}

impl PostgresUpload {
    pub(crate) async fn begin(
        inner: &Arc<Inner>,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Self> {
        inner.check_open()?;
        let spooled = inner.spooled_bytes().await?;
        inner.limits.admit_bytes(spooled)?;
        let key = (source.number, task_id.ksuid);
        inner
            .transact(Rules::SOON, |session: Arc<Session>| async move {
                see_source(&session, source).await?;
                inner.limits.admit_task(waiting(&session, source).await?)?;
                let sql = "INSERT INTO granary.upload (bucket, source, ksuid, expires_at, bytes) \
                           VALUES ($1, $2, $3, now() + make_interval(secs => $4), 0)";
                let of = params![
                    bucket_of(source.number),
                    int4(source.number),
                    task_id.ksuid.as_bytes().as_slice(),
                    EXPIRES_AFTER.as_secs_f64()
                ];
                session.execute_on(1, sql, of).await
            })
            .await?;
        Ok(Self {
            inner: Arc::clone(inner),
            source: source.clone(),
            task_id,
            target_type,
            types,
            types_used: BTreeSet::new(),
            held: CheckedBatch::default(),
            meta_bytes: 0,
            segments: 0,
            held_bytes: 0,
            written: 0,
            bytes: 0,
            is_open: true,
            idempotent: None,
            retry_of: None,
            _renewing: keep_renewing(Arc::clone(inner), key).drop_guard(),
        })
    }

    /// Counts what is held now.
    fn count_held(&mut self) {
        let held =
            (self.held.bodies.len() + self.meta_bytes + self.held.operations.len() * OPERATION_BYTES) as u64;
        let before = std::mem::replace(&mut self.held_bytes, held);
        let all = &self.inner.held_bytes;
        all.fetch_add(held, Ordering::Relaxed);
        all.fetch_sub(before, Ordering::Relaxed);
    }

    /// Writes what is held as a segment.
    async fn write_segment(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.held);
        self.meta_bytes = 0;
        self.count_held();
        if batch.operations.is_empty() {
            return Ok(());
        }
        let (first, number) = (self.written, self.segments);
        let count = batch.operations.len();
        let operations = pack(&encode(&batch.operations));
        let bodies = pack_bodies(&batch);
        let bytes = (operations.len() + bodies.len()) as u64;
        let id = self.task_id.ksuid;
        let (bucket, source) = (bucket_of(self.source.number), int4(self.source.number));
        let (operations, bodies, of_source) = (&operations, &bodies, &self.source);
        // Durable with the acceptance, which follows it in the log.
        self.inner
            .transact(Rules::SOON, |session: Arc<Session>| async move {
                let sql = "INSERT INTO granary.segment (bucket, source, ksuid, number, first, count, operations, bodies) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
                let segment = params![
                    bucket,
                    source,
                    id.as_bytes().as_slice(),
                    number,
                    int8(first),
                    count as i32,
                    operations.as_slice(),
                    bodies.as_slice()
                ];
                let counted = "UPDATE granary.upload SET bytes = bytes + $4, \
                               expires_at = now() + make_interval(secs => $5) \
                               WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND NOT abandoned";
                let of = params![
                    bucket,
                    source,
                    id.as_bytes().as_slice(),
                    int8(bytes),
                    EXPIRES_AFTER.as_secs_f64()
                ];
                if session.execute(counted, of).await? == 0 {
                    // It went with its source, or because it was not renewed.
                    see_source(&session, of_source).await?;
                    return Err(swept().into());
                }
                session.execute_on(1, sql, segment).await
            })
            .await?;
        self.written += count as u64;
        self.segments += 1;
        self.bytes += bytes;
        Ok(())
    }
}

fn swept() -> StoreError {
    StoreError::Unavailable("the upload was not renewed in time and was swept; send the request again".into())
}

#[async_trait]
impl Upload for PostgresUpload {
    async fn push(&mut self, batch: CheckedBatch) -> Result<()> {
        let CheckedBatch {
            operations,
            bodies,
            body_ends,
        } = batch;
        let mut start = 0;
        let written_before = self.segments;
        for (operation, end) in operations.into_iter().zip(body_ends) {
            self.types_used.insert(operation.type_index);
            self.meta_bytes += operation.meta.as_ref().map_or(0, |meta| meta.bytes());
            self.held.bodies.extend_from_slice(&bodies[start..end]);
            self.held.push(operation);
            start = end;
            if self.held.operations.len() >= SEGMENT_OPERATIONS_MAX
                || self.held.bodies.len() + self.meta_bytes >= SEGMENT_BYTES_MAX
            {
                self.write_segment().await?;
            }
        }
        self.count_held();
        // Asking the database each time would take long; a segment is what it may be too late by.
        if self.segments == written_before && self.segments > 0 {
            return Ok(());
        }
        let spooled = self.inner.spooled_bytes().await?;
        self.inner.limits.admit_bytes(spooled)
    }

    fn set_idempotent(&mut self, request: Idempotent) {
        self.idempotent = Some(request);
    }

    fn set_retry_of(&mut self, parent: TaskId) {
        self.retry_of = Some(parent);
    }

    async fn accept(mut self: Box<Self>, definitions_revision: u64, now: Timestamp) -> Result<StoredTask> {
        self.inner.check_open()?;
        self.write_segment().await?;
        let (this, source, id) = (&*self, &self.source, self.task_id.ksuid);
        let progress = &TaskProgress::new(self.task_id, Some(self.target_type), self.written, now);
        let types_used: &Vec<u32> = &self.types_used.iter().copied().collect();
        let accept = |session: Arc<Session>| async move {
            let (bucket, number) = (bucket_of(source.number), int4(source.number));
            let of_upload = || params![bucket, number, id.as_bytes().to_vec()];
            // From here on the sweep waits.
            let sql = "SELECT 1 FROM granary.upload \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND NOT abandoned FOR UPDATE";
            if session.query_opt(sql, of_upload()).await?.is_none() {
                see_source(&session, source).await?;
                return Err(swept().into());
            }
            let once = this.idempotent.as_ref();
            this.inner
                .keep_answer(&session, source.number, once, this.task_id, now)
                .await?;
            admit(
                &session,
                this.inner.limits,
                source,
                &this.types,
                types_used,
                definitions_revision,
            )
            .await?;
            let sql = "SELECT count(*), coalesce(sum(count), 0)::int8 FROM granary.segment \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3";
            let row = session.query_one(sql, of_upload()).await?;
            if (row.get::<_, i64>(0), row.get::<_, i64>(1)) != (i64::from(this.segments), int8(this.written))
            {
                let message =
                    "the database has lost a part of the request before it was accepted; send it again";
                return Err(StoreError::Unavailable(message.into()).into());
            }
            let sequence = next_stamps(&session, 1).await?;
            let task = NewTask {
                source: source.number,
                at_once: false,
                sequence,
                progress,
                types: &this.types,
                types_used,
                bytes: this.bytes,
                retry_of: this.retry_of,
            };
            insert_task(&session, &task).await?;
            let sql = "DELETE FROM granary.upload WHERE bucket = $1 AND source = $2 AND ksuid = $3";
            session.execute_on(1, sql, of_upload()).await?;
            wake_lane(&session, source.number).await?;
            let stored = progress.stored(source.number, sequence, Arc::clone(&this.types));
            Ok(stored.retrying(this.retry_of))
        };
        let stored = self.inner.transact_once(source.number, id, accept).await?;
        self.is_open = false;
        self.inner.hint();
        Ok(stored)
    }
}

impl Drop for PostgresUpload {
    fn drop(&mut self) {
        self.inner
            .held_bytes
            .fetch_sub(self.held_bytes, Ordering::Relaxed);
        if !self.is_open {
            return;
        }
        lock(&self.inner.abandoned).push((self.source.number, self.task_id.ksuid));
        let inner = Arc::clone(&self.inner);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { inner.remove_abandoned_uploads().await });
        }
    }
}

/// Renews the row of an upload until the token is cancelled: its client may be slow.
fn keep_renewing(inner: Arc<Inner>, (source, id): UploadKey) -> CancellationToken {
    let done = CancellationToken::new();
    let stop = done.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EXPIRES_AFTER / 3) => {}
            }
            let renewed = inner.transact(Rules::SOON, |session: Arc<Session>| async move {
                let sql = "UPDATE granary.upload SET expires_at = now() + make_interval(secs => $4) \
                           WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND NOT abandoned";
                let of = params![
                    bucket_of(source),
                    int4(source),
                    id.as_bytes().as_slice(),
                    EXPIRES_AFTER.as_secs_f64()
                ];
                session.execute(sql, of).await
            });
            if let Err(failure) = renewed.await {
                debug!(%failure, "an upload was not renewed; trying again");
            }
        }
    });
    done
}

/// Tasks of the lane of a source that have not ended.
async fn waiting(session: &Session, source: &Source) -> Attempt<u64> {
    let sql = "SELECT count(*) FROM granary.task WHERE bucket = $1 AND source = $2 AND completed_at IS NULL";
    let row = session
        .query_one(sql, params![bucket_of(source.number), int4(source.number)])
        .await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Lets a task of the lane in, or refuses it; from here to the end of the transaction no other comes in, and the
/// definitions stay.
pub(crate) async fn admit(
    session: &Session,
    limits: StoreLimits,
    source: &Source,
    types: &[TypeRef],
    used: &[u32],
    definitions_revision: u64,
) -> Attempt<()> {
    let revision = share_source(session, source).await?;
    lock_intake(session, source.number).await?;
    limits.admit_task(waiting(session, source).await?)?;
    if revision != definitions_revision {
        let definitions = read_definitions(session, source).await?;
        definitions.still_define(types, used.iter().copied())?;
    }
    Ok(())
}

impl Inner {
    /// Bytes of uploads under way and of tasks that have not ended.
    pub(crate) async fn spooled_bytes(&self) -> Result<u64> {
        self.abandon().await;
        let held = self.held_bytes.load(Ordering::Relaxed);
        // In a transaction, for what that says of plans: there may be very many tasks that have ended.
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = "SELECT (SELECT coalesce(sum(bytes), 0) FROM granary.upload WHERE NOT abandoned)::int8 \
                       + (SELECT coalesce(sum(bytes), 0) FROM granary.task WHERE completed_at IS NULL)::int8";
            Ok(session
                .query_one(sql, params![])
                .await?
                .get::<_, i64>(0)
                .unsigned_abs()
                + held)
        })
        .await
    }

    pub(crate) async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let row = match next_of {
                Some(source) => {
                    see_source(&session, source).await?;
                    let sql = "SELECT total - cursor FROM granary.task WHERE bucket = $1 AND source = $2 \
                               AND completed_at IS NULL ORDER BY sequence LIMIT 1";
                    let of = params![bucket_of(source.number), int4(source.number)];
                    session.query_opt(sql, of).await?
                }
                None => {
                    let sql = "SELECT coalesce(sum(total - cursor), 0)::int8 FROM granary.task \
                               WHERE completed_at IS NULL";
                    session.query_opt(sql, params![]).await?
                }
            };
            Ok(row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
        })
        .await
    }

    /// Marks the uploads that were dropped on this node: from here on they count no more.
    async fn abandon(&self) {
        let _marking = self.clearing.lock().await;
        loop {
            let Some((source, id)) = lock(&self.abandoned).pop() else {
                return;
            };
            let marked = self.transact(Rules::SOON, |session: Arc<Session>| async move {
                let sql = "UPDATE granary.upload SET abandoned = true WHERE bucket = $1 AND source = $2 AND ksuid = $3";
                let of = params![bucket_of(source), int4(source), id.as_bytes().as_slice()];
                session.execute(sql, of).await
            });
            match marked.await {
                Ok(_) => lock(&self.marked).push((source, id)),
                // It expires by itself.
                Err(failure) => debug!(%failure, "an upload that was cut off was not removed yet"),
            }
        }
    }

    /// Removes the uploads that were dropped on this node.
    pub(crate) async fn remove_abandoned_uploads(&self) {
        self.abandon().await;
        loop {
            let Some((source, id)) = lock(&self.marked).pop() else {
                return;
            };
            loop {
                match self.remove_abandoned(source, id).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(failure) => {
                        debug!(%failure, "an upload that was cut off was not removed yet");
                        break;
                    }
                }
            }
        }
    }

    /// Removes some of what an abandoned upload has spooled, and at last its row; false when nothing is left.
    pub(crate) async fn remove_abandoned(&self, source: u32, id: Ksuid) -> Result<bool> {
        const SEGMENTS: i64 = 64;
        let of = move || params![bucket_of(source), int4(source), id.as_bytes().to_vec()];
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            // The row says whose they are: without it, or with one that is not abandoned, they are those of a task.
            let sql = "SELECT 1 FROM granary.upload WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND abandoned \
                       FOR UPDATE";
            if session.query_opt(sql, of()).await?.is_none() {
                return Ok(false);
            }
            let sql = "DELETE FROM granary.segment g USING (SELECT number FROM granary.segment \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3 ORDER BY number LIMIT $4) d \
                       WHERE g.bucket = $1 AND g.source = $2 AND g.ksuid = $3 AND g.number = d.number";
            let some = params![
                bucket_of(source),
                int4(source),
                id.as_bytes().as_slice(),
                SEGMENTS
            ];
            if session.execute(sql, some).await? == SEGMENTS as u64 {
                return Ok(true);
            }
            let sql =
                "DELETE FROM granary.upload WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND abandoned";
            session.execute(sql, of()).await?;
            Ok(false)
        })
        .await
    }
}

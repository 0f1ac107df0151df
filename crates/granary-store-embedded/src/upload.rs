//! Acceptance: a bulk request on its way to disk. Small ones are held and go into the acceptance itself; from
//! `INLINE_BYTES_MAX` on they go to segments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use granary_core::operation::{TargetType, TypeRef};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{CheckedBatch, Idempotent, Result, Source, StoreError, StoredTask, TaskProgress, Upload};

use crate::counts::Recounted;
use crate::format::sync_folder;
use crate::keys::{TaskClass, TaskPlace};
use crate::rows::{self, CountRow, InlineRow, SegmentRow, SpecRow, Spool};
use crate::segment::{FinishedSegment, SegmentWriter};
use crate::{Inner, io, lock, run_blocking};

/// A request whose operations and bodies stay below this is kept in the database: a file for it would be a waste.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// What an operation counts for beside its body: a request of deletes has no bodies, and must not be held without end.
const OPERATION_BYTES: usize = 64;

pub(crate) struct EmbeddedUpload {
    /// `None` while a call works with it, and after one that failed.
    work: Option<Work>,
}

struct Work {
    inner: Arc<Inner>,
    source: Source,
    task_id: TaskId,
    target_type: TargetType,
    types: Arc<[TypeRef]>,
    types_used: BTreeSet<u32>,
    /// All operations, until they are too many.
    held: CheckedBatch,
    /// The segment that is written to.
    open: Option<SegmentWriter>,
    /// The segments that are full.
    finished: Vec<FinishedSegment>,
    /// For each segment its first operation.
    firsts: Vec<u64>,
    total: u64,
    /// What this upload counts for in the spooled bytes of the store.
    spooled: u64,
    idempotent: Option<Idempotent>,
    retry_of: Option<TaskId>,
}

impl EmbeddedUpload {
    pub(crate) fn begin(
        inner: &Arc<Inner>,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Self> {
        inner.check_open()?;
        let state = inner.state_of(source)?;
        inner.limits.admit_bytes(inner.spooled.load(Ordering::Relaxed))?;
        inner.limits.admit_task(lock(&state.writer).queue.len() as u64)?;
        let work = Work {
            inner: Arc::clone(inner),
            source: source.clone(),
            task_id,
            target_type,
            types,
            types_used: BTreeSet::new(),
            held: CheckedBatch::default(),
            open: None,
            finished: Vec::new(),
            firsts: Vec::new(),
            total: 0,
            spooled: 0,
            idempotent: None,
            retry_of: None,
        };
        Ok(Self { work: Some(work) })
    }
}

#[async_trait]
impl Upload for EmbeddedUpload {
    async fn push(&mut self, batch: CheckedBatch) -> Result<()> {
        let Some(mut work) = self.work.take() else {
            return Err(failed_before());
        };
        let work = run_blocking(move || {
            work.push(batch)?;
            Ok(work)
        })
        .await?;
        self.work = Some(work);
        Ok(())
    }

    fn set_idempotent(&mut self, request: Idempotent) {
        if let Some(work) = &mut self.work {
            work.idempotent = Some(request);
        }
    }

    fn set_retry_of(&mut self, parent: TaskId) {
        if let Some(work) = &mut self.work {
            work.retry_of = Some(parent);
        }
    }

    async fn accept(mut self: Box<Self>, definitions_revision: u64, now: Timestamp) -> Result<StoredTask> {
        let Some(work) = self.work.take() else {
            return Err(failed_before());
        };
        run_blocking(move || work.accept(definitions_revision, now)).await
    }
}

/// What operations that are held take.
fn held_bytes(batch: &CheckedBatch) -> usize {
    let meta = batch
        .operations
        .iter()
        .filter_map(|operation| operation.meta.as_ref());
    batch.bodies.len()
        + batch.operations.len() * OPERATION_BYTES
        + meta.map(|meta| meta.bytes()).sum::<usize>()
}

fn failed_before() -> StoreError {
    StoreError::Unavailable("the upload failed before".into())
}

impl Drop for Work {
    fn drop(&mut self) {
        self.inner.spooled.fetch_sub(self.spooled, Ordering::Relaxed);
    }
}

impl Work {
    fn push(&mut self, batch: CheckedBatch) -> Result<()> {
        self.types_used
            .extend(batch.operations.iter().map(|operation| operation.type_index));
        self.total += batch.operations.len() as u64;
        if self.firsts.is_empty() && held_bytes(&self.held) + held_bytes(&batch) < INLINE_BYTES_MAX {
            self.held.append(batch);
        } else {
            let held = std::mem::take(&mut self.held);
            let first = self.total - batch.operations.len() as u64 - held.operations.len() as u64;
            let after = first + held.operations.len() as u64;
            self.spool(held, first)?;
            self.spool(batch, after)?;
        }
        let finished: u64 = self.finished.iter().map(FinishedSegment::bytes).sum();
        let bytes =
            held_bytes(&self.held) as u64 + finished + self.open.as_ref().map_or(0, SegmentWriter::bytes);
        let spooled = self.count_spooled(bytes);
        self.inner.limits.admit_bytes(spooled)
    }

    /// Counts this upload as so many spooled bytes, which can be fewer than before: packed they take less. All that
    /// is spooled then.
    fn count_spooled(&mut self, bytes: u64) -> u64 {
        let before = std::mem::replace(&mut self.spooled, bytes);
        let all = &self.inner.spooled;
        match bytes.checked_sub(before) {
            Some(more) => all.fetch_add(more, Ordering::Relaxed) + more,
            None => all.fetch_sub(before - bytes, Ordering::Relaxed) - (before - bytes),
        }
    }

    /// Writes operations to the segment that is open, opening a new one where that is full.
    fn spool(&mut self, batch: CheckedBatch, first: u64) -> Result<()> {
        let CheckedBatch {
            operations,
            bodies,
            body_ends,
        } = batch;
        let mut start = 0;
        for (index, (operation, end)) in operations.into_iter().zip(body_ends).enumerate() {
            if let Some(full) = self.open.take_if(|segment| segment.is_full()) {
                self.finished.push(full.finish().map_err(io)?);
            }
            let segment = match &mut self.open {
                Some(segment) => segment,
                none => {
                    let number = self.inner.new_segment_number()?;
                    self.firsts.push(first + index as u64);
                    none.insert(SegmentWriter::create(&self.inner.folder.segments, number).map_err(io)?)
                }
            };
            segment.push(operation, &bodies[start..end]).map_err(io)?;
            start = end;
        }
        Ok(())
    }

    fn accept(mut self, definitions_revision: u64, now: Timestamp) -> Result<StoredTask> {
        let inner = Arc::clone(&self.inner);
        if let Some(last) = self.open.take() {
            self.finished.push(last.finish().map_err(io)?);
        }
        let mut finished = std::mem::take(&mut self.finished);
        if !finished.is_empty() {
            sync_folder(&inner.folder.segments).map_err(io)?;
        }
        let spool = match finished.is_empty() {
            true => Spool::Inline,
            false => Spool::Segments(
                finished
                    .iter()
                    .map(|s| s.segment)
                    .zip(self.firsts.drain(..))
                    .collect(),
            ),
        };
        let bytes = match finished.is_empty() {
            true => held_bytes(&self.held) as u64,
            false => finished.iter().map(FinishedSegment::bytes).sum(),
        };
        let state = inner.state_of(&self.source)?;
        let mut writer = inner.writer_of(&state)?;
        if let Err(answered) = inner.check_once(self.source.number, self.idempotent.as_ref()) {
            drop(writer);
            inner.sync.wait(inner.sync.last_commit())?;
            return Err(answered);
        }
        inner.limits.admit_task(writer.queue.len() as u64)?;
        let definitions = state.definitions();
        if definitions.revision != definitions_revision {
            definitions.still_define(&self.types, self.types_used.iter().copied())?;
        }
        let place = TaskPlace {
            source: self.source.number,
            class: TaskClass::Lane,
            sequence: writer.lane.lane_next,
        };
        let task = TaskProgress::new(self.task_id, Some(self.target_type), self.total, now);
        let types_used = self.types_used.iter().copied().collect();
        let spec = SpecRow {
            types: self.types.to_vec(),
            types_used,
            spool,
            bytes,
        };
        let held = std::mem::take(&mut self.held);
        let inline = InlineRow {
            operations: held.operations,
            body_ends: held.body_ends,
            bodies: held.bodies,
        };
        let mut batch = inner.db.batch();
        inner.write_task(
            &mut batch,
            &place,
            &task,
            &spec,
            finished.is_empty().then_some(&inline),
        );
        inner.write_lineage(&mut batch, &place, self.retry_of);
        inner.keep_answer(
            &mut batch,
            place.source,
            self.idempotent.as_ref(),
            self.task_id,
            now,
        );
        let mut counts = Recounted::default();
        for segment in &finished {
            let row = SegmentRow {
                operations_bytes: segment.operations_bytes,
                bodies_bytes: segment.count.bytes,
            };
            let count = CountRow {
                task: Some(place.sequence),
                ..segment.count.clone()
            };
            counts.insert(segment.segment, count);
            batch.insert(
                &inner.keyspaces.segments,
                segment.segment.to_be_bytes(),
                rows::encode(&row),
            );
        }
        inner.write_counts(&mut batch, place.source, &counts);
        let mut row = writer.lane.clone();
        row.lane_next += 1;
        batch.insert(
            &inner.keyspaces.lanes,
            self.source.number.to_be_bytes(),
            rows::encode(&row),
        );
        // From here on the files may be named by the journal, even where the commit reports a failure.
        finished.iter_mut().for_each(FinishedSegment::keep);
        inner.commit(batch)?;
        writer.lane = row;
        writer.counts.take(counts);
        writer.queue.push_back(place.sequence);
        inner.spooled.fetch_add(bytes, Ordering::Relaxed);
        let commit = inner.sync.committed();
        // Under the lock of the writes, as a release is: a lane that is ready has work.
        lock(&inner.lanes).wake(self.source.number);
        drop(writer);
        inner.sync.wait(commit)?;
        let stored = task.stored(self.source.number, place.sequence, Arc::clone(&self.types));
        Ok(stored.retrying(self.retry_of))
    }
}

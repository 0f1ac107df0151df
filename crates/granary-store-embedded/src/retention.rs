//! Tasks that are kept no longer.
//!
//! A bulk task or a purge is removed in one batch, which takes away its row and its id and says that it was there, and that
//! something of it is still to go. What that is, its receipts, its operations and their files, goes afterwards: so it goes on
//! over restarts, and nobody sees half of a task. The bodies of its segments are those of records; from then on nothing keeps
//! those of operations that failed, and collection may take them. Tasks of single writes and bundles are small, and go whole.

use std::collections::{BinaryHeap, VecDeque};
use std::path::PathBuf;

use fjall::{OwnedWriteBatch, Readable, Snapshot};
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;
use granary_store::{RemovedTask, Result, Retention, Retired, Source, StoreError, TaskProgress};

use crate::counts::Recounted;
use crate::keys::{self, INLINE_PART, LINEAGE_PART, SPEC_PART, TaskClass, TaskPlace};
use crate::rows::{self, CountRow, RemovedRow, SegmentRow, SpecRow, Spool};
use crate::segment::SegmentPaths;
use crate::{Inner, engine, lock};

/// Tasks that are found together by a look at all of them.
const FOUND_MAX: usize = 1_024;

/// How far the removal of tasks is. In memory alone: what has begun is found in the rows.
#[derive(Default)]
pub(crate) struct Retiring {
    /// Tasks of which something is still to go; `None` until they were looked for.
    half_removed: Option<VecDeque<HalfRemoved>>,
    /// Tasks of lanes that are to go, the oldest first.
    due: VecDeque<TaskPlace>,
    next: Next,
}

/// What is looked at next.
#[derive(Clone, Copy, Default)]
enum Next {
    /// All tasks of lanes.
    #[default]
    Lanes,
    /// Tasks of single writes and bundles, from this one on.
    AtOnce(u32, u64),
    /// What is known of removed tasks, from this source on.
    Removed(u32),
}

/// A task of which something is still to go.
struct HalfRemoved {
    place: TaskPlace,
    /// The last of its receipts that was removed: what was removed is not walked over again.
    after: Option<Vec<u8>>,
}

impl HalfRemoved {
    fn new(place: TaskPlace) -> Self {
        Self { place, after: None }
    }
}

impl Inner {
    pub(crate) fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        self.state_of(source)?;
        let now = self.sync.published();
        let row = now.get(&self.keyspaces.removed, keys::removed(source.number, id));
        let row = row.map_err(engine)?;
        let row: Option<RemovedRow> = row.map(|row| rows::decode(&row, "removed")).transpose()?;
        Ok(row.map(|row| RemovedTask {
            id: row.id,
            at: Timestamp::from_millis(row.at),
        }))
    }

    /// Takes one step: of what is half removed, of what is due, or of looking for more.
    pub(crate) fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows_max: usize) -> Result<Retired> {
        // One at a time.
        let mut retiring = lock(&self.retiring);
        let Retiring {
            half_removed,
            due,
            next,
        } = &mut *retiring;
        self.check_open()?;
        let rows_max = rows_max.max(1);
        let mut retired = Retired { tasks: 0, more: true };
        let half_removed = match half_removed {
            Some(found) => found,
            none => none.insert(self.half_removed()?),
        };
        if let Some(task) = half_removed.front_mut() {
            if self.clear(task, rows_max)? {
                half_removed.pop_front();
            }
            return Ok(retired);
        }
        if let Some(place) = due.pop_front() {
            if self.remove_task(&place, now)? {
                half_removed.push_back(HalfRemoved::new(place));
                retired.tasks = 1;
            }
            return Ok(retired);
        }
        match *next {
            Next::Lanes => {
                *due = self.due(kept)?;
                if due.is_empty() {
                    *next = Next::AtOnce(0, 0);
                }
            }
            Next::AtOnce(source, sequence) => {
                let (count, place) = self.remove_at_once(kept, now, (source, sequence), rows_max)?;
                retired.tasks = count;
                *next = place.map_or(Next::Removed(0), |(source, sequence)| {
                    Next::AtOnce(source, sequence)
                });
            }
            Next::Removed(source) => match self.forget_removed(kept, now, source, rows_max)? {
                Some(source) => *next = Next::Removed(source),
                None => {
                    *next = Next::Lanes;
                    retired.more = false;
                }
            },
        }
        Ok(retired)
    }

    /// The numbers of all sources from this one on.
    fn numbers_from(&self, first: u32) -> Vec<u32> {
        let numbers = self
            .sources()
            .values()
            .map(|state| state.source.number)
            .collect::<Vec<_>>();
        let mut numbers: Vec<u32> = numbers.into_iter().filter(|number| *number >= first).collect();
        numbers.sort_unstable();
        numbers
    }

    fn half_removed(&self) -> Result<VecDeque<HalfRemoved>> {
        let mut found = VecDeque::new();
        for source in self.numbers_from(0) {
            for row in self.keyspaces.removed.prefix(keys::all_half_removed(source)) {
                let key = row.key().map_err(engine)?;
                let sequence = keys::last_number(&key);
                let sequence = sequence.ok_or_else(|| StoreError::Damaged("a key of removed".into()))?;
                found.push_back(HalfRemoved::new(lane_task(source, sequence)));
            }
        }
        Ok(found)
    }

    /// The oldest tasks of lanes that are kept no longer, not all of them where they are many.
    fn due(&self, kept: &Retention) -> Result<VecDeque<TaskPlace>> {
        // What has ended and is durable.
        let shown = self.sync.published();
        let (mut oldest, mut bytes) = (BinaryHeap::new(), 0_u64);
        for source in self.numbers_from(0) {
            let prefix = TaskPlace::prefix(source, TaskClass::Lane);
            for row in shown.prefix(&self.keyspaces.tasks, prefix) {
                let (key, value) = row.into_inner().map_err(engine)?;
                let task: TaskProgress = rows::decode(&value, "tasks")?;
                let Some(ended_at) = task.completed_at else {
                    continue;
                };
                let sequence = keys::last_number(&key);
                let sequence = sequence.ok_or_else(|| StoreError::Damaged("a key of tasks".into()))?;
                let spooled = match task.undone() {
                    0 => 0,
                    _ => self.spec(&shown, &lane_task(source, sequence))?.bytes,
                };
                let own = task.kept_bytes(spooled);
                bytes = bytes.saturating_add(own);
                oldest.push((ended_at, source, sequence, own));
                if oldest.len() > FOUND_MAX {
                    oldest.pop();
                }
            }
        }
        let mut due = VecDeque::new();
        for (ended_at, source, sequence, own) in oldest.into_sorted_vec() {
            if !kept.lane_task_goes(ended_at, bytes) {
                break;
            }
            bytes -= own;
            due.push_back(lane_task(source, sequence));
        }
        Ok(due)
    }

    /// True where a task of a lane was removed, in part or whole.
    pub(crate) fn is_removed(&self, now: &Snapshot, place: &TaskPlace) -> Result<bool> {
        if now
            .contains_key(&self.keyspaces.tasks, place.key())
            .map_err(engine)?
        {
            return Ok(false);
        }
        // Until all is gone that it held, there is a row that says so.
        let said = keys::half_removed(place.source, place.sequence);
        let spec = now.contains_key(&self.keyspaces.spool, place.part(SPEC_PART));
        Ok(!spec.map_err(engine)? || now.contains_key(&self.keyspaces.removed, said).map_err(engine)?)
    }

    /// Removes a task of a lane; false where it is gone already.
    fn remove_task(&self, place: &TaskPlace, now: Timestamp) -> Result<bool> {
        let state = self
            .source_numbered(place.source)
            .map(|source| self.state_of(&source));
        let Some(Ok(state)) = state else { return Ok(false) };
        // Held, so that the source is there to take along what is said of the task.
        let writer = match self.writer_of(&state) {
            Err(StoreError::Refused(_)) => return Ok(false),
            writer => writer?,
        };
        let Some(row) = self.keyspaces.tasks.get(place.key()).map_err(engine)? else {
            return Ok(false);
        };
        let task: TaskProgress = rows::decode(&row, "tasks")?;
        if !task.ended() {
            return Ok(false);
        }
        let id = task.id();
        let said = RemovedRow { id, at: now.millis() };
        let mut batch = self.db.batch();
        batch.remove(&self.keyspaces.tasks, place.key());
        batch.remove(&self.keyspaces.task_ids, keys::task_id(place.source, id.ksuid));
        let removed = &self.keyspaces.removed;
        batch.insert(
            removed,
            keys::removed(place.source, id.ksuid),
            rows::encode(&said),
        );
        batch.insert(removed, keys::half_removed(place.source, place.sequence), []);
        self.commit(batch)?;
        self.sync.committed();
        drop(writer);
        Ok(true)
    }

    /// Removes so many rows of what a removed task held; true once nothing is left of it.
    fn clear(&self, task: &mut HalfRemoved, rows_max: usize) -> Result<bool> {
        let place = task.place;
        let state = self
            .source_numbered(place.source)
            .map(|source| self.state_of(&source));
        // What a source held goes with it.
        let Some(Ok(state)) = state else { return Ok(true) };
        let mut writer = match self.writer_of(&state) {
            Err(StoreError::Refused(_)) => return Ok(true),
            writer => writer?,
        };
        let mut batch = self.db.batch();
        let start = task.after.take().map_or_else(|| place.key(), keys::after);
        let mut last = None;
        for (removed, row) in self.keyspaces.receipts.range(start..).enumerate() {
            let key = row.key().map_err(engine)?;
            if !key.starts_with(&place.key()) {
                break;
            }
            if removed == rows_max {
                self.commit(batch)?;
                self.sync.committed();
                task.after = last;
                return Ok(false);
            }
            last = Some(key.to_vec());
            batch.remove(&self.keyspaces.receipts, key);
        }
        let (mut counts, mut files) = (Recounted::default(), Vec::new());
        if let Some(row) = self.keyspaces.spool.get(place.part(SPEC_PART)).map_err(engine)?
            && let Spool::Segments(segments) = rows::decode::<SpecRow>(&row, "spool")?.spool
        {
            for (segment, _) in segments {
                if let Some(row) = writer.counts.iter().find(|(of, _)| *of == segment) {
                    let row = CountRow {
                        task: None,
                        ..row.1.clone()
                    };
                    counts.insert(segment, row);
                }
                files.extend(self.let_go_of(&mut batch, segment)?);
            }
        }
        for part in [SPEC_PART, INLINE_PART, LINEAGE_PART] {
            batch.remove(&self.keyspaces.spool, place.part(part));
        }
        let said = keys::half_removed(place.source, place.sequence);
        batch.remove(&self.keyspaces.removed, said);
        self.write_counts(&mut batch, place.source, &counts);
        self.commit(batch)?;
        writer.counts.take(counts);
        let commit = self.sync.committed();
        drop(writer);
        self.remove_operations(commit, &files)?;
        Ok(true)
    }

    /// Has the row of a segment name its operations no more, and its bodies only where they are still there: its number,
    /// where its file of operations is to go.
    fn let_go_of(&self, batch: &mut OwnedWriteBatch, segment: u32) -> Result<Option<u32>> {
        let key = segment.to_be_bytes();
        let Some(row) = self.keyspaces.segments.get(key).map_err(engine)? else {
            return Ok(None);
        };
        let row: SegmentRow = rows::decode(&row, "segments")?;
        match row.bodies_bytes {
            0 => batch.remove(&self.keyspaces.segments, key),
            bodies_bytes => {
                let row = SegmentRow {
                    operations_bytes: 0,
                    bodies_bytes,
                };
                batch.insert(&self.keyspaces.segments, key, rows::encode(&row));
            }
        }
        Ok((row.operations_bytes > 0).then_some(segment))
    }

    /// Removes files of operations once the rows that named them are gone for good, and nobody reads by rows from before. Those
    /// that are left, the next start removes.
    fn remove_operations(&self, commit: crate::sync::Commit, segments: &[u32]) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        self.sync.wait(commit)?;
        if !self.sync.wait_for_older_reads(|| self.check_open().is_err()) {
            return Ok(());
        }
        for segment in segments {
            let mut open = { self.segments.write() }.unwrap_or_else(std::sync::PoisonError::into_inner);
            open.remove(segment);
            let path: PathBuf = SegmentPaths::new(&self.folder.segments, *segment).operations;
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(segment, %error, "could not remove operations of a task that was removed; the next start does");
            }
        }
        Ok(())
    }

    /// Removes tasks of single writes and bundles from this place on, with so many rows, or little more: how many, and where
    /// to go on.
    fn remove_at_once(
        &self,
        kept: &Retention,
        now: Timestamp,
        (first, from): (u32, u64),
        rows_max: usize,
    ) -> Result<(u64, Option<(u32, u64)>)> {
        let mut batch = self.db.batch();
        let (mut tasks, mut removed, mut next) = (0, 0, None);
        let shown = self.sync.published();
        'sources: for source in self.numbers_from(first) {
            let place = |sequence| TaskPlace {
                source,
                class: TaskClass::AtOnce,
                sequence,
            };
            let from = if source == first { from } else { 0 };
            let range = place(from).key()..=place(u64::MAX).key();
            for row in shown.range(&self.keyspaces.tasks, range) {
                let (key, value) = row.into_inner().map_err(engine)?;
                let task: TaskProgress = rows::decode(&value, "tasks")?;
                let sequence = keys::last_number(&key);
                let sequence = sequence.ok_or_else(|| StoreError::Damaged("a key of tasks".into()))?;
                // They stand in the order in which they were carried out, by a clock that may have been ahead.
                match task.completed_at {
                    Some(at) if at < kept.at_once_since.millis() => {}
                    Some(at) if at > now.millis() => continue,
                    _ => break,
                }
                if removed >= rows_max {
                    next = Some((source, sequence));
                    break 'sources;
                }
                let place = place(sequence);
                batch.remove(&self.keyspaces.tasks, place.key());
                batch.remove(&self.keyspaces.task_ids, keys::task_id(source, task.id().ksuid));
                for part in [SPEC_PART, INLINE_PART] {
                    batch.remove(&self.keyspaces.spool, place.part(part));
                }
                removed += 4;
                for row in shown.prefix(&self.keyspaces.receipts, place.key()) {
                    batch.remove(&self.keyspaces.receipts, row.key().map_err(engine)?);
                    removed += 1;
                }
                tasks += 1;
            }
        }
        if tasks > 0 {
            self.commit(batch)?;
            self.sync.committed();
        }
        Ok((tasks, next))
    }

    /// Forgets tasks of this source that were removed long ago, or of one that comes after it; which is next, if any.
    fn forget_removed(
        &self,
        kept: &Retention,
        now: Timestamp,
        first: u32,
        rows_max: usize,
    ) -> Result<Option<u32>> {
        let mut batch = self.db.batch();
        let (mut removed, mut next) = (0, None);
        'sources: for source in self.numbers_from(first) {
            for row in self.keyspaces.removed.prefix(keys::all_removed(source)) {
                let (key, value) = row.into_inner().map_err(engine)?;
                let row: RemovedRow = rows::decode(&value, "removed")?;
                // Their ids begin with when they were accepted, so that they were removed in this order, about.
                if row.at > now.millis() {
                    continue;
                }
                if row.at >= kept.removed_since.millis() {
                    break;
                }
                if removed == rows_max {
                    next = Some(source);
                    break 'sources;
                }
                batch.remove(&self.keyspaces.removed, key);
                removed += 1;
            }
        }
        if removed > 0 {
            self.commit(batch)?;
            self.sync.committed();
        }
        Ok(next)
    }
}

/// A task of the lane of a source.
fn lane_task(source: u32, sequence: u64) -> TaskPlace {
    TaskPlace {
        source,
        class: TaskClass::Lane,
        sequence,
    }
}

//! Writing: what is read for a decision, and the one batch that moves effects, receipts and cursor together.

use std::sync::MutexGuard;

use fjall::{Keyspace, OwnedWriteBatch};
use granary_core::decide::{BoundedEnd, Current, Direction, Plan, RecordKey, Verdict};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::ResourceId;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{Budget, CheckedBatch, Lane, ReceiptsChunk, Result, Step, StoreError, TaskProgress};

use crate::catalog::{SourceState, Writer};
use crate::counts::Recounted;
use crate::effects::{Chunk, Ground, Read};
use crate::keys::{self, INLINE_PART, LINEAGE_PART, RecordKeys, SPEC_PART, TaskPlace};
use crate::redo::Run;
use crate::rows::{self, HeadRow, InlineRow, LaneRow, LineageRow, SpecRow, Spool};
use crate::runs::Of;
use crate::segment::OPERATIONS_PER_BLOCK;
use crate::writes::Answer;
use crate::{Inner, engine};

/// Receipts are read by the row: those of a run are of many.
const RECEIPTS_PER_ROW: usize = 4_096;

/// A chunk of the task at the head of a lane, decided.
struct Decided<'a> {
    place: &'a TaskPlace,
    /// How far the task is with it.
    task: &'a TaskProgress,
    spec: &'a SpecRow,
    heads: Run,
    counts: Recounted,
    edges: Run,
    stamp_next: u64,
}

impl Inner {
    pub(crate) fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        let Ok(state) = self.state_of(&lane.source) else {
            return Ok(Step::Lost);
        };
        let Some(mut writer) = self.writer_of_lane(&state, lane)? else {
            return Ok(Step::Lost);
        };
        let step = match writer.marks.is_empty() {
            false => self.sweep(&state, &mut writer, budget.operations, now),
            true => {
                let step = self.apply_next(&state, &mut writer, lane, budget, now);
                writer.trying = None;
                step
            }
        };
        // Whoever waits for the lock may lose it to the next chunk, again and again.
        let answers = self.carry_out(&state, &mut writer);
        answers.into_iter().for_each(Answer::tell);
        step
    }

    /// Applies the next operations of the task at the head of a lane.
    fn apply_next(
        &self,
        state: &SourceState,
        writer: &mut Writer,
        lane: &Lane,
        budget: Budget,
        now: Timestamp,
    ) -> Result<Step> {
        let Some(sequence) = writer.queue.front().copied() else {
            return Ok(Step::Idle);
        };
        let place = state.lane_task(sequence);
        let latest = self.db.snapshot();
        let mut task = self.task_row(&latest, &place)?;
        lane.last.tries(task.id());
        let source = state.source.number;
        let alone = lane.suspect && budget.operations <= 1;
        if alone && task.purge.is_none() && !self.may_be_tried(source, (sequence, task.cursor))? {
            let message = "the server ended each time it tried this operation, so it was left out";
            let error = ErrorObject::new(ErrorType::Internal, message);
            return self.fail_next(writer, lane, &place, task, error, now);
        }
        writer.trying = Some((sequence, task.cursor));
        let spec = self.spec(&latest, &place)?;
        let (purged, chunk) = match &task.purge {
            Some(purge) => {
                let next = self.next_purged(&latest, source, &spec.types[0], purge, budget)?;
                (Some((next.after, next.is_last)), Chunk::Held(next.deletes))
            }
            None => {
                let beside_writes = std::mem::take(&mut writer.was_beside_writes);
                let budget = self.runs.budget(&task, budget, beside_writes);
                (None, self.next_operations(&latest, &place, &task, &spec, budget)?)
            }
        };
        let count = chunk.operations().len() as u64;

        let plan = Plan::of(chunk.operations(), &spec.types);
        let edge_types = state.edge_types();
        let ground = Ground {
            source,
            edge_types: &edge_types,
            marks: &writer.marks,
            purge: purged.is_some().then_some(sequence),
            cascade_max: budget.operations,
        };
        let (current, read) = self.current(&ground, &plan)?;
        let decision = plan.decide(current, now, writer.lane.stamp_next);
        let mut batch = self.db.batch();
        let effects = self.write_effects(&mut batch, &ground, &read, &decision, &chunk)?;
        match purged {
            Some((after, is_last)) => {
                // Edges that are still under marks of this purge are removed, and counted, before it ends.
                task.purged(
                    count,
                    effects.relationships,
                    after,
                    is_last && effects.marks.is_empty(),
                    now,
                );
            }
            None => {
                self.write_receipts(&mut batch, &place, task.cursor, &decision.verdicts, now);
                task.advance(count, decision.failure_count(), now);
            }
        }
        let decided = Decided {
            place: &place,
            task: &task,
            spec: &spec,
            heads: effects.heads,
            counts: writer.counts.after(&effects.counts, now),
            edges: effects.edges,
            stamp_next: decision.stamp_next,
        };
        self.commit_chunk(batch, writer, decided)?;
        lane.last.applied(&task);
        writer.mark(effects.marks);
        Ok(Step::Applied(count))
    }

    pub(crate) fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step> {
        let Ok(state) = self.state_of(&lane.source) else {
            return Ok(Step::Lost);
        };
        let Some(mut writer) = self.writer_of_lane(&state, lane)? else {
            return Ok(Step::Lost);
        };
        if !writer.marks.is_empty() {
            return Ok(Step::Applied(0));
        }
        let Some(sequence) = writer.queue.front().copied() else {
            return Ok(Step::Idle);
        };
        let place = state.lane_task(sequence);
        let latest = self.db.snapshot();
        let task = self.task_row(&latest, &place)?;
        // Where the task that it was tried of was cancelled meanwhile, what comes now is another.
        let is_another = { writer.trying.take() }.is_some_and(|tried| tried != (sequence, task.cursor));
        if task.purge.is_some() || is_another {
            return Ok(Step::Applied(0));
        }
        self.fail_next(&mut writer, lane, &place, task, error, now)
    }

    /// The next operation of a task fails with this.
    fn fail_next(
        &self,
        writer: &mut Writer,
        lane: &Lane,
        place: &TaskPlace,
        mut task: TaskProgress,
        error: ErrorObject,
        now: Timestamp,
    ) -> Result<Step> {
        let spec = self.spec(&self.db.snapshot(), place)?;
        let mut batch = self.db.batch();
        self.write_receipts(&mut batch, place, task.cursor, &[Verdict::Failure(error)], now);
        task.advance(1, 1, now);
        let failed = Decided {
            place,
            task: &task,
            spec: &spec,
            heads: Run::default(),
            counts: Recounted::default(),
            edges: Run::default(),
            stamp_next: writer.lane.stamp_next,
        };
        self.commit_chunk(batch, writer, failed)?;
        lane.last.applied(&task);
        Ok(Step::Applied(1))
    }

    /// The writer of a lane; `None` where it is lost.
    fn writer_of_lane<'a>(
        &self,
        state: &'a SourceState,
        lane: &Lane,
    ) -> Result<Option<MutexGuard<'a, Writer>>> {
        let writer = match self.writer_of(state) {
            // It went while this waited for its lock.
            Err(StoreError::Refused(_)) => return Ok(None),
            writer => writer?,
        };
        Ok(self.holds(lane).then_some(writer))
    }

    /// Commits a chunk of the task at the head of a lane, with how far that is now.
    fn commit_chunk(
        &self,
        mut batch: OwnedWriteBatch,
        writer: &mut Writer,
        chunk: Decided<'_>,
    ) -> Result<()> {
        let place = chunk.place;
        self.write_counts(&mut batch, place.source, &chunk.counts);
        batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(chunk.task));
        let ended = chunk.task.ended();
        let all = [(Of::Heads, &chunk.heads), (Of::Edges, &chunk.edges)];
        // A lane has one redo file at a time: what else there is goes by the batch.
        let run = all
            .into_iter()
            .find(|(_, run)| run.count() >= self.runs.heads_min);
        let mut row = LaneRow {
            stamp_next: chunk.stamp_next,
            redo: run.map(|(_, run)| run.checksum()),
            ..writer.lane.clone()
        };
        if ended {
            row.lane_head = writer.queue.get(1).copied().unwrap_or(row.lane_next);
        }
        batch.insert(
            &self.keyspaces.lanes,
            place.source.to_be_bytes(),
            rows::encode(&row),
        );
        for (of, other) in all {
            if run.is_none_or(|(of_run, _)| of_run != of) {
                other.append_to(&mut batch, &self.keyspaces, of)?;
            }
        }
        match run {
            Some((of, run)) => self.commit_run(batch, place.source, of, run)?,
            None => self.commit(batch)?,
        }

        // The next batch of the lane takes the name of the run away.
        writer.lane = LaneRow { redo: None, ..row };
        writer.counts.take(chunk.counts);
        self.sync.committed();
        self.got_on(place.source);
        if ended {
            writer.queue.pop_front();
            self.spooled
                .fetch_sub(chunk.spec.bytes, std::sync::atomic::Ordering::Relaxed);
            self.sync.hasten();
        }
        Ok(())
    }

    /// The rows of a new task.
    pub(crate) fn write_task(
        &self,
        batch: &mut OwnedWriteBatch,
        place: &TaskPlace,
        task: &TaskProgress,
        spec: &SpecRow,
        operations: Option<&InlineRow>,
    ) {
        let id = keys::task_id(place.source, granary_core::ksuid::Ksuid::from_bytes(task.ksuid));
        batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(task));
        batch.insert(&self.keyspaces.task_ids, id, place.key());
        batch.insert(&self.keyspaces.spool, place.part(SPEC_PART), rows::encode(spec));
        if let Some(operations) = operations {
            batch.insert(
                &self.keyspaces.spool,
                place.part(INLINE_PART),
                rows::encode(operations),
            );
        }
    }

    /// Says of a new task that it is a retry, where it is one.
    pub(crate) fn write_lineage(
        &self,
        batch: &mut OwnedWriteBatch,
        place: &TaskPlace,
        retry_of: Option<TaskId>,
    ) {
        if let Some(retry_of) = retry_of {
            let row = rows::encode(&LineageRow { retry_of });
            batch.insert(&self.keyspaces.spool, place.part(LINEAGE_PART), row);
        }
    }

    /// The operations of a task from its cursor on, within the budget.
    fn next_operations(
        &self,
        latest: &fjall::Snapshot,
        place: &TaskPlace,
        task: &TaskProgress,
        spec: &SpecRow,
        budget: Budget,
    ) -> Result<Chunk> {
        let most = budget.operations.max(1) as u64;
        let segments = match &spec.spool {
            Spool::Inline => return self.next_inline(latest, place, task.cursor as usize, budget),
            Spool::Segments(segments) => segments,
        };
        let (mut operations, mut places) = (Vec::new(), Vec::new());
        let at = segments.partition_point(|(_, first)| *first <= task.cursor) - 1;
        let (number, first) = segments[at];
        let segment = self.segment(number)?;
        let mut next = task.cursor - first;
        let count = segment.count()?;
        let mut meta_bytes = 0;
        // Bodies stay where they are; meta is read, and may be large.
        while next < count && (operations.len() as u64) < most && meta_bytes < budget.bytes {
            let rows = segment.operations(next / OPERATIONS_PER_BLOCK)?;
            let room = (most - operations.len() as u64) as usize;
            for row in rows
                .into_iter()
                .skip((next % OPERATIONS_PER_BLOCK) as usize)
                .take(room)
            {
                let mut operation = row.operation;
                operation.meta = self.meta_at(row.meta)?;
                meta_bytes += operation.meta.as_ref().map_or(0, |meta| meta.bytes() as u64);
                operations.push(operation);
                places.push(row.place);
                next += 1;
                if meta_bytes >= budget.bytes {
                    break;
                }
            }
        }
        Ok(Chunk::Placed(operations, places))
    }

    fn next_inline(
        &self,
        latest: &fjall::Snapshot,
        place: &TaskPlace,
        cursor: usize,
        budget: Budget,
    ) -> Result<Chunk> {
        let InlineRow {
            operations,
            body_ends,
            bodies,
        } = self.inline(latest, place)?;
        let whole = CheckedBatch {
            operations,
            bodies,
            body_ends,
        };
        let fits = whole.operations.len() <= budget.operations && whole.bodies.len() as u64 <= budget.bytes;
        Ok(Chunk::Held(match cursor == 0 && fits {
            true => whole,
            false => whole.chunk(cursor, budget),
        }))
    }

    /// Reads what a plan asks for.
    pub(crate) fn current<'p, 'a>(
        &self,
        ground: &Ground<'_>,
        plan: &'p Plan<'a>,
    ) -> Result<(Current, Read<'p, 'a>)> {
        let records = plan.records();
        let keys = RecordKeys::of(ground.source, records);
        let (mut stored, mut heads) = (vec![None; records.len()], vec![None; records.len()]);
        // In the order of the keys, so that neighbours share a block.
        for record in keys.in_order() {
            let keyspace = self.keyspace_of(&records[record]);
            let Some(row) = keyspace.get(keys.get(record)).map_err(engine)? else {
                continue;
            };
            let row = rows::decode::<HeadRow>(&row, "heads")?;
            stored[record] = Some(row);
            if !ground.hides(&records[record], row.stamp) {
                heads[record] = Some(row.head());
            }
        }
        let neighbours = self.neighbours(ground, plan)?;
        let read = Read { plan, keys, stored };
        Ok((Current { heads, neighbours }, read))
    }

    /// False where marks hide the edge at a bounded end.
    pub(crate) fn is_shown(
        &self,
        ground: &Ground<'_>,
        end: &BoundedEnd<'_>,
        other: &ResourceId,
    ) -> Result<bool> {
        let (from, to) = match end.direction {
            Direction::From => (end.id, other),
            Direction::To => (other, end.id),
        };
        let key = RecordKey::Relationship {
            number: end.number,
            from,
            to,
        };
        let row = self
            .keyspaces
            .edges
            .get(keys::record(ground.source, &key))
            .map_err(engine)?;
        let row: Option<HeadRow> = row.map(|row| rows::decode(&row, "edges")).transpose()?;
        Ok(row.is_some_and(|row| !ground.hides(&key, row.stamp)))
    }

    fn keyspace_of(&self, key: &RecordKey<'_>) -> &Keyspace {
        match key {
            RecordKey::Resource { .. } => &self.keyspaces.heads,
            RecordKey::Relationship { .. } => &self.keyspaces.edges,
        }
    }

    pub(crate) fn write_receipts(
        &self,
        batch: &mut OwnedWriteBatch,
        place: &TaskPlace,
        first: u64,
        verdicts: &[Verdict],
        now: Timestamp,
    ) {
        for (first, verdicts) in (first..)
            .step_by(RECEIPTS_PER_ROW)
            .zip(verdicts.chunks(RECEIPTS_PER_ROW))
        {
            let chunk = ReceiptsChunk::of(verdicts, now);
            batch.insert(&self.keyspaces.receipts, place.part(first), chunk.compressed());
        }
    }
}

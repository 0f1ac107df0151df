//! A round: the live bodies of some segments of a source are moved to new ones, and the old files go.
//!
//! 1. a walk over the heads of the source finds those that point into the victims;
//! 2. their bodies are copied to a new segment, which is synced, file and folder, and named by a row;
//! 3. heads are pointed to it in small batches, each with the lane held. One that does not point any more where the walk
//!    saw it was written since, and is left as it is. Each batch also takes the name of a run away from the row of the
//!    lane, so that no redo file puts back heads that point into a victim;
//! 4. once the walk is over the rows of the victims say that their bodies are gone, and all is synced;
//! 5. when nobody reads by an older snapshot any more their files are removed.
//!
//! Whatever ends it, both segments hold what the heads point to: what was not moved is where it was, and what was copied
//! for nothing is dead in the new segment, as counted.

use std::collections::BTreeSet;

use granary_store::{Result, StoreError};

use super::choose::Chosen;
use super::window::{Found, Walk, Window, place_of};
use super::{CollectStep, Pace};
use crate::bodies::{MovedSegment, MovedWriter};
use crate::catalog::{SourceState, Writer};
use crate::counts::{Deltas, Recounted};
use crate::format::sync_folder;
use crate::rows::{self, HeadBytes, HeadRow, SegmentRow};
use crate::segment::{SegmentPaths, body_at};
use crate::sync::Commit;
use crate::{Inner, engine, io, lock};

impl Inner {
    /// Moves what is alive in the victims and removes their files. Those that cannot be read stay.
    pub(super) fn round(&self, chosen: &Chosen, pace: &mut Pace<'_>) -> Result<()> {
        match self.move_all(chosen, pace) {
            // Its source was deleted meanwhile: all that it holds goes, what was moved as well.
            Err(_) if self.state_of(&chosen.state.source).is_err() => Ok(()),
            done => done,
        }
    }

    fn move_all(&self, chosen: &Chosen, pace: &mut Pace<'_>) -> Result<()> {
        let options = &self.collection.options;
        let state = &chosen.state;
        let mut victims = chosen.victims.clone();
        let mut walk = Walk::of(state.source.number);
        let (mut heads_moved, mut rewritten) = (0, 0);
        loop {
            let mut window = walk.next(self, &victims, options.window_heads_max.max(1), pace)?;
            if window.heads.is_empty() {
                break;
            }
            options.at(CollectStep::Found);
            let segments = self.copy(state, &mut window, &mut victims, pace)?;
            rewritten += segments.iter().map(|segment| segment.count.bytes).sum::<u64>();
            self.name(state, segments)?;
            heads_moved += self.point(state, &mut window, pace)?;
        }
        let freed = self.retire(state, &victims)?;
        let mut figures = lock(&self.collection.figures);
        figures.rounds += 1;
        figures.bytes_rewritten += rewritten;
        figures.bytes_freed += freed;
        tracing::info!(
            source = state.source.number,
            segments = victims.len(),
            heads = heads_moved,
            bytes_rewritten = rewritten,
            bytes_freed = freed,
            bytes_total = figures.bytes_total,
            bytes_live = figures.bytes_live,
            oldest_dead_at = figures.oldest_dead_at.map(|at| at.to_string()),
            "collected segments"
        );
        Ok(())
    }

    /// Copies the bodies of a window to new segments, which are synced. A victim with a body that cannot be read is
    /// one no longer.
    fn copy(
        &self,
        state: &SourceState,
        window: &mut Window,
        victims: &mut BTreeSet<u32>,
        pace: &mut Pace<'_>,
    ) -> Result<Vec<MovedSegment>> {
        window.sort_by_place();
        let (mut open, mut finished): (Option<MovedWriter>, Vec<MovedSegment>) = (None, Vec::new());
        let same_block = |one: &Found, other: &Found| {
            let ((segment, block, _), (other, other_block, _)) = (place_of(one.from), place_of(other.from));
            (segment, block) == (other, other_block)
        };
        for heads in window.heads.chunk_by_mut(same_block) {
            pace.go_on()?;
            let (segment, block, _) = place_of(heads[0].from);
            if !victims.contains(&segment) {
                continue;
            }
            let bytes = match self.segment(segment)?.bodies(block) {
                Ok(bytes) => bytes,
                Err(StoreError::Damaged(what)) => {
                    self.leave_alone(state, segment, &what, victims)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for head in heads {
                let Some(body) = body_at(&bytes, place_of(head.from).2) else {
                    let what = format!("segment {segment}: a body in the block at {block}");
                    self.leave_alone(state, segment, &what, victims)?;
                    break;
                };
                if let Some(full) = open.take_if(|open| open.is_full()) {
                    finished.push(full.finish().map_err(io)?);
                }
                let writer = match &mut open {
                    Some(open) => open,
                    none => none.insert(self.new_segment()?),
                };
                head.to = Some(writer.push(body).map_err(io)?);
            }
        }
        self.collection.options.at(CollectStep::Copied);
        if let Some(last) = open {
            finished.push(last.finish().map_err(io)?);
        }
        sync_folder(&self.folder.segments).map_err(io)?;
        self.collection.options.at(CollectStep::Synced);
        Ok(finished)
    }

    fn new_segment(&self) -> Result<MovedWriter> {
        let number = self.new_segment_number()?;
        MovedWriter::create(&self.folder.segments, number).map_err(io)
    }

    /// Leaves a segment as it is: what can be read of it is read where it is.
    fn leave_alone(
        &self,
        state: &SourceState,
        segment: u32,
        what: &str,
        victims: &mut BTreeSet<u32>,
    ) -> Result<()> {
        // A source that was deleted takes its segments with it, which is no damage.
        self.state_of(&state.source)?;
        tracing::error!(
            segment,
            what,
            "a segment is damaged and is not collected; restore it from a backup"
        );
        victims.remove(&segment);
        lock(&self.collection.damaged).insert(segment);
        Ok(())
    }

    /// Has rows name the new segments, of which nothing is alive yet.
    fn name(&self, state: &SourceState, mut segments: Vec<MovedSegment>) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer_of(state)?;
        let (mut batch, mut counts) = (self.db.batch(), Recounted::default());
        for moved in &mut segments {
            let row = SegmentRow {
                operations_bytes: 0,
                bodies_bytes: moved.count.bytes,
            };
            let key = moved.segment.to_be_bytes();
            batch.insert(&self.keyspaces.segments, key, rows::encode(&row));
            counts.insert(moved.segment, moved.count.clone());
            // From here on the file may be named by the journal.
            moved.files.keep();
        }
        self.write_counts(&mut batch, state.source.number, &counts);
        self.commit_of_lane(batch, state, &mut writer, counts)?;
        drop(writer);
        self.collection.options.at(CollectStep::Named);
        Ok(())
    }

    /// Commits a batch of a round with the lane held. No run that went before is put in again over it.
    fn commit_of_lane(
        &self,
        mut batch: fjall::OwnedWriteBatch,
        state: &SourceState,
        writer: &mut Writer,
        counts: Recounted,
    ) -> Result<Commit> {
        // In memory its name is gone once the run is in.
        let lane = rows::encode(&writer.lane);
        batch.insert(&self.keyspaces.lanes, state.source.number.to_be_bytes(), lane);
        self.commit(batch)?;
        writer.counts.take(counts);
        Ok(self.sync.committed())
    }

    /// Points the heads of a window to where their bodies are now, those that still point where the walk saw them: how
    /// many.
    fn point(&self, state: &SourceState, window: &mut Window, pace: &mut Pace<'_>) -> Result<u64> {
        window.heads.retain(|head| head.to.is_some());
        window.sort_by_key();
        let mut pointed = 0;
        for heads in window
            .heads
            .chunks(self.collection.options.batch_heads_max.max(1))
        {
            let mut writer = self.writer_of(state)?;
            let (mut batch, mut counts) = (self.db.batch(), Deltas::default());
            for head in heads {
                let (keyspace, key) = window.key(head);
                let (Some(keyspace), Some(to)) = (self.pointing(keyspace), head.to) else {
                    continue;
                };
                let Some(row) = keyspace.get(key).map_err(engine)? else {
                    continue;
                };
                let mut row: HeadRow = rows::decode(&row, "heads")?;
                if row.place != head.from {
                    continue;
                }
                row.place = to;
                batch.insert(keyspace, key, &*HeadBytes::of(&row));
                counts.pointed_to(head.from);
                counts.points_to(to);
                pointed += 1;
            }
            let counts = writer.counts.after(&counts, self.collection.options.now());
            self.write_counts(&mut batch, state.source.number, &counts);
            self.commit_of_lane(batch, state, &mut writer, counts)?;
            drop(writer);
            self.collection.options.at(CollectStep::Pointed);
            pace.go_on()?;
        }
        Ok(pointed)
    }

    /// Removes the bodies of victims that nothing points to any more: how many bytes.
    fn retire(&self, state: &SourceState, victims: &BTreeSet<u32>) -> Result<u64> {
        let mut writer = self.writer_of(state)?;
        let (mut batch, mut counts) = (self.db.batch(), Recounted::default());
        let mut freed = 0;
        for segment in victims {
            let key = segment.to_be_bytes();
            let Some(row) = self.keyspaces.segments.get(key).map_err(engine)? else {
                return Err(StoreError::Damaged(format!("segment {segment} has no row")));
            };
            let row: SegmentRow = rows::decode(&row, "segments")?;
            freed += row.bodies_bytes;
            match row.operations_bytes {
                0 => batch.remove(&self.keyspaces.segments, key),
                operations_bytes => {
                    let row = SegmentRow {
                        operations_bytes,
                        bodies_bytes: 0,
                    };
                    batch.insert(&self.keyspaces.segments, key, rows::encode(&row));
                }
            }
            counts.remove(*segment);
        }
        self.write_counts(&mut batch, state.source.number, &counts);
        let commit = self.commit_of_lane(batch, state, &mut writer, counts)?;
        drop(writer);
        self.collection.options.at(CollectStep::Retired);
        self.sync.wait(commit)?;
        self.collection.options.at(CollectStep::Durable);
        let stopping = || self.collection.stopping();
        if !self.sync.wait_for_older_reads(stopping) {
            return Err(StoreError::Unavailable(
                "the store is closing; the next start removes what was collected".into(),
            ));
        }
        self.collection.options.at(CollectStep::Unread);
        for segment in victims {
            self.remove_bodies(*segment);
            self.collection.options.at(CollectStep::Removed);
        }
        Ok(freed)
    }

    /// Removes the bodies of a segment that no row names any more. What fails is left to the next start.
    fn remove_bodies(&self, segment: u32) {
        // Held, so that nobody opens the file and keeps it.
        let mut open = self
            .segments
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        open.remove(&segment);
        let path = SegmentPaths::new(&self.folder.segments, segment).bodies;
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(segment, %error, "could not remove bodies that were moved; the next start does");
        }
    }
}

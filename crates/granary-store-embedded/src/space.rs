//! The space of sources that were deleted. Deleting a source takes it out of the catalog and leaves a row that says that
//! its number is dead; its rows and segments go afterwards, in batches of some rows, and the row of the number with the
//! last of them. So it goes on over restarts.

use std::collections::VecDeque;

use fjall::Keyspace;
use granary_store::{Result, StoreError};

use crate::catalog::{DEAD_KIND, dead_key, definitions_of};
use crate::keys;
use crate::rows::{self, SpecRow, Spool};
use crate::segment::SegmentPaths;
use crate::{Inner, Keyspaces, engine, io, lock};

/// A deleted source, and how far the removal of what it held is. The latter is in memory alone.
pub(crate) struct DeadSource {
    number: u32,
    /// Which of the keyspaces is next,
    keyspace: usize,
    /// and the last key of it that was removed: what was removed is not walked over again.
    after: Vec<u8>,
}

impl DeadSource {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            keyspace: 0,
            after: Vec::new(),
        }
    }
}

/// The sources whose space is not free yet.
pub(crate) fn dead_sources(keyspaces: &Keyspaces) -> Result<VecDeque<DeadSource>> {
    let number = |row: fjall::Guard| {
        let key = row.key().map_err(engine)?;
        let number = key
            .get(1..)
            .and_then(|number| Some(u32::from_be_bytes(*number.first_chunk()?)));
        let number = number.ok_or_else(|| StoreError::Damaged("a key of catalog".into()))?;
        Ok(DeadSource::new(number))
    };
    keyspaces.catalog.prefix([DEAD_KIND]).map(number).collect()
}

impl Inner {
    /// Removes at most so many rows of deleted sources; false where nothing is left of any.
    pub(crate) fn free_space(&self, rows_max: usize) -> Result<bool> {
        // One at a time, so that the row of a number goes after all others.
        let mut dead = lock(&self.dead);
        let Some(source) = dead.front_mut() else {
            return Ok(false);
        };
        self.check_open()?;
        let mut batch = self.db.batch();
        let (mut removed, mut unlinked) = (0, Vec::new());
        let (mut place, mut after) = (source.keyspace, source.after.clone());
        let keyspaces = self.keyspaces.of_sources();
        while let Some(keyspace) = keyspaces.get(place) {
            let prefix = match place {
                0 => definitions_of(source.number),
                _ => source.number.to_be_bytes().to_vec(),
            };
            let start = if after.is_empty() {
                prefix.clone()
            } else {
                keys::after(after.clone())
            };
            let mut is_through = true;
            for row in keyspace.range(start..) {
                let (key, value) = row.into_inner().map_err(engine)?;
                if !key.starts_with(&prefix) {
                    break;
                }
                if removed >= rows_max.max(1) {
                    is_through = false;
                    break;
                }
                // The spool names the segments, so what it says goes with them.
                if place == SPOOL
                    && keys::last_number(&key) == Some(0)
                    && let Spool::Segments(segments) = rows::decode::<SpecRow>(&value, "spool")?.spool
                {
                    unlinked.extend(segments.into_iter().map(|(segment, _)| segment));
                }
                // Those that bodies were moved to are named by their counts alone.
                if place == COUNTS {
                    unlinked.extend(keys::counted_segment(&key));
                }
                after = key.to_vec();
                batch.remove(keyspace, key);
                removed += 1;
            }
            if !is_through {
                break;
            }
            (place, after) = (place + 1, Vec::new());
        }
        let is_last = place == keyspaces.len();
        if is_last {
            batch.remove(&self.keyspaces.catalog, dead_key(source.number));
        }
        unlinked.sort_unstable();
        unlinked.dedup();
        for segment in &unlinked {
            batch.remove(&self.keyspaces.segments, segment.to_be_bytes());
        }
        self.commit(batch)?;
        let commit = self.sync.committed();
        (source.keyspace, source.after) = (place, after);
        if is_last {
            dead.pop_front();
        }
        let more = !dead.is_empty();
        if !unlinked.is_empty() {
            // A start removes the files that no row names, so they may go once the rows are gone for good.
            self.sync.wait(commit)?;
        }
        for segment in unlinked {
            self.segments
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .remove(&segment);
            SegmentPaths::new(&self.folder.segments, segment)
                .remove()
                .map_err(io)?;
        }
        Ok(more)
    }
}

/// The place of `spool` in [`Keyspaces::of_sources`].
const SPOOL: usize = 1;
/// That of `counts`.
const COUNTS: usize = 2;

impl Keyspaces {
    /// What a source has rows in: those of `catalog` are its definitions, all others start with its number.
    fn of_sources(&self) -> [&Keyspace; 17] {
        [
            &self.catalog,
            &self.spool,
            &self.counts,
            &self.heads,
            &self.bodies,
            &self.meta,
            &self.identifiers,
            &self.edges,
            &self.edges_in,
            &self.marks,
            &self.tasks,
            &self.task_ids,
            &self.receipts,
            &self.answers,
            &self.removed,
            &self.lanes,
            &self.trials,
        ]
    }
}

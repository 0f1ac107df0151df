//! The space of sources that were deleted. Deleting a source takes it out of the catalog and leaves a row that says that
//! its number is dead; its rows and segments go afterwards, in batches of some rows, and the row of the number with the
//! last of them. So it goes on over restarts.

use std::collections::VecDeque;

use fjall::Keyspace;
use granary_store::Result;

use crate::catalog::{DEAD_KIND, dead_key, definitions_of};
use crate::keys::last_number;
use crate::rows::{self, SpecRow, Spool};
use crate::segment::SegmentPaths;
use crate::{Inner, Keyspaces, engine, io, lock};

/// The numbers of sources whose space is not free yet.
pub(crate) fn dead_sources(keyspaces: &Keyspaces) -> Result<VecDeque<u32>> {
    let number = |row: fjall::Guard| {
        let key = row.key().map_err(engine)?;
        let number = key
            .get(1..)
            .and_then(|number| Some(u32::from_be_bytes(*number.first_chunk()?)));
        number.ok_or_else(|| granary_store::StoreError::Damaged("a key of catalog".into()))
    };
    keyspaces.catalog.prefix([DEAD_KIND]).map(number).collect()
}

impl Inner {
    /// Removes at most so many rows of deleted sources; false where nothing is left of any.
    pub(crate) fn free_space(&self, rows_max: usize) -> Result<bool> {
        // One at a time, so that the row of a number goes after all others.
        let mut dead = lock(&self.dead);
        let Some(source) = dead.front().copied() else {
            return Ok(false);
        };
        self.check_open()?;
        let prefix = source.to_be_bytes();
        let mut batch = self.db.batch();
        let mut removed = 0;
        let mut unlinked = Vec::new();
        // The spool names the segments, so what it says goes with them.
        for row in self.keyspaces.spool.prefix(prefix) {
            if removed >= rows_max {
                break;
            }
            let (key, value) = row.into_inner().map_err(engine)?;
            if last_number(&key) == Some(0)
                && let Spool::Segments(segments) = rows::decode::<SpecRow>(&value, "spool")?.spool
            {
                for (segment, _) in segments {
                    batch.remove(&self.keyspaces.segments, segment.to_be_bytes());
                    unlinked.push(segment);
                    removed += 1;
                }
            }
            batch.remove(&self.keyspaces.spool, key);
            removed += 1;
        }
        let mut remove = |keyspace: &Keyspace, prefix: &[u8]| -> Result<()> {
            for row in keyspace.prefix(prefix) {
                if removed >= rows_max {
                    break;
                }
                batch.remove(keyspace, row.key().map_err(engine)?);
                removed += 1;
            }
            Ok(())
        };
        for keyspace in self.keyspaces.of_sources() {
            remove(keyspace, &prefix)?;
        }
        remove(&self.keyspaces.catalog, &definitions_of(source))?;
        let is_last = removed < rows_max;
        if is_last {
            batch.remove(&self.keyspaces.catalog, dead_key(source));
        }
        self.commit(batch)?;
        let commit = self.sync.committed();
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

impl Keyspaces {
    /// Those whose keys start with the number of a source, but for `spool`.
    fn of_sources(&self) -> [&Keyspace; 11] {
        [
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
            &self.lanes,
        ]
    }
}

//! Counts: how many bodies of each segment a head still points to. They are written in the batch of the heads that
//! change them, one row for each segment that a chunk touches, and held in memory beside the writes of their source.
//!
//! They choose which segments are worth collecting and are never a reason to remove one. A body counts as one, whatever
//! its length: a head does not know that. What a segment's live bodies take is therefore an estimate.

use std::collections::BTreeMap;

use fjall::OwnedWriteBatch;
use granary_core::time::Timestamp;
use granary_store::{Result, StoreError};

use crate::rows::{self, CountRow, Place};
use crate::{Inner, Keyspaces, engine, keys};

/// What a batch changes of the counts.
#[derive(Debug, Default)]
pub(crate) struct Deltas(BTreeMap<u32, i64>);

impl Deltas {
    /// A head points here from now on.
    pub(crate) fn points_to(&mut self, place: Place) {
        self.add(place, 1);
    }

    /// A head pointed here, and does not any more.
    pub(crate) fn pointed_to(&mut self, place: Place) {
        self.add(place, -1);
    }

    fn add(&mut self, place: Place, delta: i64) {
        if let Place::Segment { segment, .. } = place {
            *self.0.entry(segment).or_default() += delta;
        }
    }
}

/// The counts of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    rows: BTreeMap<u32, CountRow>,
    /// From when on the segments of ended tasks may be collected, in milliseconds. Found out when it is first asked.
    free_from: BTreeMap<u32, i64>,
}

/// Rows that a batch writes; `None` where it removes one.
#[derive(Debug, Default)]
pub(crate) struct Recounted(Vec<(u32, Option<CountRow>)>);

impl Recounted {
    pub(crate) fn insert(&mut self, segment: u32, row: CountRow) {
        self.0.push((segment, Some(row)));
    }

    pub(crate) fn remove(&mut self, segment: u32) {
        self.0.push((segment, None));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Counts {
    pub(crate) fn load(keyspaces: &Keyspaces, source: u32) -> Result<Self> {
        let mut counts = Self::default();
        for row in keyspaces.counts.prefix(source.to_be_bytes()) {
            let (key, value) = row.into_inner().map_err(engine)?;
            let segment = keys::counted_segment(&key);
            let segment = segment.ok_or_else(|| StoreError::Damaged("a key of counts".into()))?;
            counts.rows.insert(segment, rows::decode(&value, "counts")?);
        }
        Ok(counts)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &CountRow)> {
        self.rows.iter().map(|(segment, row)| (*segment, row))
    }

    /// The rows as they are after a batch at `now`. Segments without a row, of a folder of an earlier version, are not
    /// counted.
    pub(crate) fn after(&self, deltas: &Deltas, now: Timestamp) -> Recounted {
        let mut recounted = Recounted::default();
        for (segment, delta) in &deltas.0 {
            let Some(row) = self.rows.get(segment).filter(|_| *delta != 0) else {
                continue;
            };
            let mut row = row.clone();
            row.live = row.live.saturating_add_signed(*delta);
            if *delta < 0 {
                row.dead_since.get_or_insert(now.millis());
            }
            recounted.insert(*segment, row);
        }
        recounted
    }

    /// Takes over what was committed.
    pub(crate) fn take(&mut self, recounted: Recounted) {
        for (segment, row) in recounted.0 {
            match row {
                Some(row) => _ = self.rows.insert(segment, row),
                None => {
                    self.rows.remove(&segment);
                    self.free_from.remove(&segment);
                }
            }
        }
    }

    pub(crate) fn free_from(&self, segment: u32) -> Option<i64> {
        self.free_from.get(&segment).copied()
    }

    pub(crate) fn set_free_from(&mut self, segment: u32, at: i64) {
        self.free_from.insert(segment, at);
    }
}

impl Inner {
    pub(crate) fn write_counts(&self, batch: &mut OwnedWriteBatch, source: u32, recounted: &Recounted) {
        for (segment, row) in &recounted.0 {
            let key = keys::count(source, *segment);
            match row {
                Some(row) => batch.insert(&self.keyspaces.counts, key, rows::encode(row)),
                None => batch.remove(&self.keyspaces.counts, key),
            }
        }
    }
}

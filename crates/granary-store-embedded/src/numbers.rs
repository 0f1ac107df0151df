//! Numbers of segments. None is given twice, also not once its segment is gone: a file of a copy of the folder then holds
//! what the file of that name holds here, or there is none.

use std::sync::Mutex;

use granary_store::{Result, StoreError};

use crate::{Inner, Keyspaces, engine, lock, rows};

/// The row in `catalog` that says which numbers were not given for certain.
const NUMBERS_KEY: [u8; 1] = [4];
/// Numbers that are set aside with one row. Those that are left when the store ends are never used.
const SET_ASIDE: u32 = 256;

/// Which numbers are still to be given.
pub(crate) struct Numbers(Mutex<Left>);

struct Left {
    next: u32,
    /// The first that is not set aside.
    end: u32,
}

impl Numbers {
    /// Goes on after all numbers that are in use, and all that were set aside before.
    pub(crate) fn load(keyspaces: &Keyspaces, after_all: u32) -> Result<Self> {
        let row = keyspaces.catalog.get(NUMBERS_KEY).map_err(engine)?;
        let end: Option<u32> = row.map(|row| rows::decode(&row, "catalog")).transpose()?;
        let next = after_all.max(end.unwrap_or_default());
        Ok(Self(Mutex::new(Left { next, end: next })))
    }
}

impl Inner {
    /// A number for a new segment.
    pub(crate) fn new_segment_number(&self) -> Result<u32> {
        let mut left = lock(&self.numbers.0);
        if left.next == left.end {
            self.check_open()?;
            let end = left.end.checked_add(SET_ASIDE);
            let end = end.ok_or_else(|| StoreError::Unavailable("no number is left for a segment".into()))?;
            // What names a segment is committed later, so it is not durable before this is.
            let mut batch = self.db.batch();
            batch.insert(&self.keyspaces.catalog, NUMBERS_KEY, rows::encode(&end));
            self.commit(batch)?;
            self.sync.committed();
            left.end = end;
        }
        left.next += 1;
        Ok(left.next - 1)
    }

    /// A number that is larger than those of all segments.
    pub(crate) fn after_all_segments(&self) -> u32 {
        lock(&self.numbers.0).next
    }
}

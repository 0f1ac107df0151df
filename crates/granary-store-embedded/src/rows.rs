//! What stands in the keyspaces: one struct a kind of row, written with postcard, each its own and apart from the
//! types of the domain, so that those can change while what is stored stays. Their shape is part of the format version
//! (`format.rs`). Rows that all stores write alike, `TaskProgress` of a task and `ReceiptsChunk`, are with the trait.

use granary_core::decide::Head;
use granary_core::keys::{Key, ResourceId};
use granary_core::meta::Triple;
use granary_core::operation::{ContentHash, Operation, TypeRef};
use granary_core::schema::{DefinitionKind, StoredDefinition};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{Result, Source, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The bytes of a row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("a row holds only what postcard can write")
}

/// Appends the bytes of a row.
pub(crate) fn encode_to<T: Serialize>(row: &T, bytes: &mut Vec<u8>) {
    *bytes =
        postcard::to_extend(row, std::mem::take(bytes)).expect("a row holds only what postcard can write");
}

/// The row in these bytes, which stand in `place`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged(format!("a row of {place}: {error}")))
}

/// The one row of the store itself.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoreRow {
    pub(crate) hash_key: [u8; 16],
    pub(crate) next_source: u32,
}

/// What a commit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberRow {
    /// How many commits there have been, with this.
    pub(crate) number: u64,
    /// Its sequence number in the journal is not below this.
    pub(crate) not_before: u64,
}

impl NumberRow {
    /// The key of the row, which is the last of each batch. It is told apart from those of other keyspaces in the journal.
    pub(crate) const KEY: &[u8] = b"number of the commit";

    pub(crate) fn value(self) -> [u8; 16] {
        let mut value = [0; 16];
        let (number, not_before) = value.split_at_mut(8);
        number.copy_from_slice(&self.number.to_be_bytes());
        not_before.copy_from_slice(&self.not_before.to_be_bytes());
        value
    }

    pub(crate) fn of_value(value: &[u8]) -> Option<Self> {
        let (number, not_before) = value.split_first_chunk::<8>()?;
        Some(Self {
            number: u64::from_be_bytes(*number),
            not_before: u64::from_be_bytes(not_before.try_into().ok()?),
        })
    }

    /// The row, where an item of a batch, its key and its value, is one.
    pub(crate) fn of_item(item: &[u8]) -> Option<Self> {
        Self::of_value(item.strip_prefix(Self::KEY)?)
    }
}

/// A source.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SourceRow {
    pub(crate) key: Key,
    pub(crate) created_at: i64,
    pub(crate) next_number: u32,
    pub(crate) definitions_revision: u64,
}

impl SourceRow {
    pub(crate) fn source(&self, number: u32) -> Source {
        Source {
            key: self.key.clone(),
            number,
            created_at: Timestamp::from_millis(self.created_at),
        }
    }
}

/// A definition.
#[derive(Serialize, Deserialize)]
pub(crate) struct DefinitionRow {
    kind: DefinitionKind,
    key: Key,
    number: u32,
    revision: u64,
    json: String,
    created_at: i64,
    updated_at: i64,
}

impl From<&StoredDefinition> for DefinitionRow {
    fn from(stored: &StoredDefinition) -> Self {
        Self {
            kind: stored.kind,
            key: stored.key.clone(),
            number: stored.number,
            revision: stored.revision,
            json: stored.json.to_string(),
            created_at: stored.created_at.millis(),
            updated_at: stored.updated_at.millis(),
        }
    }
}

impl From<DefinitionRow> for StoredDefinition {
    fn from(row: DefinitionRow) -> Self {
        Self {
            kind: row.kind,
            key: row.key,
            number: row.number,
            revision: row.revision,
            json: row.json.into(),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        }
    }
}

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// There is none.
    Nowhere,
    /// In `bodies`, under the key of the record.
    Bodies,
    /// In a segment.
    Segment {
        /// The number of the segment.
        segment: u32,
        /// Where its block starts in the file of bodies.
        block: u32,
        /// Where the body starts in the block.
        offset: u32,
    },
}

/// A record without its body, in `heads` or `edges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadRow {
    version: u32,
    pub(crate) stamp: u64,
    created_at: i64,
    /// Milliseconds after `created_at`.
    updated_after: i64,
    hash: [u8; 16],
    pub(crate) identifiers: Option<[u8; 16]>,
    pub(crate) at_once: bool,
    pub(crate) place: Place,
}

/// A row of `heads` in its bytes, without an allocation.
pub(crate) struct HeadBytes {
    bytes: [u8; HeadRow::BYTES_MAX],
    length: usize,
}

impl HeadBytes {
    pub(crate) fn of(row: &HeadRow) -> Self {
        let mut bytes = [0; HeadRow::BYTES_MAX];
        let length = postcard::to_slice(row, &mut bytes)
            .expect("a row of heads is no longer than that")
            .len();
        Self { bytes, length }
    }
}

impl std::ops::Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl HeadRow {
    /// More than the numbers of a row take at their largest.
    const BYTES_MAX: usize = 128;

    pub(crate) fn new(head: &Head, place: Place) -> Self {
        let created_at = head.created_at.millis();
        Self {
            version: head.version,
            stamp: head.stamp,
            created_at,
            updated_after: head.updated_at.millis() - created_at,
            hash: head.hash.0,
            identifiers: head.identifiers.map(|hash| hash.0),
            at_once: head.at_once,
            place,
        }
    }

    pub(crate) fn head(&self) -> Head {
        // A damaged row may say anything.
        let updated_at = self.created_at.saturating_add(self.updated_after);
        Head {
            version: self.version,
            stamp: self.stamp,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(updated_at),
            hash: ContentHash(self.hash),
            identifiers: self.identifiers.map(ContentHash),
            at_once: self.at_once,
        }
    }
}

/// The identifiers of a record, in `meta`.
#[derive(Serialize, Deserialize)]
pub(crate) struct IdentifiersRow {
    pub(crate) json: Box<str>,
    pub(crate) triples: Vec<Triple>,
}

/// The mark of a deleted resource whose edges are still there, in `marks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkRow {
    /// Its edges with a smaller stamp exist for nobody.
    pub(crate) stamp: u64,
    /// The purge of the lane that counts them.
    pub(crate) purge: Option<u64>,
}

/// The writer's side of a source: what the next write of it counts on from.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LaneRow {
    pub(crate) stamp_next: u64,
    /// The sequence of the next task of the lane.
    pub(crate) lane_next: u64,
    /// The first task of the lane that has not ended; `lane_next` where all have.
    pub(crate) lane_head: u64,
    /// The sequence of the next task that is applied at once.
    pub(crate) at_once_next: u64,
    /// The checksum of the run that the batch that wrote this row put in; see `runs.rs`.
    pub(crate) redo: Option<u64>,
}

/// A task: the part that never changes, part 0 of its `spool`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SpecRow {
    pub(crate) types: Vec<TypeRef>,
    /// Which of the types its operations name.
    pub(crate) types_used: Vec<u32>,
    pub(crate) spool: Spool,
    /// Bytes that are spooled for it.
    pub(crate) bytes: u64,
}

/// Where the operations of a task are.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Spool {
    /// In part 1 of its `spool`, with their bodies.
    Inline,
    /// In segments: the number of each with its first operation.
    Segments(Vec<(u32, u64)>),
}

/// A spooled operation and where its body is. Its meta is apart from it, so that operations stay small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperationRow {
    pub(crate) operation: Operation,
    pub(crate) place: Place,
    /// Where its meta is, a body like others.
    pub(crate) meta: Place,
}

/// The operations of a small request with their bodies, part 1 of its `spool`.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct InlineRow {
    pub(crate) operations: Vec<Operation>,
    pub(crate) body_ends: Vec<usize>,
    pub(crate) bodies: Vec<u8>,
}

/// What a task is a retry of, part 2 of its `spool`; tasks that are none have no such part.
#[derive(Serialize, Deserialize)]
pub(crate) struct LineageRow {
    pub(crate) retry_of: TaskId,
}

/// A task of the lane that was removed, in `removed`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RemovedRow {
    pub(crate) id: TaskId,
    pub(crate) at: i64,
}

/// An answer, in `answers`.
#[derive(Serialize, Deserialize)]
pub(crate) struct AnswerRow {
    pub(crate) task_id: TaskId,
    pub(crate) fingerprint: [u8; 16],
    pub(crate) status: u16,
    pub(crate) part: Option<ResourceId>,
    pub(crate) at: i64,
}

/// Where a lane stood when the process started, or what it tries; in `trials`, by the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrialRow {
    /// The sequence of the task, and its cursor.
    pub(crate) at: (u64, u64),
    /// Starts that found the lane here.
    pub(crate) starts: u32,
    /// The operation is about to be tried alone.
    pub(crate) trying: bool,
    /// Processes that ended while they tried it.
    pub(crate) deaths: u32,
}

/// A segment that a task has been accepted with, or that bodies were moved to.
#[derive(Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    /// What its file of operations takes; 0 where there is none.
    pub(crate) operations_bytes: u64,
    /// The same of its bodies.
    pub(crate) bodies_bytes: u64,
}

/// What there is to count of a segment, in `counts`: source, segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountRow {
    /// The task of the lane that it was spooled for; `None` where bodies were moved to it.
    pub(crate) task: Option<u64>,
    /// What its file of bodies takes,
    pub(crate) bytes: u64,
    /// and the share of records in that.
    pub(crate) records_bytes: u64,
    /// Bodies of records in it.
    pub(crate) records: u64,
    /// It holds something beside them, which is dead once the task has ended.
    pub(crate) beside: bool,
    /// Heads that point into it.
    pub(crate) live: u64,
    /// Since when something of it is known to be dead, in milliseconds.
    pub(crate) dead_since: Option<i64>,
}

impl CountRow {
    /// What its live bodies take, about.
    pub(crate) fn live_bytes(&self) -> u64 {
        match self.records {
            0 => 0,
            records => {
                let share = self.live.min(records) as f64 / records as f64;
                (self.records_bytes as f64 * share) as u64
            }
        }
    }

    /// True where something of it is dead, once its task has ended.
    pub(crate) fn is_partly_dead(&self) -> bool {
        self.beside || self.live < self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_row_of_heads_fits_its_bytes() {
        let row = HeadRow {
            version: u32::MAX,
            stamp: u64::MAX,
            created_at: i64::MIN,
            updated_after: i64::MIN,
            hash: [0xff; 16],
            identifiers: Some([0xff; 16]),
            at_once: true,
            place: Place::Segment {
                segment: u32::MAX,
                block: u32::MAX,
                offset: u32::MAX,
            },
        };
        assert_eq!(*HeadBytes::of(&row), *encode(&row));
        assert_eq!(decode::<HeadRow>(&HeadBytes::of(&row), "heads").unwrap(), row);
        // The sum of its times is past what a number holds: the earliest moment there is.
        assert_eq!(row.head().updated_at, Timestamp::from_millis(i64::MIN));
    }
}

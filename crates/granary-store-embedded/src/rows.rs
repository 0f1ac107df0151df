//! What stands in the keyspaces: one struct a kind of row, written with postcard, each its own and apart from the
//! types of the domain, so that those can change while what is stored stays. Their shape is part of the format version
//! (`format.rs`).

use granary_core::decide::Head;
use granary_core::keys::Key;
use granary_core::ksuid::Ksuid;
use granary_core::operation::{ContentHash, Operation, TargetType, TypeRef};
use granary_core::schema::{DefinitionKind, StoredDefinition};
use granary_core::task::{Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use granary_store::{Result, Source, StoreError, StoredTask, counts_at};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The bytes of a row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_stdvec(row).expect("a row holds only what postcard can write")
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
    stamp: u64,
    created_at: i64,
    /// Milliseconds after `created_at`.
    updated_after: i64,
    hash: [u8; 16],
    identifiers: Option<[u8; 16]>,
    at_once: bool,
    pub(crate) place: Place,
}

impl HeadRow {
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
        Head {
            version: self.version,
            stamp: self.stamp,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.created_at + self.updated_after),
            hash: ContentHash(self.hash),
            identifiers: self.identifiers.map(ContentHash),
            at_once: self.at_once,
        }
    }
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
}

/// A task: the part that moves.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TaskRow {
    pub(crate) kind: TaskKind,
    pub(crate) ksuid: [u8; 20],
    pub(crate) target_type: Option<TargetType>,
    pub(crate) total: u64,
    pub(crate) cursor: u64,
    pub(crate) failures: u64,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
}

impl TaskRow {
    pub(crate) fn new(id: TaskId, target_type: Option<TargetType>, total: u64, now: Timestamp) -> Self {
        Self {
            kind: id.kind,
            ksuid: *id.ksuid.as_bytes(),
            target_type,
            total,
            cursor: 0,
            failures: 0,
            created_at: now.millis(),
            started_at: None,
            completed_at: None,
        }
    }

    /// Moves the cursor over operations that were decided at `now`.
    pub(crate) fn advance(&mut self, operations: u64, failures: u64, now: Timestamp) {
        self.cursor += operations;
        self.failures += failures;
        self.started_at.get_or_insert(now.millis());
        if self.cursor == self.total {
            self.completed_at = Some(now.millis());
        }
    }

    pub(crate) fn stored(&self, source: u32, sequence: u64, spec: SpecRow) -> StoredTask {
        let moment = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let task = Task {
            id: TaskId {
                kind: self.kind,
                ksuid: Ksuid::from_bytes(self.ksuid),
            },
            target_type: self.target_type,
            status: if self.completed_at.is_some() {
                TaskStatus::Success
            } else {
                TaskStatus::Pending
            },
            counts: counts_at(self.total, self.cursor, self.failures),
            created_at: Timestamp::from_millis(self.created_at),
            started_at: moment(self.started_at),
            completed_at: moment(self.completed_at),
        };
        StoredTask {
            task,
            source,
            sequence,
            cursor: self.cursor,
            types: spec.types.into(),
        }
    }
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

/// A spooled operation and where its body is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperationRow {
    pub(crate) operation: Operation,
    pub(crate) place: Place,
}

/// The operations of a small request with their bodies, part 1 of its `spool`.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct InlineRow {
    pub(crate) operations: Vec<Operation>,
    pub(crate) body_ends: Vec<usize>,
    pub(crate) bodies: Vec<u8>,
}

/// A segment that a task has been accepted with.
#[derive(Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub(crate) operations_bytes: u64,
    pub(crate) bodies_bytes: u64,
}

/// The receipts of one chunk. What is not named here succeeded.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptsRow {
    pub(crate) count: u32,
    pub(crate) at: i64,
    /// Places in the chunk of upserts that met an equal record.
    pub(crate) unchanged: Vec<u32>,
    /// Places in the chunk of operations that failed, each with its error object as JSON.
    pub(crate) failures: Vec<(u32, String)>,
}

impl ReceiptsRow {
    /// xxh3 of what follows u64, length before compression u32, lz4.
    pub(crate) fn compressed(&self) -> Vec<u8> {
        let packed = lz4_flex::compress_prepend_size(&encode(self));
        [&xxh3_64(&packed).to_le_bytes(), packed.as_slice()].concat()
    }

    pub(crate) fn decompressed(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| StoreError::Damaged(format!("a row of receipts: {what}"));
        // Before the length is believed: a damaged one could ask for any memory.
        let packed = match bytes.split_first_chunk::<8>() {
            Some((checksum, packed)) if xxh3_64(packed).to_le_bytes() == *checksum => packed,
            _ => return Err(damaged("its checksum".into())),
        };
        let row = lz4_flex::decompress_size_prepended(packed).map_err(|error| damaged(error.to_string()))?;
        decode(&row, "receipts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_byte_makes_a_wrong_receipt() {
        let row = ReceiptsRow {
            count: 900,
            at: 1_750_000_000_000,
            unchanged: (0..40).collect(),
            failures: (40..60).map(|at| (at, format!("because {at}"))).collect(),
        };
        let good = row.compressed();
        let read = ReceiptsRow::decompressed(&good).unwrap();
        assert_eq!(
            (read.count, read.at, read.unchanged),
            (row.count, row.at, row.unchanged)
        );
        assert_eq!(read.failures, row.failures);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(ReceiptsRow::decompressed(&bad).is_err(), "bit {bit} of byte {at}");
            }
            assert!(ReceiptsRow::decompressed(&good[..at]).is_err(), "cut to {at}");
        }
    }
}

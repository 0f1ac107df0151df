//! What stands in the keyspaces: one struct a kind of row, written with postcard, each its own and apart from the
//! types of the domain, so that those can change while what is stored stays. Their shape is part of the format version
//! (`format.rs`).

use granary_core::decide::Head;
use granary_core::keys::Key;
use granary_core::ksuid::Ksuid;
use granary_core::meta::Triple;
use granary_core::operation::{ContentHash, Operation, TargetType, TypeRef};
use granary_core::schema::{DefinitionKind, StoredDefinition};
use granary_core::task::{Counts, Deleted, Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use granary_store::{Result, Source, StoreError, StoredTask, counts_at, counts_of_purge};
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
    pub(crate) stamp: u64,
    created_at: i64,
    /// Milliseconds after `created_at`.
    updated_after: i64,
    hash: [u8; 16],
    pub(crate) identifiers: Option<[u8; 16]>,
    pub(crate) at_once: bool,
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
    pub(crate) cancelled: bool,
    pub(crate) purge: Option<PurgeRow>,
}

/// How far a purge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeRow {
    /// The first stamp that was not used when it was accepted.
    pub(crate) accepted_at: u64,
    /// The last key that it has looked at; empty before the first.
    pub(crate) after: Vec<u8>,
    pub(crate) deleted: Deleted,
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
            cancelled: false,
            purge: None,
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

    /// Counts what a chunk of a purge deleted; `after` is the last key that it looked at.
    pub(crate) fn purged(&mut self, records: u64, edges: u64, after: Vec<u8>, is_last: bool, now: Timestamp) {
        let purge = self.purge.get_or_insert_default();
        purge.deleted.records += records;
        purge.deleted.relationships += edges;
        purge.after = after;
        self.started_at.get_or_insert(now.millis());
        if is_last {
            self.completed_at = Some(now.millis());
        }
    }

    /// Ends it where it stands.
    pub(crate) fn cancel(&mut self, now: Timestamp) {
        self.cancelled = true;
        self.completed_at = Some(now.millis());
    }

    fn counts(&self) -> Counts {
        if let Some(purge) = &self.purge {
            return counts_of_purge(purge.deleted.records);
        }
        let mut counts = counts_at(self.total, self.cursor, self.failures);
        if self.cancelled {
            counts.cancelled = std::mem::take(&mut counts.pending);
        }
        counts
    }

    pub(crate) fn stored(&self, source: u32, sequence: u64, spec: SpecRow) -> StoredTask {
        let moment = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let task = Task {
            id: TaskId {
                kind: self.kind,
                ksuid: Ksuid::from_bytes(self.ksuid),
            },
            target_type: self.target_type,
            status: match (self.completed_at, self.cancelled) {
                (None, _) => TaskStatus::Pending,
                (Some(_), false) => TaskStatus::Success,
                (Some(_), true) => TaskStatus::Cancelled,
            },
            counts: self.counts(),
            created_at: Timestamp::from_millis(self.created_at),
            started_at: moment(self.started_at),
            completed_at: moment(self.completed_at),
            deleted: self.purge.as_ref().map(|purge| purge.deleted),
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

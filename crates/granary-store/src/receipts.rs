//! The receipts of one chunk, packed as every store keeps them.

use granary_core::decide::Verdict;
use granary_core::error::ErrorObject;
use granary_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Result, StoreError, pack, unpack};

/// The receipts of one chunk. What is not named here succeeded. Its shape is part of the formats of stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsChunk {
    /// How many operations the chunk has.
    pub count: u32,
    /// When it was decided, in milliseconds.
    pub at: i64,
    /// Places in the chunk of upserts that met an equal record, in order.
    pub unchanged: Vec<u32>,
    /// Places in the chunk of operations that failed, in order, each with its error object as JSON.
    pub failures: Vec<(u32, String)>,
}

/// What became of one operation, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When it was decided.
    pub at: Timestamp,
    /// True for an upsert that met an equal record.
    pub unchanged: bool,
    /// Why it failed; `None` where it succeeded.
    pub error: Option<ErrorObject>,
}

impl ReceiptsChunk {
    /// The receipts of operations that were decided together.
    pub fn of(verdicts: &[Verdict], now: Timestamp) -> Self {
        let mut chunk = Self {
            count: verdicts.len() as u32,
            at: now.millis(),
            unchanged: Vec::new(),
            failures: Vec::new(),
        };
        for (place, verdict) in (0..).zip(verdicts) {
            match verdict {
                Verdict::Success { unchanged: false } => {}
                Verdict::Success { unchanged: true } => chunk.unchanged.push(place),
                Verdict::Failure(error) => {
                    let error = serde_json::to_string(error).expect("an error object is always JSON");
                    chunk.failures.push((place, error));
                }
            }
        }
        chunk
    }

    /// What became of the operation at this place of the chunk; `None` where the chunk is shorter.
    pub fn decided(&self, place: u32) -> Result<Option<Decided>> {
        if place >= self.count {
            return Ok(None);
        }
        let failure = self.failures.binary_search_by_key(&place, |(place, _)| *place);
        let error = failure.ok().map(|at| serde_json::from_str(&self.failures[at].1));
        Ok(Some(Decided {
            at: Timestamp::from_millis(self.at),
            unchanged: self.unchanged.binary_search(&place).is_ok(),
            error: error.transpose().map_err(|error| damaged(&error))?,
        }))
    }

    /// Their bytes: their postcard, [packed](pack).
    pub fn compressed(&self) -> Vec<u8> {
        let row = postcard::to_stdvec(self).expect("receipts hold only what postcard can write");
        pack(&row)
    }

    /// The receipts in these bytes.
    pub fn decompressed(bytes: &[u8]) -> Result<Self> {
        let row = unpack(bytes, "a row of receipts")?;
        postcard::from_bytes(&row).map_err(|error| damaged(&error))
    }
}

fn damaged(what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("a row of receipts: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_what_became_of_it() {
        let now = Timestamp::from_millis(1_750_000_000_000);
        let error = ErrorObject::not_found("because");
        let verdicts = [
            Verdict::Success { unchanged: false },
            Verdict::Failure(error.clone()),
            Verdict::Success { unchanged: true },
            Verdict::Success { unchanged: false },
            Verdict::Success { unchanged: true },
        ];
        let chunk = ReceiptsChunk::of(&verdicts, now);
        let chunk = ReceiptsChunk::decompressed(&chunk.compressed()).unwrap();
        for (place, verdict) in (0..).zip(&verdicts) {
            let decided = chunk.decided(place).unwrap().unwrap();
            assert_eq!(decided.at, now);
            let again = match decided.error {
                Some(error) => Verdict::Failure(error),
                None => Verdict::Success {
                    unchanged: decided.unchanged,
                },
            };
            assert_eq!(&again, verdict);
        }
        assert_eq!(chunk.decided(5).unwrap(), None);
    }

    #[test]
    fn no_flipped_byte_makes_a_wrong_receipt() {
        let chunk = ReceiptsChunk {
            count: 900,
            at: 1_750_000_000_000,
            unchanged: (0..40).collect(),
            failures: (40..60).map(|at| (at, format!("because {at}"))).collect(),
        };
        let good = chunk.compressed();
        assert_eq!(ReceiptsChunk::decompressed(&good).unwrap(), chunk);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(
                    ReceiptsChunk::decompressed(&bad).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(ReceiptsChunk::decompressed(&good[..at]).is_err(), "cut to {at}");
        }
    }
}

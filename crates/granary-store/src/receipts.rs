//! Receipts as stores keep them: one packed row for a chunk, some bytes an operation.

use granary_core::decide::Verdict;
use granary_core::error::ErrorObject;
use granary_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{Result, StoreError};

/// The receipts of one chunk. What is not named here succeeded. Its shape is part of what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsChunk {
    /// How many operations the chunk has.
    pub count: u32,
    /// When they were decided, in milliseconds since 1970.
    pub at: i64,
    /// Places in the chunk of upserts that met an equal record.
    pub unchanged: Vec<u32>,
    /// Places in the chunk of operations that failed, each with its error object as JSON.
    pub failures: Vec<(u32, String)>,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When it was decided.
    pub at: Timestamp,
    /// True where an upsert met an equal record.
    pub unchanged: bool,
    /// Why it failed.
    pub error: Option<ErrorObject>,
}

impl ReceiptsChunk {
    /// The receipts of what was decided at `now`.
    pub fn new(verdicts: &[Verdict], now: Timestamp) -> Self {
        let mut chunk = Self {
            count: verdicts.len() as u32,
            at: now.millis(),
            unchanged: Vec::new(),
            failures: Vec::new(),
        };
        for (at, verdict) in verdicts.iter().enumerate() {
            match verdict {
                Verdict::Success { unchanged: false } => {}
                Verdict::Success { unchanged: true } => chunk.unchanged.push(at as u32),
                Verdict::Failure(error) => {
                    let error = serde_json::to_string(error).expect("an error object is always JSON");
                    chunk.failures.push((at as u32, error));
                }
            }
        }
        chunk
    }

    /// What became of each operation, in their order.
    pub fn decided(&self) -> Result<Vec<Decided>> {
        let damaged = || StoreError::Damaged("a row of receipts".into());
        let success = Decided {
            at: Timestamp::from_millis(self.at),
            unchanged: false,
            error: None,
        };
        let mut decided = vec![success; self.count as usize];
        for place in &self.unchanged {
            decided.get_mut(*place as usize).ok_or_else(damaged)?.unchanged = true;
        }
        for (place, error) in &self.failures {
            let error = serde_json::from_str(error).map_err(|_| damaged())?;
            decided.get_mut(*place as usize).ok_or_else(damaged)?.error = Some(error);
        }
        Ok(decided)
    }

    /// xxh3 of what follows u64, length before compression u32, lz4.
    pub fn compressed(&self) -> Vec<u8> {
        let row = postcard::to_stdvec(self).expect("receipts hold only what postcard can write");
        let packed = lz4_flex::compress_prepend_size(&row);
        [&xxh3_64(&packed).to_le_bytes(), packed.as_slice()].concat()
    }

    /// What [`compressed`](Self::compressed) made; anything else is `Damaged`.
    pub fn decompressed(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| StoreError::Damaged(format!("a row of receipts: {what}"));
        // Before the length is believed: a damaged one could ask for any memory.
        let packed = match bytes.split_first_chunk::<8>() {
            Some((checksum, packed)) if xxh3_64(packed).to_le_bytes() == *checksum => packed,
            _ => return Err(damaged("its checksum".into())),
        };
        let row = lz4_flex::decompress_size_prepended(packed).map_err(|error| damaged(error.to_string()))?;
        postcard::from_bytes(&row).map_err(|error| damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_byte_makes_a_wrong_receipt() {
        let row = ReceiptsChunk {
            count: 900,
            at: 1_750_000_000_000,
            unchanged: (0..40).collect(),
            failures: (40..60).map(|at| (at, format!("because {at}"))).collect(),
        };
        let good = row.compressed();
        assert_eq!(ReceiptsChunk::decompressed(&good).unwrap(), row);
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

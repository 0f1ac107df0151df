//! Rows and columns of bytes that are compressed and have a checksum, so that damage never makes a wrong answer.

use xxhash_rust::xxh3::xxh3_64;

use crate::{Result, StoreError};

/// Compresses: xxh3 of what follows u64, length before compression u32, lz4; numbers are little-endian.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::compress_prepend_size(bytes);
    [&xxh3_64(&packed).to_le_bytes(), packed.as_slice()].concat()
}

/// What was packed.
///
/// # Errors
///
/// [`StoreError::Damaged`], with `place` in its message.
pub fn unpack(bytes: &[u8], place: &str) -> Result<Vec<u8>> {
    // Before the length is believed: a damaged one could ask for any memory.
    match bytes.split_first_chunk::<8>() {
        Some((checksum, packed)) if xxh3_64(packed).to_le_bytes() == *checksum => {
            lz4_flex::decompress_size_prepended(packed)
                .map_err(|error| StoreError::Damaged(format!("{place}: {error}")))
        }
        _ => Err(StoreError::Damaged(format!("{place}: its checksum is wrong"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_byte_makes_a_wrong_answer() {
        let bytes: Vec<u8> = (0..500_u32).flat_map(|at| (at * at).to_le_bytes()).collect();
        let good = pack(&bytes);
        assert_eq!(unpack(&good, "here").ok(), Some(bytes));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(unpack(&bad, "here").is_err(), "byte {at}");
            assert!(unpack(&good[..at], "here").is_err(), "cut to {at}");
        }
    }
}

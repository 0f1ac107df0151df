//! Columns of bytes: what is packed there is compressed and has a checksum, and never makes a wrong answer.

use granary_store::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::damaged;

/// xxh3 of what follows u64, length before compression u32, lz4; numbers are little-endian.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::compress_prepend_size(bytes);
    [&xxh3_64(&packed).to_le_bytes(), packed.as_slice()].concat()
}

/// What was packed; `place` is for the message.
pub(crate) fn unpack(bytes: &[u8], place: &str) -> Result<Vec<u8>> {
    // Before the length is believed: a damaged one could ask for any memory.
    match bytes.split_first_chunk::<8>() {
        Some((checksum, packed)) if xxh3_64(packed).to_le_bytes() == *checksum => {
            lz4_flex::decompress_size_prepended(packed).map_err(|error| damaged(&format!("{place}: {error}")))
        }
        _ => Err(damaged(&format!("{place}: its checksum is wrong"))),
    }
}

/// The bytes of a value in a column.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("a row holds only what postcard can write")
}

/// The value in these bytes; `place` is for the message.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| damaged(&format!("{place}: {error}")))
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

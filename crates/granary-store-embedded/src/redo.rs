//! What a redo file holds: a run, that is heads in the order of their keys. Why there is one: `runs.rs`.

use granary_store::{Result, StoreError};
use xxhash_rust::xxh3::xxh3_64;

/// Heads in the order of their keys, as a redo file holds them: the length of the key u16, the length of the row u16
/// (0 where the head is removed), key, row. Numbers are little-endian.
#[derive(Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    count: usize,
}

impl Run {
    /// Adds a head, or its removal; keys come in order and none twice.
    pub(crate) fn push(&mut self, key: &[u8], row: Option<&[u8]>) {
        let row = row.unwrap_or_default();
        self.bytes.extend((key.len() as u16).to_le_bytes());
        self.bytes.extend((row.len() as u16).to_le_bytes());
        self.bytes.extend(key);
        self.bytes.extend(row);
        self.count += 1;
    }

    /// What the redo file holds.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Of its redo file.
    pub(crate) fn checksum(&self) -> u64 {
        checksum(&self.bytes)
    }
}

/// The checksum of a redo file: the row of the lane has it.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Calls for each head of a run, until one fails.
pub(crate) fn each(mut bytes: &[u8], mut head: impl FnMut(&[u8], Option<&[u8]>) -> Result<()>) -> Result<()> {
    let cut = || StoreError::Damaged("a redo file: a cut head".into());
    while !bytes.is_empty() {
        let (lengths, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
        let key_length = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let row_length = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let (key, rest) = rest.split_at_checked(key_length).ok_or_else(cut)?;
        let (row, rest) = rest.split_at_checked(row_length).ok_or_else(cut)?;
        head(key, (!row.is_empty()).then_some(row))?;
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let mut run = Run::default();
        run.push(b"a", Some(b"row"));
        run.push(b"ab", None);
        run.push(b"b", Some(b"other"));
        let mut read = Vec::new();
        each(run.bytes(), |key, row| {
            read.push((key.to_vec(), row.map(<[u8]>::to_vec)));
            Ok(())
        })
        .unwrap();
        let expected = [("a", Some("row")), ("ab", None), ("b", Some("other"))];
        let bytes = |text: &str| text.as_bytes().to_vec();
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, row)| (bytes(key), row.map(bytes)))
            .collect();
        assert_eq!(read, expected);
        for length in [1, 3, 5, run.bytes().len() - 1] {
            assert!(
                each(&run.bytes()[..length], |_, _| Ok(())).is_err(),
                "cut to {length}"
            );
        }
    }
}

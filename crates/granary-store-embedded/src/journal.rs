//! Looks at the journals of the database before it opens, for what it would take without a word.
//!
//! fjall 3 writes each batch to the last of `db/N.jnl`: its number of items and sequence number, the items, the end with a
//! checksum of the items. It takes a batch whose end does not fit for the torn end that a crash leaves, and cuts the journal
//! off there, also where the journal is not the last; and the checksum does not cover the sequence number, which says
//! which of two values of a key is the newer, and what is in tables already. Both are seen here, by the numbers of commits
//! (`numbered`): they follow on each other, each batch has a sequence number above that of the one before, and not below
//! that which the database was at before it. Nothing is written, so that what is there can be looked into afterwards.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::rows::NumberRow;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
/// What the end of a batch ends with.
const MAGIC: &[u8] = b"FJL\x03";
/// Sequence numbers above are not given to batches.
const SEQNO_MAX: u64 = 1 << 63;
const BUFFER_BYTES: usize = 1 << 18;

/// What is wrong with the journals in the folder of a database, where commits up to `synced` are known to be durable.
pub(crate) fn check(db: &Path, synced: u64) -> io::Result<Option<String>> {
    let journals = journals(db)?;
    let (mut seqno, mut number): (Option<u64>, Option<u64>) = (None, None);
    for (at, path) in journals.iter().enumerate() {
        let mut reader = Batches::open(path)?;
        let mut any = false;
        while let Some(batch) = reader.next()? {
            any = true;
            let not_before = batch.row.map_or(batch.seqno, |row| row.not_before);
            if seqno.is_some_and(|before| before >= not_before)
                || not_before > batch.seqno
                || batch.seqno >= SEQNO_MAX
            {
                let what = format!("{} has changed at byte {}, or before", path.display(), batch.at);
                return Ok(Some(what));
            }
            seqno = Some(batch.seqno);
            let Some(row) = batch.row else { continue };
            if number.is_some_and(|before| row.number != before + 1) {
                let what = format!("commits before {} are gone from {}", row.number, path.display());
                return Ok(Some(what));
            }
            number = Some(row.number);
        }
        let is_last = at + 1 == journals.len();
        if !any && !is_last {
            return Ok(Some(format!("{} has changed at its beginning", path.display())));
        }
    }
    let short = number.filter(|number| *number < synced);
    Ok(short.map(|number| ends_early(number, synced)))
}

/// What is said of a journal that ends at one commit, and had more.
pub(crate) fn ends_early(last: u64, synced: u64) -> String {
    format!(
        "the journal in db/ ends at commit {last}, and commit {synced} had been synced; a byte of it has changed"
    )
}

/// The journals in their order; the last is the one that is written to.
fn journals(db: &Path) -> io::Result<Vec<PathBuf>> {
    let files = match fs::read_dir(db) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut journals = Vec::new();
    for file in files {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        if let Some(number) = number {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// A whole batch.
pub(crate) struct Batch {
    /// At which byte of the journal it begins.
    pub(crate) at: u64,
    pub(crate) seqno: u64,
    /// What a commit says of itself; batches of the database's own have no such row.
    pub(crate) row: Option<NumberRow>,
}

/// The batches of a journal, up to the first that is not whole.
pub(crate) struct Batches<R> {
    journal: R,
    /// How far it is read.
    at: u64,
    /// Room for a piece of an item.
    piece: Vec<u8>,
}

impl Batches<BufReader<File>> {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::of(BufReader::with_capacity(
            BUFFER_BYTES,
            File::open(path)?,
        )))
    }
}

impl<R: Read> Batches<R> {
    pub(crate) fn of(journal: R) -> Self {
        Self {
            journal,
            at: 0,
            piece: vec![0; BUFFER_BYTES],
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Batch>> {
        match self.batch() {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            batch => batch,
        }
    }

    fn batch(&mut self) -> io::Result<Option<Batch>> {
        let at = self.at;
        let start: [u8; 13] = self.take()?;
        if start[0] != START {
            return Ok(None);
        }
        let (items, seqno) = (number(&start[1..5]), number(&start[5..]));
        let (mut checksum, mut row) = (Xxh3::new(), None);
        for _ in 0..items {
            // Tag, type, compression, keyspace (8), bytes of the key (2), of the value (4), of the value as it is written (4).
            let item: [u8; 21] = self.take()?;
            if item[0] != ITEM {
                return Ok(None);
            }
            checksum.update(&item);
            let (key, value) = (number(&item[11..13]), number(&item[17..]));
            row = self.item(key + value, &mut checksum)?;
        }
        let end: [u8; 13] = self.take()?;
        let is_whole = end[0] == END && number(&end[1..9]) == checksum.digest() && &end[9..] == MAGIC;
        Ok(is_whole.then_some(Batch { at, seqno, row }))
    }

    /// Reads the key and the value of an item; the row of a commit, where it is one.
    fn item(&mut self, bytes: u64, checksum: &mut Xxh3) -> io::Result<Option<NumberRow>> {
        let mut left = bytes;
        let mut row = None;
        while left > 0 {
            let most = self.piece.len() as u64;
            let piece = self.piece.get_mut(..left.min(most) as usize).unwrap_or_default();
            self.journal.read_exact(piece)?;
            checksum.update(piece);
            if piece.len() as u64 == bytes {
                row = NumberRow::of_item(piece);
            }
            left -= piece.len() as u64;
        }
        self.at += bytes;
        Ok(row)
    }

    fn take<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.journal.read_exact(&mut bytes)?;
        self.at += BYTES as u64;
        Ok(bytes)
    }
}

/// A number as it is written, little-endian.
fn number(bytes: &[u8]) -> u64 {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    bytes.iter().rev().fold(0, add)
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;
    use crate::numbered::CommitNumbers;

    const COMMITS: u64 = 9;

    /// The folder of a database, with its journal.
    fn folder() -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::builder(folder.path().join("db")).open().unwrap();
        let rows = db.keyspace("commits", KeyspaceCreateOptions::default).unwrap();
        let records = db.keyspace("records", KeyspaceCreateOptions::default).unwrap();
        let numbers = CommitNumbers::open(folder.path(), &db, rows).unwrap();
        for at in 1..=COMMITS {
            let mut batch = db.batch();
            batch.insert(&records, "the same key", at.to_be_bytes());
            batch.insert(&records, at.to_be_bytes(), vec![b'x'; 3 << (2 * at)]);
            numbers.commit(batch).unwrap();
        }
        drop((db, records, numbers));
        let mut journal = fs::read(folder.path().join("db/0.jnl")).unwrap();
        let end = journal.iter().rposition(|byte| *byte != 0).unwrap();
        journal.truncate(end + 1);
        (folder, journal)
    }

    fn checked(journals: &[&[u8]], synced: u64) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (at, journal) in journals.iter().enumerate() {
            fs::write(folder.path().join(format!("{at}.jnl")), journal).unwrap();
        }
        check(folder.path(), synced).unwrap()
    }

    /// Where each batch that is a commit begins.
    fn commits(folder: &Path) -> Vec<usize> {
        let mut batches = Batches::open(&folder.join("db/0.jnl")).unwrap();
        let mut commits = Vec::new();
        while let Some(batch) = batches.next().unwrap() {
            if batch.row.is_some() {
                commits.push(batch.at as usize);
            }
        }
        assert_eq!(commits.len() as u64, COMMITS);
        commits
    }

    #[test]
    fn a_bit_that_changed_is_seen_wherever_it_is() {
        let (folder, good) = folder();
        let commits = commits(folder.path());
        assert_eq!(checked(&[&good], COMMITS), None);
        let last = commits[commits.len() - 1];
        // The bodies are long; their first bytes are as good as all.
        let frames = commits.iter().flat_map(|at| *at..at + 300);
        let mut passed = Vec::new();
        for at in frames.filter(|at| (commits[1]..good.len()).contains(at)) {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                if checked(&[&changed], COMMITS).is_none() {
                    passed.push(at);
                }
            }
        }
        // A higher sequence number of the last changes nothing.
        let seqno = last + 5..last + 13;
        assert!(
            passed.iter().all(|at| seqno.contains(at)),
            "{passed:?} of {seqno:?}"
        );
    }

    #[test]
    fn a_journal_that_ends_early_is_damaged_where_more_was_synced_or_another_follows() {
        let (folder, good) = folder();
        let commits = commits(folder.path());
        let torn = &good[..commits[5] + 40];
        assert_eq!(checked(&[torn], 5), None);
        let told = checked(&[torn], 6).unwrap();
        assert!(told.contains("ends at commit 5"), "{told}");
        let (first, second) = good.split_at(commits[6]);
        assert_eq!(checked(&[first, second], COMMITS), None);
        let told = checked(&[torn, second], COMMITS).unwrap();
        assert!(told.contains("commits before 7 are gone"), "{told}");
        let told = checked(&[&first[1..], second], COMMITS).unwrap();
        assert!(told.contains("at its beginning"), "{told}");
    }
}

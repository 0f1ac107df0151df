//! Commits have numbers, so that it is noticed where some are gone.
//!
//! After a crash the journal may end in the midst of a batch, and the database cuts such an end off. It does the same
//! where a changed byte makes a batch look unfinished, and all that was committed after it goes too, without a word. So
//! each batch writes its number, and after each sync the file `SYNCED` says up to which number commits are durable: a
//! store that opens with fewer is damaged. The file is not synced itself. It survives the process, and after a cut of
//! power it may say less, or nothing, but never more than the journal has.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use fjall::{Keyspace, OwnedWriteBatch};
use granary_store::{Result, StoreError};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine;

/// The name of the file.
pub(crate) const FILE: &str = "SYNCED";
/// A number is written to one row of so many, by its remainder: commits at one time may come in another order than their
/// numbers, but far fewer than these.
const ROWS: u64 = 1_024;

/// Gives the commits of a store their numbers.
pub(crate) struct CommitNumbers {
    rows: Keyspace,
    file: File,
    next: AtomicU64,
    /// The largest number of a commit that has returned.
    committed: AtomicU64,
}

/// A number that a batch writes.
#[must_use]
pub(crate) struct Numbered(u64);

impl CommitNumbers {
    /// Goes on where the store ended. Fails where commits are gone that were durable.
    pub(crate) fn open(folder: &Path, rows: Keyspace) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))
            .map_err(crate::io)?;
        let synced = read(&file).map_err(crate::io)?;
        let mut last = 0;
        for row in rows.iter() {
            let value = row.value().map_err(engine)?;
            let number = value.as_ref().try_into().map(u64::from_be_bytes);
            let number = number.map_err(|_| StoreError::Damaged("a row of commits".into()))?;
            last = last.max(number);
        }
        if last < synced {
            return Err(StoreError::Damaged(format!(
                "the journal in db/ ends at commit {last}, and commit {synced} had been synced; a byte of it has changed"
            )));
        }
        Ok(Self {
            rows,
            file,
            next: AtomicU64::new(last + 1),
            committed: AtomicU64::new(last),
        })
    }

    /// To be called for each batch, just before its commit.
    pub(crate) fn number(&self, batch: &mut OwnedWriteBatch) -> Numbered {
        let number = self.next.fetch_add(1, Relaxed);
        batch.insert(&self.rows, (number % ROWS).to_be_bytes(), number.to_be_bytes());
        Numbered(number)
    }

    /// To be called when the commit has returned.
    pub(crate) fn committed(&self, number: Numbered) {
        self.committed.fetch_max(number.0, Relaxed);
    }

    /// Up to which number commits have returned. A sync that begins now makes them durable.
    pub(crate) fn last(&self) -> u64 {
        self.committed.load(Relaxed)
    }

    /// Says that commits up to this number are durable. Where that fails, the file says less than it could.
    pub(crate) fn synced(&self, number: u64) {
        let number = number.to_be_bytes();
        let bytes = [number, xxh3_64(&number).to_be_bytes()].concat();
        if let Err(error) = self.file.write_all_at(&bytes, 0) {
            tracing::debug!(%error, "could not write how far the journal is synced");
        }
    }
}

/// What the file says; 0 where it says nothing.
fn read(file: &File) -> io::Result<u64> {
    let (mut number, mut checksum) = ([0; 8], [0; 8]);
    match file
        .read_exact_at(&mut number, 0)
        .and_then(|()| file.read_exact_at(&mut checksum, 8))
    {
        Ok(()) if xxh3_64(&number) == u64::from_be_bytes(checksum) => Ok(u64::from_be_bytes(number)),
        // One that was torn by a cut of power.
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    fn open(folder: &Path) -> (Database, Result<CommitNumbers>) {
        let db = Database::builder(folder.join("db")).open().unwrap();
        let rows = db.keyspace("commits", KeyspaceCreateOptions::default).unwrap();
        let numbers = CommitNumbers::open(folder, rows);
        (db, numbers)
    }

    fn commit(db: &Database, numbers: &CommitNumbers) {
        let mut batch = db.batch();
        let number = numbers.number(&mut batch);
        batch.commit().unwrap();
        numbers.committed(number);
    }

    #[test]
    fn a_store_goes_on_after_its_last_commit_and_not_without_one_that_was_synced() {
        let folder = tempfile::tempdir().unwrap();
        let (db, numbers) = open(folder.path());
        let numbers = numbers.unwrap();
        for _ in 0..ROWS + 5 {
            commit(&db, &numbers);
        }
        numbers.synced(numbers.last());
        drop((db, numbers));
        let (db, numbers) = open(folder.path());
        let numbers = numbers.unwrap();
        assert_eq!(numbers.last(), ROWS + 5);
        commit(&db, &numbers);
        assert_eq!(numbers.last(), ROWS + 6);
        numbers.synced(ROWS + 7);
        drop((db, numbers));
        let (_db, numbers) = open(folder.path());
        let error = numbers.err().expect("a commit is missing");
        assert!(error.to_string().contains("ends at commit 1030"), "{error}");
    }

    #[test]
    fn a_file_that_is_torn_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&[][..], &[0; 7], &[0; 16], &[7; 16]] {
            std::fs::write(folder.path().join(FILE), bytes).unwrap();
            let (_db, numbers) = open(folder.path());
            assert_eq!(numbers.unwrap().last(), 0);
        }
    }
}

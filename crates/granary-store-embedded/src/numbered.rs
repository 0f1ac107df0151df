//! Commits have numbers, so that it is noticed where some are gone.
//!
//! After a crash the journal may end in the midst of a batch, and the database cuts such an end off. It does the same
//! where a changed byte makes a batch look unfinished, and all that was committed after it goes too, without a word. So
//! each batch writes its number, in the order of the journal, and after each sync the file `SYNCED` says up to which number
//! commits are durable: a store that opens with fewer is damaged. The file is not synced itself. It survives the process,
//! and after a cut of power it may say less, or nothing, but never more than the journal has.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use fjall::{Database, Keyspace, OwnedWriteBatch};
use granary_store::{Result, StoreError};
use xxhash_rust::xxh3::xxh3_64;

use crate::rows::NumberRow;
use crate::{engine, journal, lock};

/// The name of the file.
pub(crate) const FILE: &str = "SYNCED";
/// Gives the commits of a store their numbers.
pub(crate) struct CommitNumbers {
    db: Database,
    rows: Keyspace,
    file: File,
    /// The number of the next commit. Held while it commits, so that numbers are in the order of the journal.
    next: Mutex<u64>,
    /// The largest number of a commit that has returned.
    committed: AtomicU64,
}

impl CommitNumbers {
    /// Goes on where the store ended. Fails where commits are gone that were durable.
    pub(crate) fn open(folder: &Path, db: &Database, rows: Keyspace) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))
            .map_err(crate::io)?;
        let synced = read(&file).map_err(crate::io)?;
        let last = last(&rows, synced)?;
        Ok(Self {
            db: db.clone(),
            rows,
            file,
            next: Mutex::new(last + 1),
            committed: AtomicU64::new(last),
        })
    }

    /// Commits a batch as the next.
    pub(crate) fn commit(&self, mut batch: OwnedWriteBatch) -> fjall::Result<()> {
        let mut next = lock(&self.next);
        let number = *next;
        *next += 1;
        let row = NumberRow {
            number,
            not_before: self.db.seqno(),
        };
        batch.insert(&self.rows, NumberRow::KEY, row.value());
        batch.commit()?;
        self.committed.store(number, Relaxed);
        Ok(())
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

/// The number of the last commit. Fails where there are fewer than were durable: the journals were looked at before, here it
/// is what is in tables that is too old.
pub(crate) fn last(rows: &Keyspace, synced: u64) -> Result<u64> {
    let last = match rows.get(NumberRow::KEY).map_err(engine)? {
        None => 0,
        Some(value) => {
            let row = NumberRow::of_value(&value);
            row.ok_or_else(|| StoreError::Damaged("the row of commits".into()))?
                .number
        }
    };
    match last < synced {
        true => Err(StoreError::Damaged(journal::ends_early(last, synced))),
        false => Ok(last),
    }
}

/// Up to which commit the journal of this folder was durable, as far as it is known.
pub(crate) fn synced(folder: &Path) -> io::Result<u64> {
    match File::open(folder.join(FILE)) {
        Ok(file) => read(&file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
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
        let numbers = CommitNumbers::open(folder, &db, rows);
        (db, numbers)
    }

    fn commit(db: &Database, numbers: &CommitNumbers) {
        numbers.commit(db.batch()).unwrap();
    }

    #[test]
    fn a_store_goes_on_after_its_last_commit_and_not_without_one_that_was_synced() {
        let folder = tempfile::tempdir().unwrap();
        let (db, numbers) = open(folder.path());
        let numbers = numbers.unwrap();
        for _ in 0..5 {
            commit(&db, &numbers);
        }
        numbers.synced(numbers.last());
        drop((db, numbers));
        let (db, numbers) = open(folder.path());
        let numbers = numbers.unwrap();
        assert_eq!(numbers.last(), 5);
        commit(&db, &numbers);
        assert_eq!(numbers.last(), 6);
        numbers.synced(7);
        drop((db, numbers));
        let (_db, numbers) = open(folder.path());
        let error = numbers.err().expect("a commit is missing");
        assert!(error.to_string().contains("ends at commit 6"), "{error}");
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

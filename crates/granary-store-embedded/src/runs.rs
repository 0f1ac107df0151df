//! Runs: how a large chunk puts its heads, or its edges, into the tree, sorted and past the journal, some three times
//! cheaper than by the batch that moves its cursor.
//!
//! The tree takes a run on its own, so the two are made one step by a *redo file*:
//!
//! 1. the run is written to its redo file, and that and its folder are synced;
//! 2. one batch moves effects, receipts and cursor, and names the redo file in the row of the lane. Once it is synced
//!    the chunk has happened;
//! 3. the tree takes the run; 4. the file goes.
//!
//! A start that finds the file named puts the run in once more: blind, and harmless, for every later batch of the lane
//! that could write a head clears the name. A file that nobody names belongs to a chunk that never happened. So a name
//! without a file means that the run is in the tree.
//!
//! A run of edges goes into two trees, one after the other: `edges`, and `edges_in`, which is made from it. A death between
//! the two leaves the file named, and both take it once more.
//!
//! While the tree takes a run it writes out what it holds of *all* sources, synced or not. So that it never writes a
//! head whose batch a crash could still take back, and nobody sees the cursor of a run without its heads, a gate keeps
//! all other commits and the snapshots of the syncer out, from before the batch of the run until the tree has it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use granary_store::{Budget, Result, StoreError, TaskProgress};

use crate::catalog;
use crate::format::{Folder, sync_folder};
use crate::keys;
use crate::redo::{Run, checksum, each};
use crate::rows::LaneRow;
use crate::sync::Syncer;
use crate::{Inner, Keyspaces, engine, io};

/// When chunks are applied as runs. The default is what was measured; tests choose smaller ones.
#[derive(Clone)]
pub struct Runs {
    /// Operations that are decided as one chunk, where a task has that many left.
    pub operations: usize,
    /// The same while single writes of the source come: they wait for a chunk.
    pub operations_beside_writes: usize,
    /// Heads or edges from which on a run is worth its syncs; fewer go by the batch.
    pub heads_min: usize,
    /// Called at each step of a run.
    pub observer: Option<Arc<dyn Fn(RunStep) + Send + Sync>>,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            // Longer runs take more memory. Runs of half the length cost a fifth more: each has its syncs, and is a table
            // that is merged.
            operations: 65_536,
            operations_beside_writes: 8_192,
            heads_min: 4_096,
            observer: None,
        }
    }
}

/// What has just been done of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStep {
    /// Its redo file is written and synced.
    Written,
    /// Its batch is committed, and not synced.
    Committed,
    /// Its batch is synced: it has happened.
    Synced,
    /// A tree has it: that of the heads, or for edges, first one and then the other.
    Taken,
    /// All trees have it, and others may commit again.
    Ingested,
    /// Its redo file is gone.
    Removed,
}

/// A budget below this is a worker's that looks for what goes wrong, operation by operation.
const BUDGET_MIN: usize = 256;
/// A run may take so many times the bytes of a chunk.
const BYTES_TIMES: u64 = 16;

impl Runs {
    /// How much of a task is decided at once: more than a chunk where so many heads are to be expected that they go in
    /// as a run.
    pub(crate) fn budget(&self, task: &TaskProgress, chunk: Budget, beside_writes: bool) -> Budget {
        let operations = match beside_writes {
            true => self.operations_beside_writes,
            false => self.operations,
        };
        let is_run = task.total - task.cursor >= self.heads_min as u64
            && chunk.operations >= self.heads_min.min(BUDGET_MIN);
        match is_run {
            false => chunk,
            true => Budget {
                operations: chunk.operations.max(operations),
                bytes: chunk.bytes.saturating_mul(BYTES_TIMES),
            },
        }
    }

    pub(crate) fn at(&self, step: RunStep) {
        if let Some(observer) = &self.observer {
            observer(step);
        }
    }
}

/// What a run is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Heads of resources.
    Heads,
    /// Edges: their heads, and the mirrors of their keys.
    Edges,
}

impl Run {
    /// Adds it to a batch instead.
    pub(crate) fn append_to(&self, batch: &mut OwnedWriteBatch, keyspaces: &Keyspaces, of: Of) -> Result<()> {
        let own = of.keyspace(keyspaces);
        each(self.bytes(), |key, row| {
            match row {
                Some(row) => batch.insert(own, key, row),
                None => batch.remove(own, key),
            }
            if of == Of::Edges {
                match row {
                    Some(_) => batch.insert(&keyspaces.edges_in, mirror(key)?, []),
                    None => batch.remove(&keyspaces.edges_in, mirror(key)?),
                }
            }
            Ok(())
        })
    }
}

impl Of {
    fn keyspace(self, keyspaces: &Keyspaces) -> &Keyspace {
        match self {
            Self::Heads => &keyspaces.heads,
            Self::Edges => &keyspaces.edges,
        }
    }
}

fn mirror(key: &[u8]) -> Result<Vec<u8>> {
    keys::edge_mirror(key).ok_or_else(|| StoreError::Damaged("a key of edges".into()))
}

/// A table that is written: called, the tree takes it.
type Table<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// Writes a run to tables of its own, for the trees to take one after the other: those of `edges` and of `edges_in`, or
/// that of `heads`.
fn written<'a>(keyspaces: &'a Keyspaces, of: Of, bytes: &[u8]) -> Result<Vec<Table<'a>>> {
    let mut mirrors = Vec::new();
    let own = table(of.keyspace(keyspaces), |put| {
        each(bytes, |key, row| {
            if of == Of::Edges {
                mirrors.push((mirror(key)?, row.is_some()));
            }
            put(key, row)
        })
    })?;
    if of == Of::Heads {
        return Ok(vec![own]);
    }
    mirrors.sort_unstable();
    let mirrored = table(&keyspaces.edges_in, |put| {
        let mut mirrors = mirrors.iter();
        mirrors.try_for_each(|(key, stays)| put(key, stays.then_some(&[])))
    })?;
    Ok(vec![own, mirrored])
}

/// Writes a table of what is put, in the order of its keys.
fn table<'a>(
    keyspace: &'a Keyspace,
    rows: impl FnOnce(&mut dyn FnMut(&[u8], Option<&[u8]>) -> Result<()>) -> Result<()>,
) -> Result<Table<'a>> {
    let mut ingestion = keyspace.start_ingestion().map_err(engine)?;
    rows(&mut |key, row| {
        match row {
            Some(row) => ingestion.write(key, row),
            None => ingestion.write_tombstone(key),
        }
        .map_err(engine)
    })?;
    Ok(Box::new(move || ingestion.finish().map_err(engine)))
}

/// A redo file. Dropped before its run has happened, it goes.
struct Redo {
    file: File,
    path: PathBuf,
    /// Its batch is committed, or may be: the next start decides.
    named: bool,
}

impl Redo {
    fn write(path: PathBuf, bytes: &[u8]) -> io::Result<Self> {
        let file = File::create(&path)?;
        let mut redo = Self {
            file,
            path,
            named: false,
        };
        redo.file.write_all(bytes)?;
        Ok(redo)
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        self.file.sync_data()?;
        sync_folder(folder)
    }
}

impl Drop for Redo {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove a redo file; the next start does");
        }
    }
}

/// Stops all writes and all publishing where a run is left half way: its cursor may be there without its heads.
struct HalfWay<'a> {
    sync: &'a Syncer,
    through: bool,
}

impl Drop for HalfWay<'_> {
    fn drop(&mut self) {
        if !self.through {
            self.sync.fail(&"a run of heads was left half way");
        }
    }
}

impl Inner {
    /// Commits the batch of a run of this source, whose row of the lane has the checksum of the run, and has the tree
    /// take the run: one step for everyone else, and durable once it returns.
    pub(crate) fn commit_run(&self, batch: OwnedWriteBatch, source: u32, of: Of, run: &Run) -> Result<()> {
        let path = path(&self.folder, source, of, run.checksum());
        // Before the tables: where the disk is full this fails, and they would be left until the next start.
        let mut redo = Redo::write(path, run.bytes()).map_err(io)?;
        let tables = std::thread::scope(|scope| {
            let syncing = std::thread::Builder::new().spawn_scoped(scope, || redo.sync(&self.folder.redo));
            let tables = written(&self.keyspaces, of, run.bytes());
            syncing
                .map_err(io)?
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
                .map_err(io)?;
            tables
        })?;
        self.runs.at(RunStep::Written);

        let gate = self.sync.close_gate();
        let closed_at = Instant::now();
        // Another write may have failed while this one waited.
        self.sync.check()?;
        let mut half_way = HalfWay {
            sync: &self.sync,
            through: false,
        };
        redo.named = true;
        self.commits.commit(batch).map_err(engine)?;
        self.runs.at(RunStep::Committed);
        self.db.persist(PersistMode::SyncData).map_err(engine)?;
        self.runs.at(RunStep::Synced);
        for take in tables {
            take()?;
            self.runs.at(RunStep::Taken);
        }
        half_way.through = true;
        drop(gate);
        tracing::debug!(
            ?of,
            count = run.count(),
            gate_ms = closed_at.elapsed().as_millis() as u64,
            "a run is in"
        );
        self.runs.at(RunStep::Ingested);
        redo.named = false;
        drop(redo);
        self.runs.at(RunStep::Removed);
        Ok(())
    }
}

/// The redo file of a run of a source. Its name says what it holds: no other run of the lane has ever stood there.
pub(crate) fn path(folder: &Folder, source: u32, of: Of, checksum: u64) -> PathBuf {
    let kind = match of {
        Of::Heads => "redo",
        Of::Edges => "edges",
    };
    folder.redo.join(format!("{source:010}-{checksum:016x}.{kind}"))
}

/// At a start: puts the runs that happened into the tree, those whose redo files are still there, and removes all redo
/// files. Before anything is shown.
pub(crate) fn settle(folder: &Folder, db: &Database, keyspaces: &Keyspaces) -> Result<()> {
    for source in catalog::source_numbers(keyspaces)? {
        let lane: LaneRow = catalog::lane_row(keyspaces, source)?;
        let Some(checksum) = lane.redo else { continue };
        // The checksum is that of one run: one of them is there at most.
        for of in [Of::Heads, Of::Edges] {
            let path = path(folder, source, of, checksum);
            match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                bytes => {
                    settle_run(db, keyspaces, of, checksum, &path, &bytes.map_err(io)?)?;
                    tracing::info!(
                        source,
                        "put in again what a task had applied when the process ended"
                    );
                }
            }
        }
    }
    for entry in fs::read_dir(&folder.redo).map_err(io)? {
        fs::remove_file(entry.map_err(io)?.path()).map_err(io)?;
    }
    Ok(())
}

/// Puts a run in once more.
fn settle_run(
    db: &Database,
    keyspaces: &Keyspaces,
    of: Of,
    of_run: u64,
    path: &Path,
    bytes: &[u8],
) -> Result<()> {
    if checksum(bytes) != of_run {
        return Err(StoreError::Damaged(format!(
            "{} is not the run that was applied",
            path.display()
        )));
    }
    // What the journal gave back may be in the memory of the system alone, and the tree writes it out with the run.
    db.persist(PersistMode::SyncAll).map_err(engine)?;
    written(keyspaces, of, bytes)?
        .into_iter()
        .try_for_each(|take| take())
}

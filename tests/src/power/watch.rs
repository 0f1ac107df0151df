//! What strace tells of a server while it works.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::record::SYNC_OF_JOURNAL;
use super::trace::escaped;
use crate::server::PATIENCE;

/// Follows the lines that strace writes.
pub(super) struct Watch {
    lines: BufReader<File>,
    /// One that may go on: its call has not ended.
    line: String,
    /// The folder of redo files, as it stands in the lines.
    redo: String,
    redo_is_synced: bool,
    is_syncing: bool,
}

impl Watch {
    pub(super) fn of(trace: &Path, redo: &Path) -> Result<Self> {
        let redo = redo.to_str().context("the path of the folder is no text")?;
        Ok(Self {
            lines: BufReader::with_capacity(1 << 20, File::open(trace)?),
            line: String::new(),
            redo: format!("<{}>", escaped(redo)),
            redo_is_synced: false,
            is_syncing: false,
        })
    }

    /// Reads all that is told by now.
    pub(super) fn read(&mut self) -> Result<()> {
        while self.lines.read_line(&mut self.line)? > 0 {
            if !self.line.ends_with('\n') {
                continue;
            }
            if self.line.contains(SYNC_OF_JOURNAL) {
                self.is_syncing = self.line.contains("<unfinished ...>");
            }
            if self.line.contains(" fsync(") && self.line.contains(&self.redo) {
                self.redo_is_synced = true;
                self.is_syncing = false;
            }
            self.line.clear();
        }
        Ok(())
    }

    /// Waits until the journal is being synced.
    pub(super) async fn sync(&mut self) -> Result<()> {
        self.until(|_| true).await
    }

    /// Waits until it is being synced after the folder of redo files was: for the batch of a run, most likely.
    pub(super) async fn sync_of_run(&mut self) -> Result<()> {
        self.until(|watch| watch.redo_is_synced).await
    }

    async fn until(&mut self, also: fn(&Self) -> bool) -> Result<()> {
        let waited = Instant::now();
        loop {
            self.read()?;
            if also(self) && (self.is_syncing || self.line.contains(SYNC_OF_JOURNAL)) {
                return Ok(());
            }
            ensure!(waited.elapsed() < PATIENCE, "nothing is committed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

//! A folder that servers work on, one after the other, and the record of what they do to it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use granary_client::Client;
use tempfile::TempDir;

use super::disk::{Disk, Pending};
use super::points::DATA;
use super::record::{self, Recorded, Recorder};
use super::watch::Watch;
use crate::server::{PATIENCE, Start};
use crate::{Place, Server};

/// How much longer a sync of the journal takes than the disk needs: what is shown before its end is to be seen by a reader.
const SYNC_DELAY: Duration = Duration::from_millis(20);

/// A folder on a disk that is recorded.
pub(super) struct Stage {
    _folder: TempDir,
    root: PathBuf,
    trace: PathBuf,
    log: PathBuf,
    recorder: Recorder,
}

impl Stage {
    /// With what this puts there, which is durable.
    pub(super) fn new(before: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?;
        let root = path.join("disk");
        fs::create_dir(&root)?;
        before(&root)?;
        Ok(Self {
            recorder: Recorder::of(&root)?,
            trace: path.join("trace"),
            log: path.join("log"),
            root,
            _folder: folder,
        })
    }

    /// Starts a server on it, whose journal takes so much longer to sync than the disk needs.
    pub(super) async fn start(&self, sync_delay: Duration) -> Result<Server> {
        let start = Start {
            place: Place::Folder(self.root.join(DATA)),
            environment: vec![("GRANARY_LOG".to_owned(), "info".to_owned())],
            log: Some(self.log.clone()),
            before: record::tracer(&self.trace, sync_delay),
        };
        Server::spawn(start).await.context(
            "cannot record a server: strace has to be there (on Debian: apt-get install strace), and has to be allowed to \
             trace (in a container: --cap-add SYS_PTRACE)",
        )
    }

    /// Follows what a server does that was started.
    pub(super) fn watch(&self) -> Result<Watch> {
        Watch::of(&self.trace, &self.root.join(DATA).join("redo"))
    }

    /// What servers have logged on it.
    pub(super) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Reads what a server did, which has ended.
    pub(super) async fn ended(&mut self, process: u32) -> Result<()> {
        let waited = Instant::now();
        while !record::is_ended(&self.trace, process)? {
            ensure!(waited.elapsed() < PATIENCE, "strace does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.recorder.read(&self.trace)
    }

    /// Fails where what was recorded does not lead to what is there: a change was missed.
    pub(super) fn is_as_recorded(&self) -> Result<()> {
        let mut disk = Disk::new();
        self.events()
            .iter()
            .for_each(|recorded| disk.apply(&recorded.event));
        let built = tempfile::tempdir()?;
        disk.write_to(built.path(), Pending::Kept)?;
        same_folders(&self.root, built.path()).context("the record does not lead to what is there")
    }

    /// What has happened so far.
    pub(super) fn events(&self) -> &[Recorded] {
        self.recorder.events()
    }

    /// Starts a server, which stops when this was done with it.
    pub(super) async fn record(
        &mut self,
        work: impl AsyncFnOnce(&Client, &Path) -> Result<()>,
    ) -> Result<()> {
        let mut server = self.start(SYNC_DELAY).await?;
        let process = server.pid().context("the server has ended")?;
        let worked = work(&server.client()?, &self.root).await;
        worked.with_context(|| format!("its log: {}", self.log().unwrap_or_default()))?;
        let status = server.stop().await?;
        ensure!(
            status.success(),
            "the server that was recorded ended with {status}"
        );
        self.ended(process).await?;
        self.is_as_recorded()
    }

    pub(super) fn into_events(self) -> Vec<Recorded> {
        self.recorder.into_events()
    }
}

/// What a folder holds, by name.
pub(super) fn names(folder: &Path) -> Result<BTreeSet<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    names.collect()
}

/// Fails where a name or a byte differs.
fn same_folders(one: &Path, other: &Path) -> Result<()> {
    let (here, there) = (names(one)?, names(other)?);
    ensure!(here == there, "{}: {here:?}, and not {there:?}", one.display());
    for name in here {
        let (one, other) = (one.join(&name), other.join(&name));
        if one.is_dir() {
            same_folders(&one, &other)?;
        } else {
            ensure!(fs::read(&one)? == fs::read(&other)?, "{} differs", one.display());
        }
    }
    Ok(())
}

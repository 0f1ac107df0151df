//! A small disk of memory: one that fills, and one that is read only.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use granary_core::operation::TargetType;
use tempfile::TempDir;

use super::{Came, Load, SOURCE, readiness, start, start_fresh};
use crate::model::{LARGE, Operation};

/// A file system of its own, taken away again when it is dropped.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new(megabytes: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let disk = Self { folder };
        disk.mount(&format!("size={megabytes}m"), &["-t", "tmpfs", "tmpfs"])
            .context("cannot mount a small disk of memory (in a container: --cap-add SYS_ADMIN)")?;
        Ok(disk)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn mount(&self, options: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new("mount");
        let status = command
            .args(["-o", options])
            .args(words)
            .arg(self.folder.path())
            .status()?;
        ensure!(status.success(), "mount says no: {options}");
        Ok(())
    }

    fn again(&self, options: &str) -> Result<()> {
        self.mount(&format!("remount,{options}"), &[])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not reached before its servers have ended; what is left goes with the machine.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// What was seen on a disk that filled.
#[derive(Debug)]
pub struct FullDisk {
    /// Requests that were accepted before it was full.
    pub accepted: usize,
    /// Requests and single writes that were refused.
    pub refused: usize,
    /// It had to be started again once there was room.
    pub started_again: bool,
}

/// Fills a disk with bulk requests until one is refused, makes room, and looks that nothing that was acknowledged is lost.
pub async fn full_disk(seed: u64) -> Result<FullDisk> {
    const MEGABYTES: u32 = 160;
    const REQUESTS_MAX: usize = 400;
    let disk = Disk::new(MEGABYTES)?;
    let mut load = Load::new(seed);
    let mut server = start_fresh(&disk.path()).await?;
    let source = server.client()?.source(SOURCE);
    load.single(&source).await?;
    let (mut accepted, mut refused, mut number) = (0, 0, 0);
    while refused < 3 {
        let moment = load.requests.sent.len() as u64;
        // Large, and packing badly: each record another.
        let place = load.requests.next_of(TargetType::Resource, 60, moment, |_, _| {
            number += 1;
            Operation::Upsert((format!("{LARGE}{number}"), None), 1)
        });
        match load.send(&source, place).await? {
            Came::Acknowledged => accepted += 1,
            Came::Refused => refused += 1,
        }
        match load.single(&source).await? {
            Came::Acknowledged => {}
            Came::Refused => refused += 1,
        }
        ensure!(accepted < REQUESTS_MAX, "the disk does not get full");
    }
    // It serves what it has.
    source.get_resource("place", &super::single_id(0)).await?;
    disk.again(&format!("size={}m", 8 * MEGABYTES))?;
    let started_again = readiness(&server).await?.0 != 200 || {
        let came = load.single(&source).await?;
        matches!(came, Came::Refused)
    };
    if started_again {
        server.kill().await?;
        server = start(&disk.path(), Vec::new()).await.context("with room again")?;
    }
    let client = server.client()?;
    ensure!(readiness(&server).await?.0 == 200, "it is not ready again");
    let came = load.bulk(&client.source(SOURCE), 100).await?;
    ensure!(
        matches!(came, Came::Acknowledged),
        "with room again it does not go on"
    );
    load.holds(&client).await?;
    Ok(FullDisk {
        accepted,
        refused,
        started_again,
    })
}

/// A start on a disk that is read only is refused, with what it says; what is there is found again once it is not.
pub async fn read_only_disk(seed: u64) -> Result<String> {
    let disk = Disk::new(128)?;
    let mut load = Load::new(seed);
    let mut server = start_fresh(&disk.path()).await?;
    load.bulk(&server.client()?.source(SOURCE), 500).await?;
    ensure!(server.stop().await?.success(), "it does not stop well");
    disk.again("ro")?;
    let said = refusal(&disk.path())?;
    disk.again("rw")?;
    let server = start(&disk.path(), Vec::new()).await?;
    load.holds(&server.client()?).await?;
    Ok(said)
}

/// What a server says that does not start on this folder.
fn refusal(data: &Path) -> Result<String> {
    let mut command = Command::new(crate::binary()?);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data);
    let ended = command.output()?;
    match ended.status.code() {
        Some(0) | None => bail!("it ended with {}", ended.status),
        Some(_) => Ok(String::from_utf8(ended.stderr)?),
    }
}

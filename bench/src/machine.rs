//! What the machine can do and what it holds.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

/// The machine that something was measured on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// Appends of 4 KiB to a file, each synced.
    pub(crate) fsyncs_per_second: f64,
    /// Processes that ran or waited for the disk before the bench began, on average over a minute.
    pub(crate) load_before: f64,
}

impl Machine {
    /// This one, whose disk is that of `folder`.
    pub(crate) fn here(folder: &Path) -> Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split_ascii_whitespace().next().unwrap_or_default();
        let kernel = line("/proc/sys/kernel/osrelease", "");
        let kilobytes = line("/proc/meminfo", "MemTotal:");
        let kilobytes: u64 = kilobytes.trim_end_matches(" kB").parse().unwrap_or_default();
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: line("/proc/cpuinfo", "model name")
                .replacen(':', "", 1)
                .trim()
                .to_owned(),
            memory_bytes: kilobytes * 1024,
            kernel: kernel.split('-').next().unwrap_or_default().to_owned(),
            fsyncs_per_second: fsyncs_per_second(folder)?,
            load_before: load.parse().unwrap_or_default(),
        })
    }
}

/// What stands behind `start` in the first line of a file that begins so.
fn line(path: &str, start: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(start));
    found.unwrap_or_default().trim().to_owned()
}

/// How often a second a file of this folder can be appended to and synced.
pub(crate) fn fsyncs_per_second(folder: &Path) -> Result<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let (mut count, started) = (0_u32, Instant::now());
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// The length of these files in all.
pub(crate) fn length(paths: &[PathBuf]) -> Result<u64> {
    let lengths = paths.iter().map(|path| Ok(path.metadata()?.len()));
    lengths.sum()
}

/// The bytes that the files below a folder take on disk.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // A compaction may have removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

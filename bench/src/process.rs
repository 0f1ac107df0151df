//! What the system says of a process.

use std::fs;

use anyhow::{Context, Result};

/// A line of `/proc/PID/status` that is in kB, in bytes: `VmRSS` or `VmHWM`.
pub(crate) fn memory_bytes(pid: u32, line: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = value
        .and_then(|v| v.trim().strip_suffix(" kB"))
        .context("no such line in status")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}

/// The CPU time that a process has taken, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    // In hundredths of a second on Linux; the name of the process may hold blanks, and ends with `)`.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short stat")?.parse::<f64>()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

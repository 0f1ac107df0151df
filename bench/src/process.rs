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

/// The CPU time that a process and its children have taken, those included that have ended.
pub(crate) fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let mut seconds = ticks(pid, &[11, 12, 13, 14])?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_ascii_whitespace() {
        // One that has ended meanwhile counts among those of its parent the next time.
        seconds += child.parse().map(cpu_seconds)?.unwrap_or_default();
    }
    Ok(seconds)
}

/// The CPU time that a process has taken, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    ticks(pid, &[11, 12])
}

/// The sum of these fields of its `stat`, which are times, in seconds.
fn ticks(pid: u32, fields_of_time: &[usize]) -> Result<f64> {
    // In hundredths of a second on Linux; the name of the process may hold blanks, and ends with `)`.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let mut ticks = 0.0;
    for at in fields_of_time {
        ticks += fields.get(*at).context("a short stat")?.parse::<f64>()?;
    }
    Ok(ticks / 100.0)
}

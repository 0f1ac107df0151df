//! What processes take: time, CPU, memory, bytes written; and what the rest of the machine took meanwhile.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

/// How often the memory of a family of processes is looked at; of one process the kernel keeps the peak.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    /// One process.
    One(u32),
    /// A process and its children, those that end meanwhile included.
    Family(u32),
}

impl Subject {
    fn cpu_seconds(self) -> Result<f64> {
        match self {
            Self::One(pid) => cpu_seconds(pid),
            Self::Family(pid) => family_cpu_seconds(pid),
        }
    }

    fn written_bytes(self) -> Result<u64> {
        match self {
            Self::One(pid) => written_bytes(pid),
            Self::Family(pid) => {
                let children = children(pid)?;
                let of_children = children.iter().filter_map(|child| written_bytes(*child).ok());
                Ok(written_bytes(pid)? + of_children.sum::<u64>())
            }
        }
    }
}

/// What something took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    /// Of the processes that were measured.
    pub(crate) cpu_seconds: f64,
    /// Of the bench itself, which sends and waits.
    pub(crate) client_cpu_seconds: f64,
    /// Cores that anything else on the machine took, on average.
    pub(crate) others_cores: f64,
    pub(crate) peak_memory_bytes: u64,
    /// Bytes that were handed to the disk.
    pub(crate) written_bytes: u64,
}

/// Measures from its start on.
pub(crate) struct Meter {
    subject: Subject,
    started: Instant,
    cpu_seconds: f64,
    own_cpu_seconds: f64,
    busy_seconds: f64,
    written_bytes: u64,
    watch: Option<Watch>,
}

impl Meter {
    pub(crate) fn start(subject: Subject) -> Result<Self> {
        let watch = match subject {
            Subject::One(pid) => {
                forget_peak(pid)?;
                None
            }
            Subject::Family(pid) => Some(Watch::start(pid)),
        };
        Ok(Self {
            subject,
            cpu_seconds: subject.cpu_seconds()?,
            own_cpu_seconds: cpu_seconds(std::process::id())?,
            busy_seconds: busy_seconds()?,
            written_bytes: subject.written_bytes()?,
            watch,
            started: Instant::now(),
        })
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub(crate) fn stop(self) -> Result<Usage> {
        let seconds = self.seconds();
        let cpu_seconds = self.subject.cpu_seconds()? - self.cpu_seconds;
        let client_cpu_seconds = match self.subject {
            // It is what is measured.
            Subject::One(pid) if pid == std::process::id() => 0.0,
            _ => Subject::One(std::process::id()).cpu_seconds()? - self.own_cpu_seconds,
        };
        let others = busy_seconds()? - self.busy_seconds - cpu_seconds - client_cpu_seconds;
        let peak_memory_bytes = match (self.watch, self.subject) {
            (Some(watch), _) => watch.stop()?,
            (None, Subject::One(pid) | Subject::Family(pid)) => memory_bytes(pid, "VmHWM")?,
        };
        Ok(Usage {
            seconds,
            cpu_seconds,
            client_cpu_seconds,
            others_cores: (others / seconds).max(0.0),
            peak_memory_bytes,
            written_bytes: self.subject.written_bytes()?.saturating_sub(self.written_bytes),
        })
    }
}

/// Looks at the memory of a family of processes again and again.
struct Watch {
    over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(pid: u32) -> Self {
        let (over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, highest) = (Arc::clone(&over), Arc::clone(&peak));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                highest.fetch_max(family_memory_bytes(pid), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self { over, peak, thread }
    }

    fn stop(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        let joined = self.thread.join();
        joined.map_err(|_| anyhow!("the watch over memory ended early"))?;
        Ok(self.peak.load(Ordering::Relaxed))
    }
}

/// What each process has of its own, and once what they share.
fn family_memory_bytes(pid: u32) -> u64 {
    let mut family = children(pid).unwrap_or_default();
    family.push(pid);
    // One that has ended meanwhile has none.
    let line = |pid: &u32, line| memory_bytes(*pid, line).unwrap_or_default();
    let own: u64 = family.iter().map(|pid| line(pid, "RssAnon")).sum();
    let shared = family.iter().map(|pid| line(pid, "RssShmem")).max();
    own + shared.unwrap_or_default()
}

/// Has the kernel count the peak of a process's memory from now on.
fn forget_peak(pid: u32) -> Result<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

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

fn children(pid: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_ascii_whitespace();
    Ok(children.map(str::parse).collect::<Result<_, _>>()?)
}

/// The bytes that a process, with children that have ended, has handed to the disk.
fn written_bytes(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("no such line in io")?.parse()?)
}

/// The CPU time that a process and its children have taken, those included that have ended.
pub(crate) fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let mut seconds = ticks(pid, &[11, 12, 13, 14])?;
    for child in children(pid)? {
        // One that has ended meanwhile counts among those of its parent the next time.
        seconds += cpu_seconds(child).unwrap_or_default();
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

/// The CPU time that all cores of the machine have spent on anything at all.
fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("an empty /proc/stat")?;
    let mut ticks = 0.0;
    for (at, field) in line.split_ascii_whitespace().skip(1).take(8).enumerate() {
        // Neither idle nor waiting for the disk.
        if at != 3 && at != 4 {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks / 100.0)
}

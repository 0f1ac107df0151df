//! Deaths before a call of the system: strace kills the server when one of its threads is about to make it. The state of
//! the folder after any write, sync, rename or removal is one that it has before the next.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::Place;
use crate::power::points::part;
use crate::server::PATIENCE;

/// Calls that change files, with how often a thread makes them, about, before the next death is due by its moment.
const CALLS: [(&str, u32); 7] = [
    ("fsync,fdatasync", 16),
    ("fsync,fdatasync", 120),
    ("write,pwrite64,writev", 60),
    ("write,pwrite64,writev", 1_500),
    ("rename,renameat,renameat2", 4),
    ("unlink,unlinkat", 4),
    ("openat,ftruncate,mkdir", 30),
];

/// The server dies when a thread makes one of these calls for that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    calls: &'static str,
    number: u32,
}

impl Point {
    pub(super) fn choose(rng: &mut StdRng) -> Self {
        let (calls, most) = CALLS[rng.random_range(0..CALLS.len())];
        let number = rng.random_range(1..=most);
        Self { calls, number }
    }

    /// What goes before the command line of the server, and writes which calls it made.
    pub(super) fn words(self, trace: &Path) -> Vec<String> {
        let Self { calls, number } = self;
        let words = [
            "strace",
            // The server stays the child of who starts it.
            "-D",
            "-f",
            // Paths of descriptors, and no contents.
            "-y",
            "-s",
            "0",
            "-e",
            &format!("trace=execve,{calls}"),
            "-e",
            &format!("inject={calls}:signal=SIGKILL:when={number}"),
            "-o",
            &trace.display().to_string(),
            "--",
        ];
        words.map(str::to_owned).to_vec()
    }
}

/// Before which call the last server died, and on what: the one that did not return. `None` where it was killed otherwise.
/// To be called when it has ended.
pub(super) async fn died_before(trace: &Path, place: &Place) -> Result<Option<String>> {
    let Place::Folder(root) = place else {
        return Ok(None);
    };
    let waited = Instant::now();
    let calls = loop {
        let calls = match std::fs::read_to_string(trace) {
            Ok(calls) => calls,
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        // The first line is of the process as a whole, and so is the last.
        let process = calls.split(' ').next().unwrap_or_default();
        let last = calls
            .trim_end_matches('\n')
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        let is_of_process = last.split(' ').next() == Some(process) && last.contains(" +++ ");
        if is_of_process && calls.ends_with('\n') {
            break calls;
        }
        if waited.elapsed() >= PATIENCE {
            let from = calls.len().saturating_sub(2_000);
            bail!("strace does not end: {}", calls.get(from..).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let died = calls.lines().rev().find_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let unfinished = call.ends_with("<unfinished ...>") || call.ends_with("= ?");
        let (name, arguments) = call.trim_start().split_once('(')?;
        unfinished.then(|| named(name, arguments, root).unwrap_or_else(|| format!("{name} elsewhere")))
    });
    Ok(died)
}

/// A call, by its name and the part of the folder that it is on; `None` for one on no file of it.
fn named(name: &str, arguments: &str, root: &Path) -> Option<String> {
    let root = root.to_str()?;
    let from = arguments.find(root)?;
    let path = arguments[from + root.len()..].split(['>', '"']).next()?;
    let part = part(&format!("data{path}"), |_| false);
    let relation = match name {
        "write" | "pwrite64" | "writev" => "to",
        _ => "of",
    };
    let name = name.trim_end_matches("at").trim_end_matches("64");
    Some(format!("{name} {relation} {part}"))
}

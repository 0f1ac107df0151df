//! Deaths before a call of the system: a library that is preloaded into the server kills it when one of its threads is
//! about to make the call, see `die_before.c`. The state of the folder after any write, sync, rename or removal is one that
//! it has before the next. Each has a clock of its own, which may be behind that of the one before.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::Place;
use crate::power::points::part;

const SOURCE: &str = include_str!("die_before.c");

/// Calls that change files of the folder: of which kind, on what part of a path, and how often a server makes them, about,
/// before its next death is due by its moment. Some die in their start, some under load, some otherwise.
const CALLS: [(&str, &str, u32); 11] = [
    ("sync", "", 8),
    ("sync", "", 24),
    ("sync", SEGMENTS, 3),
    ("write", "", 12),
    ("write", "", 60),
    ("write", ".jnl", 200),
    ("remove", "", 2),
    ("make", "", 8),
    // Of a run, and between its batch and what comes after it.
    ("sync", REDO, 4),
    ("remove", REDO, 2),
    ("sync", "/tables", 4),
];
const SEGMENTS: &str = "/segments/";
const REDO: &str = "/redo";

/// The clock of a server is behind by up to so many seconds, so that it may stand before where that of the last one stood.
const CLOCK_BACK_MAX: i64 = 7_200;

/// The server dies when it makes one of these calls for that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    calls: &'static str,
    on: &'static str,
    number: u32,
}

/// What servers are killed with.
#[derive(Debug)]
pub(super) struct Killer {
    folder: tempfile::TempDir,
}

impl Killer {
    pub(super) fn compile() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("die_before.c");
        std::fs::write(&source, SOURCE)?;
        let killer = Self { folder };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&killer.library(), &source])
            .status()
            .context("deaths before calls of the system need cc, which Rust links with")?;
        ensure!(compiled.success(), "die_before.c does not compile");
        Ok(killer)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("die_before.so")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("died")
    }

    /// What kills a server with its store at this place, in its environment.
    pub(super) fn environment(&self, place: &Place, rng: &mut StdRng) -> Result<Vec<(String, String)>> {
        let Place::Folder(under) = place else {
            return Ok(Vec::new());
        };
        // Of its last life, not of one before.
        if let Err(failure) = std::fs::remove_file(self.log()) {
            ensure!(failure.kind() == ErrorKind::NotFound, failure);
        }
        let Point { calls, on, number } = Point::choose(rng);
        let text = |path: &Path| {
            path.to_str()
                .map(str::to_owned)
                .context("a path of tests is text")
        };
        let variables = [
            ("LD_PRELOAD", text(&self.library())?),
            ("DIE_LOG", text(&self.log())?),
            ("DIE_UNDER", text(under)?),
            ("DIE_BEFORE", calls.to_owned()),
            ("DIE_ON", on.to_owned()),
            ("DIE_AT", number.to_string()),
            ("SHIFT_CLOCK", rng.random_range(-CLOCK_BACK_MAX..=0).to_string()),
        ];
        Ok(variables.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    /// Before which call the last server died, and on what; `None` where it was killed otherwise. To be called when it has
    /// ended.
    pub(super) fn died_before(&self, place: &Place) -> Result<Option<String>> {
        let Place::Folder(root) = place else {
            return Ok(None);
        };
        let died = match std::fs::read_to_string(self.log()) {
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
            died => died?,
        };
        let (call, path) = died
            .split_once(' ')
            .with_context(|| format!("{died:?} is no call"))?;
        let path = Path::new(path).strip_prefix(root)?;
        let part = part(&format!("data/{}", path.display()), |_| false);
        let relation = match call {
            "write" | "pwrite" | "pwrite64" | "writev" => "to",
            _ => "of",
        };
        let call = match call.trim_end_matches("64").trim_end_matches("at") {
            "fdatasync" => "fsync",
            call => call,
        };
        Ok(Some(format!("{call} {relation} {part}")))
    }
}

impl Point {
    fn choose(rng: &mut StdRng) -> Self {
        let (calls, on, most) = CALLS[rng.random_range(0..CALLS.len())];
        let number = rng.random_range(1..=most);
        Self { calls, on, number }
    }
}

//! A disk whose bytes change while nobody looks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use granary_core::operation::TargetType;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Load, SOURCE, refused_with, start_fresh};
use crate::model::Operation;
use crate::power::Part;
use crate::power::points::part;
use crate::requests::ID;
use crate::server::Start;
use crate::{Place, Server};

/// More records than go in by a batch.
const RUN: usize = 5_000;

/// What came of bytes that were changed, by the part of the folder.
#[derive(Debug, Default)]
pub struct Flips {
    /// The server did not start.
    pub not_started: BTreeMap<Part, u32>,
    /// It started, and answered at least one call with a failure.
    pub noticed: BTreeMap<Part, u32>,
    /// All was as it should be: the byte said nothing.
    pub harmless: BTreeMap<Part, u32>,
}

/// Changes one byte in a file of each part of a folder, so many times, and looks each time at all that was acknowledged:
/// no answer may be wrong.
pub async fn flipped_bytes(each: u32, seed: u64) -> Result<Flips> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut load = Load::new(seed);
    let mut server = start_fresh(&data).await?;
    let source = server.client()?.source(SOURCE);
    // Of so many records that they go in as a run, which makes a table; the others stay in the journal.
    let moment = load.requests.sent.len() as u64;
    let mut number = 0;
    let place = load.requests.next_of(TargetType::Resource, RUN, moment, |_, _| {
        number += 1;
        Operation::Upsert((format!("{ID}{number}"), None), 1)
    });
    load.send(&source, place).await?;
    for operations in [9_000, 9_000, 300, 300] {
        load.bulk(&source, operations).await?;
        load.single(&source).await?;
    }
    load.holds(&server.client()?).await?;
    server.kill().await?;

    let mut files = BTreeMap::<Part, Vec<PathBuf>>::new();
    let mut all = Vec::new();
    list(&data, &mut all)?;
    for path in all {
        let inside = path.strip_prefix(folder.path())?;
        let part = part(inside.to_str().context("a path of granary is text")?, |_| false);
        if fs::metadata(&path)?.len() > 0 {
            files.entry(part).or_default().push(path);
        }
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mut flips = Flips::default();
    for (part, files) in files {
        // Most bytes of the journal are of a body, which its checksum covers, and some say where a batch ends.
        let count = if part == Part::Journal { 3 * each } else { each };
        for _ in 0..count {
            let changed = tempfile::tempdir()?;
            let to = changed.path().join("data");
            copy(&data, &to)?;
            let path = &files[rng.random_range(0..files.len())];
            let path = to.join(path.strip_prefix(&data)?);
            let file = fs::File::options().read(true).write(true).open(&path)?;
            let at = rng.random_range(0..used(&path)?);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            byte[0] ^= 1 << rng.random_range(0..8);
            file.write_all_at(&byte, at)?;
            drop(file);
            let what = format!("byte {at} of {} was changed", path.display());
            let log = changed.path().join("log");
            let came = match Server::spawn(Start {
                log: Some(log.clone()),
                ..Start::at(Place::Folder(to), Vec::new())
            })
            .await
            {
                Err(error) => {
                    let said = fs::read_to_string(&log)?;
                    ensure!(said.contains(" is damaged: "), "{what}: {error:?}, {said}");
                    &mut flips.not_started
                }
                Ok(server) => match load.holds(&server.client()?).await {
                    Ok(()) => &mut flips.harmless,
                    Err(error) if refused_with(&error).is_some_and(|code| code >= 500) => &mut flips.noticed,
                    Err(error) => return Err(error.context(what)),
                },
            };
            *came.entry(part).or_default() += 1;
        }
    }
    Ok(flips)
}

/// The bytes of a file up to the last that is not zero: the journal is made with room.
fn used(path: &Path) -> Result<u64> {
    let bytes = fs::read(path)?;
    let last = bytes.iter().rposition(|byte| *byte != 0);
    Ok(last.map_or(bytes.len(), |last| last + 1) as u64)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => list(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            kind => bail!("{} is a {kind:?}", entry.path().display()),
        }
    }
    files.sort();
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    ensure!(to.is_dir(), "a copy is a folder");
    Ok(())
}

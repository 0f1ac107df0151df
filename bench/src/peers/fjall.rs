//! fjall alone, in a process of its own: blind puts of the same records in batches of a thousand, each synced. No check, no
//! look at what is there, no receipts.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use crate::machine;
use crate::process::{Meter, Subject, Usage};
use crate::workload::{Action, Load, Operation};

const OPERATIONS_PER_SYNC: usize = 1_000;
/// As much as granary has.
const CACHE_BYTES: u64 = 64 << 20;
/// What stands for the length of a value where there is none.
const DELETED: u32 = u32::MAX;
const READY: &str = "ready";
const DONE: &str = "done";

pub(crate) struct Files {
    before: PathBuf,
    measured: PathBuf,
}

impl Files {
    pub(crate) fn write(load: &Load, folder: &Path) -> Result<Self> {
        let files = Self {
            before: folder.join("fjall-before"),
            measured: folder.join("fjall"),
        };
        write(load.before(), &files.before)?;
        write(load.measured(), &files.measured)?;
        Ok(files)
    }
}

/// Each as the lengths of key and value, key, value.
fn write(operations: impl Iterator<Item = Operation>, path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for operation in operations {
        let (key, data) = (operation.key(), operation.data);
        let length = match operation.action {
            Action::Delete => DELETED,
            Action::Create | Action::Upsert => u32::try_from(data.len())?,
        };
        out.write_all(&u32::try_from(key.len())?.to_le_bytes())?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(key.as_bytes())?;
        out.write_all(data.as_bytes())?;
    }
    Ok(out.flush()?)
}

/// What the process is told.
#[derive(Args)]
pub(crate) struct FjallArguments {
    /// Where the database is to be
    data: PathBuf,
    /// What is put before it says that it is ready
    before: PathBuf,
    /// What is put once a line came
    measured: PathBuf,
}

impl FjallArguments {
    /// The process itself.
    pub(crate) fn run(&self) -> Result<()> {
        let database = Database::builder(&self.data)
            .cache_size(CACHE_BYTES)
            .manual_journal_persist(true)
            .open()?;
        put(&database, &self.before)?;
        let mut line = String::new();
        say(READY)?;
        if std::io::stdin().read_line(&mut line)? == 0 {
            bail!("nobody waits for it any more");
        }
        put(&database, &self.measured)?;
        say(DONE)?;
        std::io::stdin().read_line(&mut line)?;
        Ok(())
    }
}

fn say(word: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{word}")?;
    Ok(out.flush()?)
}

fn put(database: &Database, path: &Path) -> Result<()> {
    let records = database.keyspace("records", || {
        KeyspaceCreateOptions::default().manual_journal_persist(true)
    })?;
    let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
    while !input.fill_buf()?.is_empty() {
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        for _ in 0..OPERATIONS_PER_SYNC {
            if input.fill_buf()?.is_empty() {
                break;
            }
            let (key_length, length) = (number(&mut input)?, number(&mut input)?);
            let key = bytes(&mut input, key_length)?;
            if length == DELETED {
                batch.remove(&records, key);
            } else {
                batch.insert(&records, key, bytes(&mut input, length)?);
            }
        }
        batch.commit()?;
    }
    Ok(())
}

fn number(input: &mut impl Read) -> Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn bytes(input: &mut impl Read, length: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn run(files: &Files, _: &Load, folder: &Path) -> Result<(Usage, u64)> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut process = Process::start(files, &folder.path().join("data"))?;
    process.expect(READY)?;
    let meter = Meter::start(Subject::One(process.child.id()))?;
    process.go_on()?;
    process.expect(DONE)?;
    let usage = meter.stop()?;
    let disk_bytes = machine::disk_bytes(folder.path())?;
    process.go_on()?;
    ensure!(process.child.wait()?.success(), "fjall did not end well");
    Ok((usage, disk_bytes))
}

/// The process from outside; killed when it is dropped.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(files: &Files, data: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("fjall")
            .args([data, &files.before, &files.measured])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn go_on(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"\n")?)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.trim() != word {
            bail!("fjall ended early");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

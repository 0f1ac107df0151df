//! Redis with its append-only file, synced every second: SET and DEL of the same records, pipelined by the thousand over a
//! socket of the machine. It keeps all in memory, checks nothing, and may lose a second: a ceiling.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine;
use crate::process::{Meter, Subject, Usage};
use crate::workload::{Action, Load, Operation};

const PROGRAM: &str = "redis-server";
const COMMANDS_AT_ONCE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether it is in the PATH.
pub(crate) fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file())
}

pub(crate) struct Files {
    before: PathBuf,
    measured: PathBuf,
}

impl Files {
    pub(crate) fn write(load: &Load, folder: &Path) -> Result<Self> {
        let files = Self {
            before: folder.join("redis-before"),
            measured: folder.join("redis"),
        };
        write(load.before(), &files.before)?;
        write(load.measured(), &files.measured)?;
        Ok(files)
    }
}

/// A thousand commands at a time, as they go over the connection, after their count and their length.
fn write(operations: impl Iterator<Item = Operation>, path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut operations = operations.peekable();
    let mut commands = Vec::new();
    while operations.peek().is_some() {
        commands.clear();
        let mut count = 0_u64;
        for operation in operations.by_ref().take(COMMANDS_AT_ONCE) {
            let (key, data) = (operation.key(), operation.data);
            match operation.action {
                Action::Delete => command(&mut commands, &["DEL", &key])?,
                Action::Create | Action::Upsert => command(&mut commands, &["SET", &key, &data])?,
            }
            count += 1;
        }
        out.write_all(&count.to_le_bytes())?;
        out.write_all(&(commands.len() as u64).to_le_bytes())?;
        out.write_all(&commands)?;
    }
    Ok(out.flush()?)
}

fn command(out: &mut Vec<u8>, words: &[&str]) -> Result<()> {
    write!(out, "*{}\r\n", words.len())?;
    for word in words {
        write!(out, "${}\r\n{word}\r\n", word.len())?;
    }
    Ok(())
}

pub(crate) fn run(files: &Files, load: &Load, folder: &Path) -> Result<(Usage, u64)> {
    let folder = tempfile::tempdir_in(folder)?;
    let server = Server::start(folder.path())?;
    let mut connection = server.connect(folder.path())?;
    send(&mut connection, &files.before)?;
    let meter = Meter::start(Subject::One(server.child.id()))?;
    let count = send(&mut connection, &files.measured)?;
    let usage = meter.stop()?;
    ensure!(count == load.operations, "{count} commands were answered");
    Ok((usage, machine::disk_bytes(folder.path())?))
}

/// Sends the commands of a file and waits for every answer; how many there were.
fn send(connection: &mut UnixStream, path: &Path) -> Result<u64> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut answers = BufReader::new(connection.try_clone()?);
    let (mut commands, mut line, mut sent) = (Vec::new(), Vec::new(), 0);
    while !input.fill_buf()?.is_empty() {
        let (count, length) = (number(&mut input)?, number(&mut input)?);
        commands.resize(usize::try_from(length)?, 0);
        input.read_exact(&mut commands)?;
        connection.write_all(&commands)?;
        for _ in 0..count {
            line.clear();
            answers.read_until(b'\n', &mut line)?;
            ensure!(
                matches!(line.first(), Some(b'+' | b':')),
                "Redis answers {}",
                String::from_utf8_lossy(&line)
            );
        }
        sent += count;
    }
    Ok(sent)
}

fn number(input: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The server; killed when it is dropped.
struct Server {
    child: Child,
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        let child = Command::new(PROGRAM)
            .args(["--port", "0", "--unixsocket", "socket", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir", "."])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        Ok(Self { child })
    }

    fn connect(&self, folder: &Path) -> Result<UnixStream> {
        let started = Instant::now();
        loop {
            match UnixStream::connect(folder.join("socket")) {
                Ok(connection) => return Ok(connection),
                Err(_) if started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => bail!("redis-server does not start: {error}"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Where the programs of PostgreSQL are, and as whom they run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The folder that Debian puts the versions in; it is not in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The Debian packages of what is not installed here.
pub fn missing_packages() -> Vec<&'static str> {
    let found = [
        ("postgresql", server("initdb").is_ok()),
        ("pgbouncer", pgbouncer().is_ok()),
    ];
    let missing = found.into_iter().filter(|(_, found)| !found);
    missing.map(|(package, _)| package).collect()
}

/// A program of PostgreSQL's server.
pub(crate) fn server(name: &str) -> Result<Command> {
    let folder = newest_of(DEBIAN).or_else(in_path).or_else(by_pg_config);
    let folder = folder.context(
        "PostgreSQL is not installed: there is no `initdb`; install it, on Debian: apt-get install postgresql",
    )?;
    Ok(quiet(&folder.join(name)))
}

/// The program `pgbouncer`.
pub(crate) fn pgbouncer() -> Result<Command> {
    let found = folders_of_path().map(|folder| folder.join("pgbouncer"));
    // Not in the PATH of everybody.
    let mut found = found.chain([PathBuf::from("/usr/sbin/pgbouncer")]);
    let program = found
        .find(|program| program.is_file())
        .context("PgBouncer is not installed; install it, on Debian: apt-get install pgbouncer")?;
    Ok(quiet(&program))
}

/// A command that is told nothing by the environment or from stdin.
fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        // What `psql` is told elsewhere does not matter here.
        if name.to_str().is_some_and(|name| name.starts_with("PG")) {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn has_initdb(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

fn newest_of(versions: &str) -> Option<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir(versions).ok()?.flatten().map(|entry| entry.path());
    let mut versions: Vec<PathBuf> = versions
        .filter(|folder| version(folder).is_some() && has_initdb(&folder.join("bin")))
        .collect();
    versions.sort_by_key(version);
    Some(versions.pop()?.join("bin"))
}

fn folders_of_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn in_path() -> Option<PathBuf> {
    folders_of_path().find(|folder| has_initdb(folder))
}

fn by_pg_config() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
    has_initdb(&folder).then_some(folder)
}

/// Somebody that a server may run as: PostgreSQL refuses to run as root, as it does for tests in a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// `postgres` or `nobody` where this process is root; else nobody else is needed.
    pub(crate) fn other_than_root() -> Result<Option<Self>> {
        if fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let user = |name: &str| {
            let line = accounts
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
            Some(Self {
                uid: fields.next()??,
                gid: fields.next()??,
            })
        };
        let user = user("postgres").or_else(|| user("nobody"));
        Ok(Some(user.context(
            "root cannot run PostgreSQL, and there is neither a user `postgres` nor `nobody`",
        )?))
    }

    /// Has a command run as this user.
    pub(crate) fn runs(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this user the owner.
    pub(crate) fn owns(self, path: &Path) -> Result<()> {
        Ok(std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))?)
    }
}

/// Runs a command to its end and answers what it wrote; an error says what it complained about.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run `{name}`"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{name}` ended with {}: {}",
        output.status,
        complaint.trim()
    );
    match String::from_utf8(output.stdout) {
        Ok(text) => Ok(text),
        Err(_) => bail!("`{name}` wrote what is no text"),
    }
}

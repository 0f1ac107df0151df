//! A PostgreSQL server, which PostgreSQL calls a cluster: of databases.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::folder::{Folder, signal};
use crate::port;
use crate::programs::{run, server};

/// How long a server may take for anything. Generous: it only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Whether what was committed outlives the death of the machine. That of the server it outlives in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is forced to the disk: fast, and the same in all that a test of rules can see.
    Off,
    /// As in production.
    On,
}

/// A PostgreSQL server of the test's own, with the superuser `postgres` and no password.
#[derive(Debug)]
pub struct Cluster {
    settings: Vec<String>,
    durability: Durability,
    addr: SocketAddr,
    /// The postmaster, while it runs.
    process: Mutex<Option<Child>>,
    folder: Folder,
}

impl Cluster {
    /// Starts one, empty.
    pub fn start(durability: Durability) -> Result<Self> {
        Self::start_with(durability, &[])
    }

    /// The same with these settings, each as `name=value`.
    pub fn start_with(durability: Durability, settings: &[&str]) -> Result<Self> {
        let cluster = Self::new(durability, settings)?;
        run(Command::new("cp")
            .args(["--archive", "--reflink=auto", "--"])
            .arg(template()?)
            .arg(cluster.data()))?;
        cluster.launch()?;
        Ok(cluster)
    }

    /// The one that all tests of a process share. It is not durable, and ends with the process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start(Durability::Off)
                .unwrap_or_else(|error| panic!("no PostgreSQL for the tests: {error:#}"))
        })
    }

    fn new(durability: Durability, settings: &[&str]) -> Result<Self> {
        Ok(Self {
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            durability,
            addr: port::free()?,
            process: Mutex::default(),
            folder: Folder::new()?,
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the postmaster and waits until it serves.
    fn launch(&self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let mut command = server("postgres")?;
        command.arg("-D").arg(self.data());
        let durable = if self.durability == Durability::On {
            "on"
        } else {
            "off"
        };
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={}", self.addr.port()),
            "unix_socket_directories=",
            "max_connections=300",
            "max_prepared_transactions=10",
            &format!("fsync={durable}"),
            &format!("full_page_writes={durable}"),
            "synchronous_commit=on",
            // In the folder, so that it goes with it; else a server that is killed leaves it in the machine's.
            "dynamic_shared_memory_type=mmap",
            "log_line_prefix=%m [%p] ",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        self.folder.works(command.stdout(log.try_clone()?).stderr(log));
        let mut process = self.process();
        ensure!(process.is_none(), "the server runs already");
        let child = process.insert(command.spawn().context("cannot start `postgres`")?);
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                *process = None;
                bail!("`postgres` ended with {status}; its log:\n{}", self.log());
            }
            if self.says_ready(child.id()) {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "`postgres` does not start; its log:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The file of its process says how it is: the number of the process in the first line, in the eighth its state.
    fn says_ready(&self, pid: u32) -> bool {
        let Ok(file) = fs::read_to_string(self.data().join("postmaster.pid")) else {
            return false;
        };
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        lines.first() == Some(&pid.to_string().as_str())
            && matches!(lines.get(7), Some(&"ready" | &"standby"))
    }

    /// Where it listens, also while it is down.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        Self::url_at(self.addr, database)
    }

    /// The URL of a database behind another address, as a [`Proxy`](crate::Proxy) has.
    pub fn url_at(addr: SocketAddr, database: &str) -> String {
        format!("postgres://postgres@{addr}/{database}")
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs statements in a database, each for itself unless they say BEGIN, and answers the rows, with `|` between
    /// columns. Panics where one fails.
    #[track_caller]
    pub fn sql(&self, database: &str, text: &str) -> String {
        match self.try_sql(database, text) {
            Ok(rows) => rows,
            Err(error) => panic!("{text}: {error:#}"),
        }
    }

    /// The same, with an error where one fails or the server cannot be reached.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String> {
        psql(&self.url(database), text)
    }

    /// Creates a database, as a copy of another or empty.
    #[track_caller]
    pub fn create_database(&self, name: &str, template: Option<&str>) {
        let template = template.unwrap_or("template0");
        // Its pages are copied: quicker than by the log for databases of this size, where nothing is forced to the disk.
        let how = match self.durability {
            Durability::Off if self.version() >= 15 => " STRATEGY file_copy",
            _ => "",
        };
        self.sql(
            "postgres",
            &format!(
                "CREATE DATABASE {} TEMPLATE {}{how}",
                quoted(name),
                quoted(template)
            ),
        );
    }

    /// Drops a database and every connection to it.
    #[track_caller]
    pub fn drop_database(&self, name: &str) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", quoted(name));
        self.sql("postgres", &statement);
    }

    fn version(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("PG_VERSION")).unwrap_or_default();
        file.trim().parse().unwrap_or_default()
    }

    /// Kills all of its processes at once, as the death of the machine does.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.process();
        let mut child = process.take().context("the server is down already")?;
        let killed = self.folder.kill_all(child.id());
        child.wait()?;
        killed
    }

    /// Stops it without a checkpoint and without waiting for anybody; does nothing where it is down.
    pub fn stop(&self) -> Result<()> {
        let Some(mut child) = self.process().take() else {
            return Ok(());
        };
        signal("QUIT", &[child.id()])?;
        let started = Instant::now();
        while child.try_wait()?.is_none() {
            if started.elapsed() > PATIENCE {
                self.folder.kill_all(child.id())?;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Starts it again at the same address, after stopping it where it runs.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Starts a replica that takes over every change as it is made, and waits until it does.
    pub fn standby(&self) -> Result<Self> {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let standby = Self::new(self.durability, &settings)?;
        let name = format!("standby_{}", standby.addr.port());
        let from = format!(
            "host=127.0.0.1 port={} user=postgres application_name={name}",
            self.addr.port()
        );
        let mut backup = server("pg_basebackup")?;
        backup
            .args([
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
                "--dbname",
            ])
            .arg(from)
            .arg("--pgdata")
            .arg(standby.data());
        run(standby.folder.works(&mut backup))?;
        standby.launch()?;
        let streams = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        );
        let started = Instant::now();
        while self.try_sql("postgres", &streams)? != "1" {
            ensure!(
                started.elapsed() < PATIENCE,
                "the replica does not follow; its log:\n{}",
                standby.log()
            );
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(standby)
    }

    /// From now on a commit is answered once a replica has it as well, and waits for as long as there is none.
    pub fn commits_wait_for_standby(&self) -> Result<()> {
        let settings = "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()";
        self.try_sql("postgres", settings)?;
        let (heeded, started) = ("SHOW synchronous_standby_names", Instant::now());
        while self.try_sql("postgres", heeded)? != "*" {
            ensure!(
                started.elapsed() < PATIENCE,
                "the server does not heed its settings"
            );
            std::thread::sleep(LOOK_EVERY);
        }
        let (chosen, started) = (
            "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')",
            Instant::now(),
        );
        while self.try_sql("postgres", chosen)? != "t" {
            ensure!(started.elapsed() < PATIENCE, "no replica follows");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Makes a replica take writes, on its own from now on.
    pub fn promote(&self) -> Result<()> {
        // What the server it came from waited for, it must not wait for.
        let promoted = self.try_sql("postgres", "SELECT pg_promote(true, 60)")?;
        ensure!(
            promoted == "t",
            "the replica was not promoted; its log:\n{}",
            self.log()
        );
        let settings = "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()";
        self.try_sql("postgres", settings)?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The folder ends what is left.
        let _ = self.stop();
    }
}

/// A cluster that was never started, to copy: making one takes ten times as long.
fn template() -> Result<PathBuf> {
    static TEMPLATE: OnceLock<Result<(Folder, PathBuf), String>> = OnceLock::new();
    let make = || {
        let folder = Folder::new()?;
        let data = folder.path().join("data");
        let mut initdb = server("initdb")?;
        initdb
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust"])
            .args(["--username=postgres", "--pgdata"])
            .arg(&data);
        run(folder.works(&mut initdb))?;
        Ok((folder, data))
    };
    match TEMPLATE.get_or_init(|| make().map_err(|error: anyhow::Error| format!("{error:#}"))) {
        Ok((_, data)) => Ok(data.clone()),
        Err(error) => Err(anyhow!("{error}")),
    }
}

fn psql(url: &str, text: &str) -> Result<String> {
    let mut command = server("psql")?;
    let mut child = command
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
        .args(["--set=ON_ERROR_STOP=1", "--file=-", "--dbname", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run `psql`")?;
    let mut stdin = child.stdin.take().context("`psql` has no stdin")?;
    // What it does not read, it complains about.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// A name as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

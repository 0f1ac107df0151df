//! A `granary serve` process.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use granary_client::Client;
use granary_test_postgres::Cluster;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a server may take to start, or to do anything that is waited for. Generous: it only bounds a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Where a server has its store.
#[derive(Clone, Debug)]
pub enum Place {
    /// The embedded store, in this folder.
    Folder(PathBuf),
    /// PostgreSQL, at this URL.
    Database(String),
}

impl Place {
    /// The folder itself, or the database that stands for it, where `GRANARY_TEST_STORE` is `postgres`.
    pub fn of(data: &Path) -> Result<Self> {
        static DATABASES: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
        if !on_postgres()? {
            return Ok(Self::Folder(data.to_owned()));
        }
        let cluster = Cluster::shared();
        let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
        let next = format!("granary_{}", databases.len());
        let name = databases.entry(data.to_owned()).or_insert_with(|| {
            cluster.create_database(&next, None);
            next
        });
        Ok(Self::Database(cluster.url(name)))
    }
}

/// True where `GRANARY_TEST_STORE` is `postgres`: servers then have their stores there, and not in folders.
pub fn on_postgres() -> Result<bool> {
    match std::env::var("GRANARY_TEST_STORE").as_deref() {
        Err(_) | Ok("folder") => Ok(false),
        Ok("postgres") => Ok(true),
        Ok(other) => bail!("GRANARY_TEST_STORE is '{other}', which is no store"),
    }
}

/// A server in a process of its own; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Held open, so that the server can go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
    start: Start,
    /// Where it answers.
    pub url: String,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Where it has its store.
    pub place: Place,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The file that its log is added to; without one it goes where ours goes.
    pub log: Option<PathBuf>,
    /// What goes before its command line: a program that runs it, and is not its parent.
    pub before: Vec<String>,
}

impl Start {
    /// On the store at this place, with these variables in its environment.
    pub fn at(place: Place, environment: Vec<(String, String)>) -> Self {
        Self {
            place,
            environment,
            log: None,
            before: Vec::new(),
        }
    }
}

impl Server {
    /// Starts a server on the folder `data` and waits until it serves.
    pub async fn start(data: &Path) -> Result<Self> {
        Self::start_with(data, &[]).await
    }

    /// The same, with these variables in its environment.
    pub async fn start_with(data: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_at(Place::of(data)?, environment).await
    }

    /// The same, on the store at this place.
    pub async fn start_at(place: Place, environment: &[(&str, &str)]) -> Result<Self> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        Self::spawn(Start::at(place, environment)).await
    }

    /// Starts a server and waits until it serves.
    pub async fn spawn(start: Start) -> Result<Self> {
        let mut command = match start.before.split_first() {
            None => Command::new(binary()?),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary()?);
                command
            }
        };
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        match &start.place {
            Place::Folder(data) => command.arg("--data").arg(data),
            Place::Database(url) => command.args(["--store", url]),
        };
        if let Some(log) = &start.log {
            command.stderr(File::options().create(true).append(true).open(log)?);
        }
        let mut child = command
            .env("GRANARY_LOG", "warn")
            // No balancer needs time to notice that it stops.
            .env("GRANARY_DRAIN", "0")
            .envs(start.environment.iter().cloned())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, stdout.next_line())
            .await
            .context("it does not start")??;
        let Some(line) = line else {
            bail!("the server ended at once: {}", child.wait().await?)
        };
        let started: serde_json::Value = serde_json::from_str(&line)?;
        let url = started["url"]
            .as_str()
            .context("the server does not say where it serves")?
            .to_owned();
        Ok(Self {
            child,
            _stdout: stdout,
            start,
            url,
        })
    }

    /// A client of this server.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.url)?)
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has ended, by itself or killed by another.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().context("it has ended already")?.to_string();
        let signal = format!("-{name}");
        let sent = Command::new("kill").args([&signal, &pid]).status().await?;
        ensure!(sent.success(), "cannot send SIG{name}");
        Ok(())
    }

    /// Asks it to stop with SIGTERM, and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("it does not stop")?
            .map_err(Into::into)
    }

    /// Starts another process on the same store, once this one has ended.
    pub async fn restart(self) -> Result<Self> {
        Self::spawn(self.into_start()).await
    }

    /// Ends it, and tells how it was started.
    pub(crate) fn into_start(self) -> Start {
        self.start.clone()
    }
}

/// The binary, which stands beside the folder of the test binary or in the same.
pub fn binary() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let candidates = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("granary"));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.context("the binary is missing; build it first: cargo build --release -p granary")
}

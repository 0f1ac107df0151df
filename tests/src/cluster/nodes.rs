//! The nodes of a run: `granary serve` processes on one database, each with a connection to it that can be cut.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use granary_client::Client;
use granary_test_postgres::{Cluster, Durability, Proxy};
use tempfile::TempDir;

use crate::server::PATIENCE;
use crate::{Place, Server, Start};

/// The database of a run.
pub const DATABASE: &str = "granary";
/// After so long without a sign of life of a node others take over its tasks.
pub const LEASE: Duration = Duration::from_secs(1);
/// How often a condition is looked at that is waited for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Lines of each log that are shown when something is wrong.
const LOG_LINES: usize = 30;

/// What a node is there for; see `granary serve --role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// It takes calls.
    Api,
    /// It carries out tasks.
    Worker,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A node, which may be down.
#[derive(Debug)]
pub struct Node {
    name: String,
    role: Role,
    start: Start,
    proxy: Option<Proxy>,
    server: tokio::sync::Mutex<Option<Server>>,
    /// A client of it, from its start on until it is told to end.
    client: Mutex<Option<Client>>,
}

/// All nodes and their database.
#[derive(Debug)]
pub struct Nodes {
    database: Cluster,
    /// Who has taken over from it.
    successor: OnceLock<Cluster>,
    nodes: Vec<Node>,
    folder: TempDir,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nodes {
    /// Starts a database and no node.
    pub fn new() -> Result<Self> {
        tokio::task::block_in_place(|| {
            let database = Cluster::start(Durability::On)?;
            database.create_database(DATABASE, None);
            Ok(Self {
                database,
                successor: OnceLock::new(),
                nodes: Vec::new(),
                folder: tempfile::tempdir()?,
            })
        })
    }

    /// Starts nodes with these roles, each behind a connection of its own.
    pub async fn with(roles: &[Role], environment: &[(&str, &str)]) -> Result<Self> {
        let mut nodes = Self::new()?;
        for role in roles {
            nodes.add(*role, environment).await?;
        }
        Ok(nodes)
    }

    /// Starts one node more.
    pub async fn add(&mut self, role: Role, environment: &[(&str, &str)]) -> Result<()> {
        let proxy = Proxy::start(self.database.addr())?;
        let url = Cluster::url_at(proxy.addr(), DATABASE);
        self.nodes.push(self.node(role, url, Some(proxy), environment));
        self.nodes[self.nodes.len() - 1].start().await
    }

    /// Adds one that is down, for now.
    pub(crate) fn add_guest(&mut self, role: Role) -> Result<()> {
        let proxy = Proxy::start(self.database.addr())?;
        let url = Cluster::url_at(proxy.addr(), DATABASE);
        self.nodes.push(self.node(role, url, Some(proxy), &[]));
        Ok(())
    }

    /// Starts one node more, which goes to the database by this URL.
    pub async fn add_at(&mut self, role: Role, url: &str, environment: &[(&str, &str)]) -> Result<()> {
        self.nodes
            .push(self.node(role, url.to_owned(), None, environment));
        self.nodes[self.nodes.len() - 1].start().await
    }

    fn node(&self, role: Role, url: String, proxy: Option<Proxy>, environment: &[(&str, &str)]) -> Node {
        let name = format!("{} ({})", self.nodes.len(), role.name());
        let mut of_all = vec![
            ("GRANARY_ROLE".to_owned(), role.name().to_owned()),
            ("GRANARY_LEASE".to_owned(), LEASE.as_secs_f64().to_string()),
            ("GRANARY_POSTGRES_CONNECTIONS".to_owned(), "8".to_owned()),
            (
                "GRANARY_LOG".to_owned(),
                "info,granary_store_postgres=debug".to_owned(),
            ),
        ];
        let own = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        of_all.extend(own);
        Node {
            start: Start {
                place: Place::Database(url),
                environment: of_all,
                log: Some(self.folder.path().join(format!("{}.log", self.nodes.len()))),
                before: Vec::new(),
            },
            name,
            role,
            proxy,
            server: tokio::sync::Mutex::default(),
            client: Mutex::default(),
        }
    }

    /// The database that takes writes.
    pub fn database(&self) -> &Cluster {
        self.successor.get().unwrap_or(&self.database)
    }

    /// From now on this one takes the writes.
    pub(crate) fn turn_to(&self, successor: Cluster) {
        // There is one at the most.
        let _ = self.successor.set(successor);
    }

    /// All of them, in the order in which they were started.
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// Answers of the database that were lost, of all nodes.
    pub(crate) fn replies_lost(&self) -> u64 {
        self.nodes
            .iter()
            .filter_map(Node::proxy)
            .map(Proxy::replies_dropped)
            .sum()
    }

    /// The clients of those that take calls, so far as they are up.
    pub(crate) fn clients(&self) -> Vec<Client> {
        let callable = self.nodes.iter().filter(|node| node.role != Role::Worker);
        callable.filter_map(Node::client).collect()
    }

    /// Waits until every node says that it is ready, but for those that are down.
    pub async fn ready(&self) -> Result<()> {
        for node in &self.nodes {
            if node.client().is_some() {
                node.ready().await?;
            }
        }
        Ok(())
    }

    /// Runs statements in the database.
    pub fn sql(&self, text: &str) -> Result<String> {
        tokio::task::block_in_place(|| self.database().try_sql(DATABASE, text))
    }

    /// What there is to see when something does not come about: lanes, tasks, sessions, and the ends of the logs.
    pub fn state(&self) -> String {
        const SEEN: [(&str, &str); 4] = [
            (
                "lanes: source, fence, owner, lease, runnable, attempts, deaths",
                "SELECT s.key, l.fence, left(l.owner, 8), \
                 CASE WHEN isfinite(l.lease_until) THEN l.lease_until - now() END, l.runnable, l.attempts, l.deaths \
                 FROM granary.lane l JOIN granary.source s USING (bucket, source) ORDER BY s.key",
            ),
            (
                "tasks that wait: source, sequence, cursor, total, age",
                "SELECT s.key, t.sequence, t.cursor, t.total, \
                 now() - to_timestamp(t.created_at / 1000.0) FROM granary.task t \
                 JOIN granary.source s USING (bucket, source) WHERE t.completed_at IS NULL ORDER BY 1, 2 LIMIT 20",
            ),
            (
                "uploads: source, bytes, expiry",
                "SELECT source, bytes, expires_at - now(), abandoned FROM granary.upload",
            ),
            (
                "sessions: number, state, wait, age of the transaction, statement",
                "SELECT pid, state, wait_event_type, wait_event, now() - xact_start, left(query, 90) \
                 FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'",
            ),
        ];
        let mut shown = String::new();
        for (title, statement) in SEEN {
            let rows = self.sql(statement).unwrap_or_else(|error| format!("{error:#}"));
            let _ = write!(shown, "\n== {title}\n{rows}");
        }
        for node in &self.nodes {
            let log = node.start.log.as_deref().map(std::fs::read_to_string);
            let log = log.and_then(Result::ok).unwrap_or_default();
            let _ = write!(shown, "\n== log of node {}\n{}", node.name, last_lines(&log));
        }
        let _ = write!(
            shown,
            "\n== log of the database\n{}",
            last_lines(&self.database().log())
        );
        shown
    }

    /// Waits for this for no longer than so, and says what there is to see if that is not enough.
    pub async fn within<T>(
        &self,
        what: &str,
        longest: Duration,
        waited_for: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(longest, waited_for).await {
            Ok(outcome) => outcome.with_context(|| format!("{what}: {}", self.state())),
            Err(_) => anyhow::bail!("{what}: not within {} s{}", longest.as_secs(), self.state()),
        }
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

impl Node {
    /// How it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is there for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What stands between it and the database.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// A client of it, unless it is down.
    pub fn client(&self) -> Option<Client> {
        lock(&self.client).clone()
    }

    /// Starts it, as whoever looks after it would: again where it ends because it does not reach its database.
    pub async fn start(&self) -> Result<()> {
        let mut place = self.server.lock().await;
        ensure!(place.is_none(), "node {} is up", self.name);
        let started = Instant::now();
        let server = loop {
            match Server::spawn(self.start.clone()).await {
                Ok(server) => break server,
                Err(error) if started.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        *lock(&self.client) = Some(server.client()?);
        *place = Some(server);
        Ok(())
    }

    /// Kills it at once.
    pub async fn kill(&self) -> Result<()> {
        let mut place = self.server.lock().await;
        let mut server = place.take().context("it is down already")?;
        let killed = server.kill().await;
        *lock(&self.client) = None;
        killed
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&self) -> Result<()> {
        let mut place = self.server.lock().await;
        let mut server = place.take().context("it is down already")?;
        let status = server.stop().await;
        *lock(&self.client) = None;
        let status = status?;
        ensure!(
            status.success(),
            "node {} was asked to stop and ended with {status}",
            self.name
        );
        Ok(())
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let place = self.server.lock().await;
        place.as_ref().context("it is down")?.signal(name).await
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let client = self.client().context("it is down")?;
            let asked = tokio::time::timeout(Duration::from_secs(5), client.ready());
            if let Ok(Ok(_)) = asked.await {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "node {} does not become ready",
                self.name
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

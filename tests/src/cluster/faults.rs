//! What goes wrong in a cluster run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use granary_test_postgres::Proxy;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::load::lock;
use super::nodes::{LEASE, LOOK_EVERY, Node, Nodes, Role};

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A node is killed and started again, at once or when its lease is over.
    NodeKilled,
    /// A node is stopped by the machine for longer than its lease, and goes on.
    NodeFrozen,
    /// A node is asked to stop, and started again.
    NodeStopped,
    /// A node loses its connections and gets no new ones for a while.
    NodeCutOff,
    /// Nothing that a node sends arrives for longer than its lease, and then all of it.
    NodeUnheard,
    /// A node more comes and goes.
    NodeJoined,
    /// All processes of the database are killed, and it is started again.
    DatabaseKilled,
    /// The fence of a lane is raised while a node works at it.
    FenceRaised,
    /// The same, and the lane is somebody else's for a while.
    LaneTaken,
    /// The answer to the commit of an acceptance is lost.
    AcceptanceUnanswered,
    /// The answer to the commit of a single write or a bundle is lost.
    WriteUnanswered,
    /// The answer to the commit of a chunk is lost.
    ChunkUnanswered,
    /// The commit of an acceptance itself is lost, and its connection.
    AcceptanceLost,
    /// The commit of a single write or a bundle itself.
    WriteLost,
    /// The commit of a chunk itself.
    ChunkLost,
}

use Fault::{
    AcceptanceLost, AcceptanceUnanswered, ChunkLost, ChunkUnanswered, DatabaseKilled, FenceRaised, LaneTaken,
    NodeCutOff, NodeFrozen, NodeJoined, NodeKilled, NodeStopped, NodeUnheard, WriteLost, WriteUnanswered,
};

/// What goes wrong in one round.
const ROUND: [Fault; 20] = [
    NodeKilled,
    NodeKilled,
    NodeKilled,
    NodeFrozen,
    NodeFrozen,
    NodeStopped,
    NodeStopped,
    NodeCutOff,
    NodeCutOff,
    NodeUnheard,
    NodeJoined,
    DatabaseKilled,
    FenceRaised,
    LaneTaken,
    AcceptanceUnanswered,
    WriteUnanswered,
    ChunkUnanswered,
    AcceptanceLost,
    WriteLost,
    ChunkLost,
];

/// How long is waited for a chance to do harm.
const CHANCE_MAX: Duration = Duration::from_secs(15);

/// Faults that go wrong by chance, each as often as [`ROUND`] says.
pub(crate) struct Chance {
    rng: StdRng,
    left: Vec<Fault>,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ 0xfa17),
            left: Vec::new(),
        }
    }

    /// The next fault, and chance for what it leaves open.
    pub(crate) fn next(&mut self) -> (Fault, StdRng) {
        if self.left.is_empty() {
            self.left.extend(ROUND);
            self.left.shuffle(&mut self.rng);
        }
        let fault = self.left.pop().unwrap_or(NodeKilled);
        (fault, StdRng::seed_from_u64(self.rng.random()))
    }
}

/// How often each came about.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<BTreeMap<Fault, u32>>);

impl Counted {
    pub(crate) fn all(&self) -> BTreeMap<Fault, u32> {
        lock(&self.0).clone()
    }

    pub(crate) fn sum(&self) -> u32 {
        lock(&self.0).values().sum()
    }

    fn one(&self, fault: Fault) {
        *lock(&self.0).entry(fault).or_default() += 1;
    }
}

/// Who does harm: to nodes of their own, so that two can be at it at once, and perhaps to what all share.
pub(crate) struct Hand<'a> {
    pub(crate) nodes: &'a Nodes,
    /// The nodes that it may harm, of which one takes calls and one carries out tasks.
    pub(crate) own: Vec<&'a Node>,
    /// One that is down, and comes and goes.
    pub(crate) guest: Option<&'a Node>,
    pub(crate) counted: &'a Counted,
}

impl Hand<'_> {
    /// Does this, and undoes it.
    pub(crate) async fn harm(&self, fault: Fault, mut rng: StdRng) -> Result<()> {
        let node = self.own[rng.random_range(0..self.own.len())];
        let came_about = self
            .does(fault, node, &mut rng)
            .await
            .with_context(|| format!("{fault:?} of node {}", node.name()))?;
        if came_about {
            self.counted.one(fault);
        }
        Ok(())
    }

    async fn does(&self, fault: Fault, node: &Node, rng: &mut StdRng) -> Result<bool> {
        let briefly = Duration::from_millis(rng.random_range(0..1_500));
        let beyond_lease = LEASE + Duration::from_millis(rng.random_range(200..1_200));
        match fault {
            NodeKilled => {
                node.kill().await?;
                if rng.random_bool(0.5) {
                    tokio::time::sleep(briefly).await;
                }
                node.start().await?;
            }
            NodeFrozen => {
                node.signal("STOP").await?;
                tokio::time::sleep(beyond_lease).await;
                node.signal("CONT").await?;
            }
            NodeStopped => {
                node.stop().await?;
                if rng.random_bool(0.5) {
                    tokio::time::sleep(briefly).await;
                }
                node.start().await?;
            }
            NodeCutOff => {
                let proxy = proxy(node)?;
                proxy.cut();
                tokio::time::sleep(briefly).await;
                proxy.heal()?;
            }
            NodeUnheard => {
                let proxy = proxy(node)?;
                proxy.freeze();
                tokio::time::sleep(beyond_lease).await;
                proxy.thaw();
            }
            NodeJoined => {
                let Some(guest) = self.guest else { return Ok(false) };
                guest.start().await?;
                guest.ready().await?;
                tokio::time::sleep(briefly).await;
                if rng.random_bool(0.5) {
                    guest.stop().await?;
                } else {
                    guest.kill().await?;
                }
            }
            DatabaseKilled => tokio::task::block_in_place(|| {
                self.nodes.database().kill()?;
                std::thread::sleep(briefly);
                self.nodes.database().restart()
            })?,
            FenceRaised => {
                let sql = "UPDATE granary.lane SET fence = fence + 1 \
                           WHERE owner IS NOT NULL AND runnable AND lease_until > now() RETURNING 1";
                return self.until_rows(sql).await;
            }
            LaneTaken => {
                let sql = "UPDATE granary.lane SET fence = fence + 1, owner = 'somebody else', \
                           lease_until = now() + interval '700 ms' \
                           WHERE owner IS NOT NULL AND runnable AND lease_until > now() RETURNING 1";
                return self.until_rows(sql).await;
            }
            AcceptanceUnanswered => return self.loses(ACCEPTANCE, true).await,
            AcceptanceLost => return self.loses(ACCEPTANCE, false).await,
            WriteUnanswered => return self.loses(WRITE, true).await,
            WriteLost => return self.loses(WRITE, false).await,
            ChunkUnanswered => return self.loses(CHUNK, true).await,
            ChunkLost => return self.loses(CHUNK, false).await,
        }
        Ok(true)
    }

    /// Runs a statement until it finds something to do.
    async fn until_rows(&self, sql: &str) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < CHANCE_MAX {
            if self.nodes.sql(sql).is_ok_and(|rows| !rows.is_empty()) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(false)
    }

    /// Loses the next commit of such a transaction, or the answer to it, of the first own node that makes such.
    async fn loses(&self, wanted: Transactions, arrives: bool) -> Result<bool> {
        let node = self.own.iter().find(|node| node.role() != wanted.never_of);
        let node = node.context("no node does this")?;
        let proxy = proxy(node)?;
        let before = proxy.replies_dropped();
        if arrives {
            proxy.drop_next_reply_to_commit_of(wanted.are);
        } else {
            proxy.drop_next_commit_of(wanted.are);
        }
        let started = Instant::now();
        while proxy.replies_dropped() == before && started.elapsed() < CHANCE_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        proxy.heal()?;
        Ok(proxy.replies_dropped() > before)
    }
}

fn proxy(node: &Node) -> Result<&Proxy> {
    node.proxy()
        .context("it is not behind a connection that can be cut")
}

/// Some of the transactions of nodes.
#[derive(Clone, Copy)]
struct Transactions {
    never_of: Role,
    are: fn(&[u8]) -> bool,
}

const ACCEPTANCE: Transactions = Transactions {
    never_of: Role::Worker,
    are: |sent| is_durable(sent) && !holds_lane(sent) && !has(sent, DATA),
};
const WRITE: Transactions = Transactions {
    never_of: Role::Worker,
    are: |sent| is_durable(sent) && !holds_lane(sent) && has(sent, DATA),
};
const CHUNK: Transactions = Transactions {
    never_of: Role::Api,
    are: |sent| is_durable(sent) && holds_lane(sent),
};

/// How the data of single writes begins.
const DATA: &[u8] = br#"{"n":"#;

fn has(sent: &[u8], word: &[u8]) -> bool {
    sent.windows(word.len()).any(|found| found == word)
}

/// How a transaction begins says what it is; see `Rules` in the store.
fn begin_has(sent: &[u8], word: &str) -> bool {
    const BEGIN_MAX: usize = 300;
    has(&sent[..sent.len().min(BEGIN_MAX)], word.as_bytes())
}

fn is_durable(sent: &[u8]) -> bool {
    !begin_has(sent, "synchronous_commit = off")
}

fn holds_lane(sent: &[u8]) -> bool {
    // All others may stand idle for this long.
    !begin_has(sent, "idle_in_transaction_session_timeout = 5000;")
}

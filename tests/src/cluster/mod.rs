//! The cluster run: several real servers share a PostgreSQL, and under load they, the database and what is between them
//! fail in every way that can be made on purpose. All must end as if nothing had been.
//!
//! `load.rs` says what clients do and note, `faults.rs` what goes wrong, `check.rs` what must hold. After each group of
//! faults the clients pause; then every task that was accepted must end soon, and all must add up.

mod check;
mod faults;
mod load;
mod nodes;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;

pub use faults::Fault;
pub use nodes::{DATABASE, LEASE, Node, Nodes, Role};

use faults::{Chance, Counted, Hand};
use load::{Load, lock};

/// How a cluster run goes.
#[derive(Clone, Debug)]
pub struct ClusterRun {
    /// How many faults there are at least.
    pub faults: u32,
    /// Goes on for as long.
    pub at_least: Duration,
    /// What chance is made of.
    pub seed: u64,
    /// Who is told how far it is.
    pub told: fn(&str),
}

/// What a cluster run saw.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How often each fault came about.
    pub faults: BTreeMap<Fault, u32>,
    /// Checks of everything.
    pub checks: u32,
    /// Bulk requests that were accepted.
    pub accepted: usize,
    /// Operations of these.
    pub operations: u64,
    /// Single writes and bundles that were answered.
    pub writes: usize,
    /// Calls without an answer, or that were told to try again.
    pub unanswered: u64,
    /// Answers of the database that were lost.
    pub replies_lost: u64,
    /// How often a lane went to another node, which shows in its fence: each time it is taken.
    pub lanes_taken: u64,
    /// The longest time from the last fault of a group until all was done and checked.
    pub slowest_check: Duration,
}

/// Two that do harm at the same time do so much in a group.
const FAULTS_EACH: usize = 5;
/// How long the clients may take to pause: each ends the call that it is at.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl ClusterRun {
    /// Runs it. An error says what did not hold. With the same seed the same goes wrong in the same order; what it meets
    /// is up to the machine.
    pub async fn run(&self) -> Result<Summary> {
        let roles = [Role::All, Role::All, Role::Api, Role::Worker];
        let mut nodes = Nodes::with(&roles, &[]).await?;
        nodes.add_guest(Role::All)?;
        let nodes = Arc::new(nodes);
        let load = Arc::new(Load::new(Arc::clone(&nodes), self.seed).await?);
        under_load(&load, self.harm_and_check(&nodes, &load)).await
    }

    async fn harm_and_check(&self, nodes: &Nodes, load: &Load) -> Result<Summary> {
        let counted = Counted::default();
        let (one, other) = hands(nodes, &counted);
        let mut chance = Chance::new(self.seed);
        let mut summary = Summary::default();
        let started = Instant::now();
        while counted.sum() < self.faults || started.elapsed() < self.at_least {
            let mut mine = Vec::new();
            let mut theirs = Vec::new();
            for _ in 0..FAULTS_EACH * 2 {
                let next = chance.next();
                // What all share is harmed by one hand.
                let for_one = matches!(next.0, Fault::NodeJoined | Fault::DatabaseKilled);
                let place = if for_one || mine.len() < theirs.len() {
                    &mut mine
                } else {
                    &mut theirs
                };
                place.push(next);
            }
            tokio::try_join!(harm_all(&one, mine), harm_all(&other, theirs))?;
            let since = Instant::now();
            let _quiet = quiet(nodes, load).await?;
            load.check().await?;
            summary.checks += 1;
            summary.slowest_check = summary.slowest_check.max(since.elapsed());
            let (faults, so_far, took) = (counted.sum(), started.elapsed(), since.elapsed());
            (self.told)(&format!(
                "{faults} faults in {so_far:.0?}, the last checked in {took:.1?}"
            ));
        }
        summary.faults = counted.all();
        end(nodes, load, summary).await
    }
}

/// A run in which nothing goes wrong but one thing: the database dies, and its replica takes over. The nodes are told of
/// both in their URL, and of nothing else.
pub async fn fail_over(seed: u64) -> Result<Summary> {
    const CALLS_BETWEEN: u64 = 300;
    let mut nodes = Nodes::new()?;
    let standby = tokio::task::block_in_place(|| {
        let standby = nodes.database().standby()?;
        nodes.database().commits_wait_for_standby()?;
        anyhow::Ok(standby)
    })?;
    let hosts = format!("{},{}", nodes.database().addr(), standby.addr());
    let url = format!("postgres://postgres@{hosts}/{DATABASE}?target_session_attrs=read-write");
    for role in [Role::All, Role::Api, Role::All] {
        nodes.add_at(role, &url, &[]).await?;
    }
    let nodes = Arc::new(nodes);
    let load = Arc::new(Load::new(Arc::clone(&nodes), seed).await?);
    let failing_over = async {
        let (nodes, load) = (&*nodes, &*load);
        let on_its_way = || load.answered(CALLS_BETWEEN);
        nodes
            .within("the load does not begin", PAUSE_MAX, on_its_way())
            .await?;
        tokio::task::block_in_place(|| {
            nodes.database().kill()?;
            standby.promote()
        })?;
        nodes.turn_to(standby);
        nodes
            .within("the nodes do not go on", PAUSE_MAX, on_its_way())
            .await?;
        let summary = Summary::default();
        end(nodes, load, summary).await
    };
    under_load(&load, failing_over).await
}

/// Does this while the clients call.
async fn under_load<T>(load: &Arc<Load>, does: impl Future<Output = Result<T>>) -> Result<T> {
    let mut clients = load.start();
    let client_failed = async {
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok::<(), anyhow::Error>(())
    };
    tokio::select! {
        biased;
        outcome = does => outcome,
        // None ends before it is told to, but for what must not be.
        ended = client_failed => {
            ended?;
            anyhow::bail!("the clients ended")
        }
    }
}

/// Stops the clients, checks everything for the last time, and stops the nodes.
async fn end(nodes: &Nodes, load: &Load, mut summary: Summary) -> Result<Summary> {
    let _quiet = quiet(nodes, load).await?;
    load.check().await?;
    load.check_tasks_of_writes().await?;
    summary.checks += 1;
    sum_up(nodes, load, &mut summary).await?;
    for node in nodes.all().iter().filter(|node| node.client().is_some()) {
        node.stop().await?;
    }
    Ok(summary)
}

/// Two that do harm: each to a node that does all, and to one that does a part.
fn hands<'a>(nodes: &'a Nodes, counted: &'a Counted) -> (Hand<'a>, Hand<'a>) {
    let all = nodes.all();
    let hand = |own: [usize; 2], guest| Hand {
        nodes,
        own: own.map(|at| &all[at]).to_vec(),
        guest,
        counted,
    };
    (hand([0, 2], all.last()), hand([1, 3], None))
}

async fn harm_all(hand: &Hand<'_>, faults: Vec<(Fault, StdRng)>) -> Result<()> {
    for (fault, rng) in faults {
        hand.harm(fault, rng).await?;
    }
    Ok(())
}

/// Waits until no client calls and every node is well; none calls until this is dropped.
async fn quiet<'a>(nodes: &Nodes, load: &'a Load) -> Result<tokio::sync::RwLockWriteGuard<'a, ()>> {
    let pausing = async { Ok(load.gate.write().await) };
    let quiet = nodes
        .within("the clients do not pause", PAUSE_MAX, pausing)
        .await?;
    nodes
        .within("not every node is ready", PAUSE_MAX, nodes.ready())
        .await?;
    Ok(quiet)
}

async fn sum_up(nodes: &Nodes, load: &Load, summary: &mut Summary) -> Result<()> {
    for traffic in &load.traffics {
        let checked = traffic.checked.lock().await;
        summary.accepted += checked.tasks.len();
        summary.operations += checked.operations;
        summary.writes += lock(&traffic.tasks).len();
        ensure!(
            traffic.mixed || lock(&traffic.singles).values().any(|single| single.count() > 0),
            "no single write of {} was answered",
            traffic.key
        );
    }
    summary.unanswered = load.unanswered.load(Ordering::Relaxed);
    summary.replies_lost = nodes.replies_lost();
    summary.lanes_taken = nodes
        .sql("SELECT sum(fence) FROM granary.lane")?
        .parse()
        .context("fences")?;
    Ok(())
}

//! The crash run: a real server under load is killed again and again, and must end as if it never had been.
//!
//! One client sends bulk requests on resources and on edges over a small domain of ids, some over a larger one, so that they
//! go in as runs. Another writes single records of ids of its own, and others read while requests are applied. The server
//! is killed at random moments and in the middle of tasks, and started again on the same folder. What had been shown
//! before a death must still hold after it (`told.rs`). At the end a model, which knows nothing of the server's code,
//! replays the accepted requests in order, and every receipt and every record must be equal to it.
//!
//! Where it is asked for, the server dies before a call of the system, such as its third sync, and its clock jumps.

mod load;
mod points;
mod recovery;
mod verify;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use granary_test_postgres::{Cluster, Durability};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::requests::define;
use crate::{Place, Server, Start, on_postgres};
use load::Load;
use points::Killer;
pub use recovery::{Recovery, recovery};

/// How a crash run goes.
#[derive(Clone, Debug)]
pub struct CrashRun {
    /// How often the server is killed at least.
    pub deaths: u32,
    /// Goes on killing for as long.
    pub at_least: Duration,
    /// What chance is made of.
    pub seed: u64,
    /// Operations of one bulk request.
    pub operations: usize,
    /// Where the store is.
    pub store: CrashStore,
    /// The server dies before a call of the system that is chosen by chance, where it comes to it; see `points.rs`.
    pub before_calls: bool,
}

/// Where the store of a crash run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CrashStore {
    /// In a folder
    Folder,
    /// In a PostgreSQL that forces to the disk what is committed
    Postgres,
}

impl CrashStore {
    /// Where tests have their stores.
    pub fn of_tests() -> Result<Self> {
        Ok(if on_postgres()? {
            Self::Postgres
        } else {
            Self::Folder
        })
    }
}

/// After so many seconds without a sign of life another server goes on with what a dead one held.
const LEASE_SECONDS: &str = "1";

/// A run that has not seen enough goes on until it has died so many times as often as it was to.
const TIMES_MAX: u32 = 4;

/// What a crash run saw.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How often the server was killed.
    pub deaths: u32,
    /// Deaths while an accepted task had not ended.
    pub deaths_with_work_left: u32,
    /// Answers of reads beside the requests, which no death may take back.
    pub told: u64,
    /// Of these, tasks that were in their middle.
    pub shown_in_the_middle: u64,
    /// Deaths while a request was on its way.
    pub deaths_inside_an_upload: u32,
    /// Deaths in a start, before the server served.
    pub deaths_inside_a_start: u32,
    /// How often the server died before which call of the system, and on which part of the folder.
    pub deaths_before: BTreeMap<String, u32>,
    /// Bulk requests that were accepted.
    pub accepted: usize,
    /// Operations of these.
    pub operations: u64,
    /// Single writes that were answered.
    pub single_writes: usize,
    /// The longest time from the start of the process to its first answer.
    pub slowest_start: Duration,
}

impl CrashRun {
    /// Runs it, and goes on until it has seen enough: what a server does before its next death depends on the machine. An
    /// error says what did not hold; with the same seed the same requests are sent.
    pub async fn run(&self, is_enough: impl Fn(&Summary) -> bool) -> Result<Summary> {
        let data = tempfile::tempdir()?;
        let (cluster, place, longest);
        match self.store {
            CrashStore::Folder => {
                place = Place::Folder(data.path().to_owned());
                longest = 250;
            }
            CrashStore::Postgres => {
                cluster = Cluster::start(Durability::On)?;
                cluster.create_database("crash", None);
                place = Place::Database(cluster.url("crash"));
                // Long enough to see the lease of the dead end, and much of what comes then.
                longest = 2_500;
            }
        }
        let environment: Vec<(String, String)> = match self.store {
            CrashStore::Folder => Vec::new(),
            CrashStore::Postgres => vec![("GRANARY_LEASE".to_owned(), LEASE_SECONDS.to_owned())],
        };
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut load = Load::new(self.seed, self.operations);
        let mut summary = Summary::default();
        let mut server = Server::spawn(Start::at(place, environment.clone())).await?;
        define(&server.client()?, load::SOURCE).await?;
        let killer = self.before_calls.then(Killer::compile).transpose()?;
        let started = std::time::Instant::now();
        while summary.deaths < self.deaths
            || started.elapsed() < self.at_least
            || (!is_enough(&summary) && summary.deaths < TIMES_MAX * self.deaths)
        {
            let inside_a_task = rng.random_bool(0.7);
            let moment = Duration::from_millis(rng.random_range(0..longest));
            let seen = load.until_killed(&mut server, inside_a_task, moment).await?;
            summary.deaths += 1;
            summary.deaths_inside_an_upload += u32::from(seen.inside_an_upload);
            let start = Start {
                environment: environment.clone(),
                ..server.into_start()
            };
            server = start_again(&start, killer.as_ref(), &mut rng, &mut summary)
                .await
                .context("it does not start again after a death")?;
            loop {
                let client = server.client()?;
                let looked = async {
                    load.nothing_shown_is_taken_back(&client).await?;
                    seen.left_work(&client).await
                };
                let failure = match looked.await {
                    Ok(left_work) => {
                        summary.deaths_with_work_left += u32::from(left_work);
                        break;
                    }
                    Err(failure) => failure,
                };
                let failure =
                    load::of_a_call(failure).with_context(|| format!("after death {}", summary.deaths))?;
                let died = killer.as_ref().map(|killer| killer.died_before(&start.place));
                if died.transpose()?.flatten().is_none() {
                    return Err(failure.context(format!("after death {}", summary.deaths)));
                }
                // It died while it was looked at: there is as much to be seen of the next.
                server.ended().await?;
                summary.deaths += 1;
                server = start_again(&start, killer.as_ref(), &mut rng, &mut summary).await?;
            }
            (summary.told, summary.shown_in_the_middle) = load.told();
        }
        // Whatever was to kill it is left behind.
        server.kill().await?;
        let mut server = Server::spawn(Start {
            environment,
            ..server.into_start()
        })
        .await?;
        let client = server.client()?;
        verify::everything(&client, &load, &mut summary).await?;
        let status = server.stop().await?;
        ensure!(status.success(), "it was asked to stop and ended with {status}");
        // What holds before a stop holds after it.
        let server = server.restart().await?;
        verify::everything(&server.client()?, &load, &mut summary).await?;
        Ok(summary)
    }
}

/// Starts the server again, and where it dies while it starts, once more.
async fn start_again(
    start: &Start,
    killer: Option<&Killer>,
    rng: &mut StdRng,
    summary: &mut Summary,
) -> Result<Server> {
    let Some(killer) = killer else {
        return started(start, summary).await;
    };
    // What it died before in its last life.
    if let Some(call) = killer.died_before(&start.place)? {
        *summary.deaths_before.entry(call).or_default() += 1;
    }
    loop {
        let mut start = start.clone();
        start.environment.extend(killer.environment(&start.place, rng)?);
        match started(&start, summary).await {
            Ok(server) => return Ok(server),
            Err(failure) => match killer.died_before(&start.place)? {
                None => return Err(failure),
                Some(call) => {
                    summary.deaths += 1;
                    summary.deaths_inside_a_start += 1;
                    *summary.deaths_before.entry(call).or_default() += 1;
                }
            },
        }
    }
}

async fn started(start: &Start, summary: &mut Summary) -> Result<Server> {
    let starting = std::time::Instant::now();
    let server = Server::spawn(start.clone()).await?;
    summary.slowest_start = summary.slowest_start.max(starting.elapsed());
    Ok(server)
}

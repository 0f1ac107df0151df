//! Clients that write and read a few records all at once, beside bulk requests that write them too, while servers are
//! killed: what they were answered must be what one client could have seen that does one call after the other. That is
//! looked at record by record, by the checker in `checker.rs`.

mod calls;
mod checker;
mod record;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use granary_core::operation::TargetType;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::requests::define;
use crate::{Place, Server};
use calls::{Shared, Writer};
use checker::Timed;
use record::OnRecord;

const SOURCE: &str = "histories";
/// Servers over one database; a folder has one.
const NODES: usize = 2;
const LEASE_SECONDS: &str = "1";

/// How long clients go on, and against what.
#[derive(Clone, Debug)]
pub struct HistoriesRun {
    /// Clients that call at once.
    pub clients: u32,
    /// Calls of each.
    pub calls: u32,
    /// Records that they share.
    pub records: u32,
    /// Operations of a bulk request, of which each shared record gets some.
    pub operations: u32,
    /// How often a server is killed meanwhile.
    pub deaths: u32,
    /// What chance is made of.
    pub seed: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Histories that are linearizable: of one record each.
    pub histories: usize,
    /// Calls and operations of these.
    pub calls: usize,
    /// Of these, operations of bulk requests.
    pub operations: usize,
    /// Calls without an answer.
    pub unanswered: usize,
    /// Bulk requests that were followed to their end.
    pub bulk_requests: u32,
    /// How often a server was killed.
    pub deaths: u32,
}

impl HistoriesRun {
    /// Runs it. An error tells the first history that is not linearizable, and where.
    pub async fn run(&self, place: Place) -> Result<Summary> {
        let nodes = match place {
            Place::Folder(_) => 1,
            Place::Database(_) => NODES,
        };
        let mut servers = Vec::new();
        for _ in 0..nodes {
            let environment = match place {
                Place::Folder(_) => [].as_slice(),
                Place::Database(_) => &[("GRANARY_LEASE", LEASE_SECONDS)],
            };
            servers.push(Server::start_at(place.clone(), environment).await?);
        }
        let shared = Arc::new(Shared::new(&servers, self.records)?);
        define(&servers[0].client()?, SOURCE).await?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..self.clients {
            let writer = Writer::new(Arc::clone(&shared), rng.random());
            clients.spawn(writer.calls(self.calls));
        }
        let bulk = Writer::new(Arc::clone(&shared), rng.random());
        let bulk = tokio::spawn(bulk.bulk_requests(TargetType::Resource, self.operations));
        // Deaths are spread over the calls.
        let all = u64::from(self.clients) * u64::from(self.calls);
        let mut summary = Summary::default();
        let clients_end = async {
            while let Some(ended) = clients.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        let deaths = async {
            for death in 1..=self.deaths {
                let due = all * u64::from(death) / u64::from(self.deaths + 1);
                while shared.made.load(Ordering::Relaxed) < due {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let number = rng.random_range(0..servers.len());
                let mut server = servers.swap_remove(number);
                server.kill().await?;
                let server = server.restart().await.context("it does not start again")?;
                shared.moved(number, server.client()?);
                servers.push(server);
                let last = servers.len() - 1;
                servers.swap(number, last);
            }
            anyhow::Ok(())
        };
        let ended = tokio::try_join!(clients_end, deaths);
        shared.over.store(true, Ordering::Relaxed);
        summary.bulk_requests = bulk.await??;
        ended?;
        summary.deaths = self.deaths;
        for mut server in servers {
            server.stop().await?;
        }
        for (id, history) in shared.histories() {
            if let Err(stuck) = checker::check(&history) {
                bail!(
                    "the history of {id} is not linearizable: {}",
                    told(&history, &stuck)
                );
            }
            summary.histories += 1;
            summary.calls += history.len();
            summary.operations += history.iter().filter(|timed| timed.after.is_some()).count();
            summary.unanswered += history.iter().filter(|timed| timed.ended.is_none()).count();
        }
        Ok(summary)
    }
}

/// The end of what fits, and what does not.
fn told(history: &[Timed<OnRecord>], stuck: &checker::Stuck) -> String {
    const SHOWN: usize = 8;
    let mut text = format!("{} of {} calls fit", stuck.fits.len(), history.len());
    if stuck.gave_up {
        text.push_str(", then the search was given up");
    }
    text.push_str("; the last of these");
    let from = stuck.fits.len().saturating_sub(SHOWN);
    for place in &stuck.fits[from..] {
        let _ = write!(text, "\n  {:?}", history[*place]);
    }
    text.push_str("\nand none of these comes next");
    for place in &stuck.next {
        let _ = write!(text, "\n  {:?}", history[*place]);
    }
    text
}

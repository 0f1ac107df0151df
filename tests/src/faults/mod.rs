//! Disks that fail: one whose syncs fail, one that is full, one whose bytes change. What was acknowledged is there when
//! the disk is well again, new work is refused meanwhile, and what is not known to be right is never answered.

mod flips;
mod full;
mod syncs;

use std::fmt::Debug;
use std::path::Path;

use anyhow::{Error, Result, ensure};
use granary_api::resources::ResourceWrite;
use granary_client::{Client, SourceClient};
use serde_json::value::to_raw_value;

pub use flips::{Flips, flipped_bytes};
pub use full::{FullDisk, full_disk, read_only_disk};
pub use syncs::{failing_syncs, failing_syncs_of_redo, failing_syncs_of_segments};

use crate::agree::{all_agrees, number_of};
use crate::requests::{Requests, define, send};
use crate::server::Start;
use crate::{Place, Server, http};

const SOURCE: &str = "faults";
/// Ids of the bulk requests.
const IDS: u32 = 400;

/// What was sent, and what of it was acknowledged.
struct Load {
    requests: Requests,
    /// The numbers of single records that were acknowledged.
    singles: Vec<u64>,
    next_single: u64,
}

/// What came of a call.
#[derive(Debug)]
enum Came {
    Acknowledged,
    /// It was refused, and is to be sent again later.
    Refused,
}

impl Load {
    fn new(seed: u64) -> Self {
        Self {
            requests: Requests::new(seed, IDS),
            singles: Vec::new(),
            next_single: 0,
        }
    }

    /// Sends a bulk request that was made.
    async fn send(&mut self, source: &SourceClient, place: usize) -> Result<Came> {
        let sent = send(source, &self.requests.sent[place].request).await;
        self.requests.sent[place].over = Some(place as u64);
        came(sent.map(|task| self.requests.sent[place].task = Some(task)))
    }

    /// Makes a bulk request and sends it.
    async fn bulk(&mut self, source: &SourceClient, operations: usize) -> Result<Came> {
        let moment = self.requests.sent.len() as u64;
        let place = self.requests.next(operations, moment);
        self.send(source, place).await
    }

    /// Writes a single record of its own.
    async fn single(&mut self, source: &SourceClient) -> Result<Came> {
        let number = self.next_single;
        self.next_single += 1;
        let write = ResourceWrite {
            id: None,
            data: to_raw_value(&serde_json::json!({ "n": number }))?,
            contained: None,
            meta: None,
        };
        let written = source.put_resource("place", &single_id(number), &write).await;
        let came = came(written.map_err(Error::from).map(|_| ()))?;
        if let Came::Acknowledged = came {
            self.singles.push(number);
        }
        Ok(came)
    }

    /// All that was acknowledged is there, and all else as the model says.
    async fn holds(&self, client: &Client) -> Result<()> {
        let source = client.source(SOURCE);
        for number in &self.singles {
            let id = single_id(*number);
            let found = number_of(&source, &id).await?;
            ensure!(
                found == Some(*number),
                "{id} was acknowledged, and holds {found:?}"
            );
        }
        all_agrees(&source, &self.requests.sent).await?;
        Ok(())
    }
}

fn single_id(number: u64) -> String {
    format!("single-{number}")
}

/// An answer that says to come again is a refusal; any other that is no success is an error.
fn came(answered: Result<()>) -> Result<Came> {
    match answered {
        Ok(()) => Ok(Came::Acknowledged),
        Err(error) => match refused_with(&error) {
            Some(429 | 503) => Ok(Came::Refused),
            _ => Err(error),
        },
    }
}

/// The status of the answer that this error is about.
fn refused_with(error: &Error) -> Option<u16> {
    let error = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<granary_client::Error>())?;
    error.refusal().map(|refusal| refusal.code)
}

/// Starts a server on the folder, behind these words.
async fn start(data: &Path, before: Vec<String>) -> Result<Server> {
    Server::spawn(Start {
        place: Place::Folder(data.to_owned()),
        environment: Vec::new(),
        log: None,
        before,
    })
    .await
}

/// Starts a server on an empty folder and defines what requests need.
async fn start_fresh(data: &Path) -> Result<Server> {
    let server = start(data, Vec::new()).await?;
    define(&server.client()?, SOURCE).await?;
    Ok(server)
}

/// The status of `/readyz`, and what it says.
async fn readiness(server: &Server) -> Result<(u16, serde_json::Value)> {
    let response = http()
        .build()?
        .get(format!("{}/readyz", server.url))
        .send()
        .await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_slice(&response.bytes().await?)?))
}

/// A refusal is of what it is of: nothing else is acknowledged that came with it.
fn all_refused(came: impl IntoIterator<Item = Came>) -> Result<()> {
    let came: Vec<Came> = came.into_iter().collect();
    ensure!(
        came.iter().all(|came| matches!(came, Came::Refused)),
        "not all were refused: {came:?}"
    );
    Ok(())
}

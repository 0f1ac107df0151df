//! How long a server takes to start again on a folder with many records. Measured, and held to nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use granary_core::operation::TargetType;

use super::load::SOURCE;
use crate::agree::ended;
use crate::model::Operation;
use crate::requests::{ID, Requests, define, send};
use crate::{Place, Server, Start};

/// Operations of one request.
const REQUEST: usize = 100_000;
/// Operations of the first small request, each that follows having one more: too few to go past the journal.
const SMALL: usize = 2_000;
/// How many of those fill several journals.
const SMALLS: usize = 500;
/// How often it is killed while it applies.
const KILLS: u8 = 3;

/// From the start of the process until it says that it is ready.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// How many records there are.
    pub records: usize,
    /// How long the requests took that wrote them, until all were applied.
    pub written: Duration,
    /// After a stop in order.
    pub after_a_stop: Duration,
    /// After kill -9 of a server that does nothing.
    pub after_a_kill: Duration,
    /// After kill -9 in the midst of a request of 100,000 upserts, each with the operations that were left.
    pub after_kills_at_work: Vec<(Duration, u64)>,
    /// After kill -9 behind 500 requests of 2,000 to 2,499 upserts.
    pub after_small_requests: Duration,
}

/// Writes so many records, and has the server start again and again.
pub async fn recovery(records: usize, seed: u64) -> Result<Recovery> {
    let data = tempfile::tempdir()?;
    let start = Start::at(Place::Folder(data.path().to_owned()), Vec::new());
    let mut server = Server::spawn(start.clone()).await?;
    let client = server.client()?;
    define(&client, SOURCE).await?;
    let source = client.source(SOURCE);
    let mut requests = Requests::new(seed, 1);
    // The order of ids as they are sent is none of ids as they are kept.
    let id = |at: usize| (format!("{ID}{:07}", at * 7_919 % records.max(1)), None);
    let began = Instant::now();
    let mut at = 0;
    let mut last = None;
    while at < records {
        let first = at;
        let place = requests.next_of(TargetType::Resource, REQUEST.min(records - at), 0, |_, _| {
            at += 1;
            Operation::Create(id(at - 1), 0)
        });
        last = Some(send(&source, &requests.sent[place].request).await?);
        ensure!(at > first, "a request of nothing");
    }
    if let Some(task) = last {
        ended(&source, &task).await?;
    }
    let written = began.elapsed();
    let status = server.stop().await?;
    ensure!(status.success(), "it was asked to stop and ended with {status}");

    let (mut server, after_a_stop) = started(&start).await?;
    server.kill().await?;
    let (mut server, after_a_kill) = started(&start).await?;
    let mut after_kills_at_work = Vec::new();
    for number in 1..=KILLS {
        let source = server.client()?.source(SOURCE);
        let mut at = 0;
        let place = requests.next_of(TargetType::Resource, REQUEST.min(records), 0, |_, _| {
            at += 1;
            Operation::Upsert(id(at - 1), number)
        });
        let task = send(&source, &requests.sent[place].request).await?;
        let left = loop {
            let counts = source.task(&task).await?.counts;
            if counts.success > 0 {
                break counts.pending;
            }
        };
        server.kill().await?;
        let (next, took) = started(&start).await?;
        after_kills_at_work.push((took, left));
        ended(&next.client()?.source(SOURCE), &task).await?;
        server = next;
    }

    let source = server.client()?.source(SOURCE);
    let mut at = 0;
    let mut last = None;
    for number in 0..SMALLS {
        let place = requests.next_of(TargetType::Resource, SMALL, 0, |_, _| {
            at += 1;
            // Values that nothing above wrote, so that each changes something.
            Operation::Upsert(id(at % records.max(1)), KILLS + 1 + (number % 9) as u8)
        });
        last = Some(send(&source, &requests.sent[place].request).await?);
    }
    if let Some(task) = last {
        ended(&source, &task).await?;
    }
    server.kill().await?;
    let (mut server, after_small_requests) = started(&start).await?;
    server.stop().await?;
    Ok(Recovery {
        records,
        written,
        after_a_stop,
        after_a_kill,
        after_kills_at_work,
        after_small_requests,
    })
}

async fn started(start: &Start) -> Result<(Server, Duration)> {
    let began = Instant::now();
    let server = Server::spawn(start.clone()).await?;
    server.client()?.ready().await?;
    Ok((server, began.elapsed()))
}

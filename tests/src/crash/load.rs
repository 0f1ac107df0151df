//! What is sent while the server is killed, and what is known of it: what was answered, and what was shown.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use granary_api::resources::ResourceWrite;
use granary_client::{Client, SourceClient};
use granary_core::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::to_raw_value;

use crate::Server;
use crate::requests::{Requests, send};

pub(super) const SOURCE: &str = "crash";
/// How long the end of a server may take that does not answer any more.
const DYING_MAX: Duration = Duration::from_secs(5);
/// Ids of the bulk requests: few, so that operations meet each other.
const IDS: u32 = 400;

/// The load of a crash run and what is known of it.
pub(super) struct Load {
    rng: StdRng,
    operations: usize,
    pub(super) requests: Requests,
    /// For each id of the single writer the value that it was last told is stored, and those on their way since.
    pub(super) singles: HashMap<String, Single>,
    next_single: u64,
    /// For each task the number of decided operations that was shown last.
    shown: HashMap<String, u64>,
    /// How often a task was seen with some of its operations decided and some not.
    pub(super) shown_in_the_middle: u32,
    /// A request is on its way.
    uploading: bool,
}

#[derive(Default)]
pub(super) struct Single {
    pub(super) acknowledged: Option<u64>,
    pub(super) on_their_way: Vec<u64>,
}

/// At what moment the server was killed.
pub(super) struct Moment {
    pub(super) killed_at: Timestamp,
    /// The last task that was accepted before; whether it had ended then, is known once it has.
    pub(super) last_task: Option<String>,
    pub(super) inside_an_upload: bool,
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Load {
    pub(super) fn new(seed: u64, operations: usize) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            operations,
            requests: Requests::new(seed ^ 0x0bd5, IDS),
            singles: HashMap::new(),
            next_single: 0,
            shown: HashMap::new(),
            shown_in_the_middle: 0,
            uploading: false,
        }
    }

    /// Sends requests and single writes until the server dies, or kills it: once a task is in its middle, or at some
    /// moment after the start, whatever it does then.
    pub(super) async fn until_killed(
        &mut self,
        server: &mut Server,
        inside_a_task: bool,
        moment: Duration,
    ) -> Result<Moment> {
        let source = server.client()?.source(SOURCE);
        self.uploading = false;
        let deadline = tokio::time::Instant::now() + moment;
        let worked = tokio::select! {
            biased;
            ended = server.ended() => ended.map(|_| ()),
            worked = self.work(&source, inside_a_task, deadline) => worked,
        };
        if let Err(failure) = worked {
            // What it was asked last may fail before its end is noticed.
            let ended = tokio::time::timeout(DYING_MAX, server.ended()).await;
            ended.map_err(|_| failure.context("nothing was in its way"))??;
        }
        server.kill().await?;
        Ok(Moment {
            killed_at: now(),
            last_task: self.last_task(),
            inside_an_upload: self.uploading,
        })
    }

    async fn work(
        &mut self,
        source: &SourceClient,
        inside_a_task: bool,
        deadline: tokio::time::Instant,
    ) -> Result<()> {
        if inside_a_task {
            for _ in 0..self.rng.random_range(1..4) {
                self.upload(source).await?;
            }
            // Reads all the while, so that much was shown when the server dies.
            while tokio::time::Instant::now() < deadline {
                self.look(source).await?;
            }
            return Ok(());
        }
        // Whatever is on its way when the time is over is cut off with the server.
        while tokio::time::Instant::now() < deadline {
            let called = async {
                match self.rng.random_bool(0.5) {
                    true => self.upload(source).await,
                    false => self.write_single(source).await,
                }
            };
            match tokio::time::timeout_at(deadline, called).await {
                Ok(answered) => answered?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn upload(&mut self, source: &SourceClient) -> Result<()> {
        let sent = self.next_request();
        self.uploading = true;
        let task = send(source, &self.requests.sent[sent].request).await?;
        self.uploading = false;
        self.requests.sent[sent].task = Some(task);
        Ok(())
    }

    /// Looks how far the last tasks are.
    async fn look(&mut self, source: &SourceClient) -> Result<()> {
        for id in self
            .requests
            .sent
            .iter()
            .rev()
            .take(3)
            .filter_map(|sent| sent.task.clone())
        {
            let counts = source.task(&id).await?.counts;
            self.shown_in_the_middle += u32::from(counts.pending > 0 && counts.pending < counts.total);
            self.shown.insert(id, counts.success + counts.failure);
        }
        Ok(())
    }

    fn last_task(&self) -> Option<String> {
        self.requests.sent.iter().rev().find_map(|sent| sent.task.clone())
    }

    /// Tasks that were seen are there, at least as far as they were seen; single writes that were answered hold.
    pub(super) async fn nothing_shown_is_taken_back(&mut self, client: &Client) -> Result<()> {
        let source = client.source(SOURCE);
        for sent in &self.requests.sent {
            let Some(id) = &sent.task else { continue };
            let task = source
                .task(id)
                .await
                .with_context(|| format!("task {id} was accepted and is gone"))?;
            let decided = task.counts.success + task.counts.failure;
            let shown = self.shown.entry(id.clone()).or_default();
            ensure!(
                decided >= *shown,
                "task {id} was shown at {shown} and is back at {decided}"
            );
            *shown = decided;
            ensure!(
                task.counts.total == sent.request.operations.len() as u64,
                "task {id} lost operations"
            );
        }
        for (id, single) in &self.singles {
            single_holds(&source, id, single).await?;
        }
        Ok(())
    }

    /// Writes one single record.
    async fn write_single(&mut self, source: &SourceClient) -> Result<()> {
        let id = format!("single-{}", self.rng.random_range(0..20));
        let value = self.next_single;
        self.next_single += 1;
        let single = self.singles.entry(id.clone()).or_default();
        single.on_their_way.push(value);
        let data = to_raw_value(&serde_json::json!({ "n": value }))?;
        let write = ResourceWrite {
            id: None,
            data,
            contained: None,
            meta: None,
        };
        source.put_resource("place", &id, &write).await?;
        single.acknowledged = Some(value);
        single.on_their_way.clear();
        Ok(())
    }

    /// Makes the next request and returns its place among those sent.
    fn next_request(&mut self) -> usize {
        let moment = self.requests.sent.len() as u64;
        let place = self.requests.next(self.operations, moment);
        // One is sent after the other, and with the server that dies all is over that it has not accepted.
        self.requests.sent[place].over = Some(moment);
        place
    }
}

/// The value of a single record is the last that was answered, or one that was sent since.
pub(super) async fn single_holds(source: &SourceClient, id: &str, single: &Single) -> Result<()> {
    let found = match source.get_resource("place", id).await {
        Ok(resource) => Some(serde_json::from_str::<serde_json::Value>(resource.data.get())?["n"].as_u64()),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 404) => None,
        Err(error) => return Err(error.into()),
    };
    let allowed = match found {
        None => single.acknowledged.is_none(),
        Some(value) => {
            value == single.acknowledged || value.is_some_and(|value| single.on_their_way.contains(&value))
        }
    };
    ensure!(
        allowed,
        "{id} holds {found:?}; answered was {:?}",
        single.acknowledged
    );
    Ok(())
}

//! What is sent while the server is killed, and what is known of it: what was answered, and what readers were told.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use granary_api::resources::ResourceWrite;
use granary_client::{Client, SourceClient};
use granary_core::operation::TargetType;
use granary_core::task::TaskKind;
use granary_core::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::to_raw_value;
use tokio::time::{Instant, sleep};

use crate::Server;
use crate::agree::{accepted, number_of, tasks_in_order};
use crate::model::Operation;
use crate::requests::{ID, Requests, send};
use crate::told::{Answer, Past, Position, Reader};

pub(super) const SOURCE: &str = "crash";
/// How long the end of a server may take that does not answer any more.
const DYING_MAX: Duration = Duration::from_secs(5);
/// Ids of most bulk requests: few, so that operations meet each other.
const IDS: u32 = 400;
/// Ids of the others, which write so many heads that these go in as a run.
const IDS_OF_RUNS: u32 = 12_000;
/// About so many operations have requests that are kept in the database.
const SMALL: usize = 20;
/// How many read at the same time.
const READERS: usize = 3;
/// The tasks that they look at.
const TASKS_LOOKED_AT: usize = 3;
/// How much each reads of a server that was started again, before more is sent.
const READS_AFTER_DEATH: u64 = 20;
/// How long it is waited at the most until something is applied.
const PROGRESS_MAX: Duration = Duration::from_secs(10);

/// The load of a crash run and what is known of it.
pub(super) struct Load {
    rng: StdRng,
    rng_of_runs: StdRng,
    operations: usize,
    pub(super) requests: Requests,
    /// What becomes of those that were accepted.
    past: Past,
    readers: Vec<Reader>,
    /// For each id of the single writer the value that it was last told is stored, and those on their way since.
    pub(super) singles: HashMap<String, Single>,
    next_single: u64,
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
    killed_at: Timestamp,
    /// The last task that was accepted before.
    last_task: Option<String>,
    pub(super) inside_an_upload: bool,
}

impl Moment {
    /// True where the last task had not ended, as the next server says.
    pub(super) async fn left_work(&self, client: &Client) -> Result<bool> {
        let Some(id) = &self.last_task else {
            return Ok(false);
        };
        let ended = client.source(SOURCE).task(id).await?.completed_at;
        Ok(ended.is_none_or(|at| at > self.killed_at))
    }
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
            rng_of_runs: StdRng::seed_from_u64(seed ^ 0x2045),
            operations,
            requests: Requests::new(seed ^ 0x0bd5, IDS),
            past: Past::default(),
            readers: (0..READERS as u64)
                .map(|number| Reader::new(StdRng::seed_from_u64(seed ^ (0x4ead + number)), 0))
                .collect(),
            singles: HashMap::new(),
            next_single: 0,
            uploading: false,
        }
    }

    /// Sends requests and single writes until the server dies, or kills it: soon after tasks were accepted, once a task is in its
    /// middle, or at some moment after the start, whatever it does then.
    pub(super) async fn until_killed(
        &mut self,
        server: &mut Server,
        inside_a_task: bool,
        moment: Duration,
    ) -> Result<Moment> {
        let source = server.client()?.source(SOURCE);
        self.uploading = false;
        let worked = tokio::select! {
            biased;
            ended = server.ended() => ended.map(|_| ()),
            worked = self.work(&source, inside_a_task, moment) => worked,
        };
        if let Err(failure) = worked {
            // What it was asked last may fail before its end is noticed.
            let failure = of_a_call(failure)?;
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

    async fn work(&mut self, source: &SourceClient, inside_a_task: bool, moment: Duration) -> Result<()> {
        if inside_a_task {
            let began = Instant::now();
            for _ in 0..self.rng.random_range(1..4) {
                self.upload(source).await?;
            }
            // Every second time it dies within a fraction of the time that sending took: what it has accepted is hardly applied
            // then, however fast the machine is.
            let took = began.elapsed();
            if self.rng.random_bool(0.5) {
                sleep(took.mul_f64(self.rng.random_range(0.0..0.25))).await;
                return Ok(());
            }
            // Else it is read all the while, so that much was shown when the server dies. Every second time something is to be
            // applied before the time begins to run: how long that takes depends on the machine.
            self.learn(source).await?;
            let (seen, began) = (self.seen(), Instant::now());
            let waits = self.rng.random_bool(0.5) && seen < self.past.end();
            let due = Cell::new((!waits).then(|| began + moment));
            return self
                .read(source, |reader, _| {
                    let now = Instant::now();
                    if due.get().is_none() && (reader.seen > seen || now > began + PROGRESS_MAX) {
                        due.set(Some(now + moment));
                    }
                    due.get().is_none_or(|due| now < due)
                })
                .await;
        }
        // Whatever is on its way when the time is over is cut off with the server.
        let deadline = Instant::now() + moment;
        while Instant::now() < deadline {
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

    /// Sees which requests were accepted, those whose answer was lost too. None has gone, and none has gone back.
    async fn learn(&mut self, source: &SourceClient) -> Result<()> {
        let tasks = tasks_in_order(source, TaskKind::Bulk).await?;
        let accepted = accepted(&tasks, &self.requests.sent)?;
        for (id, sent) in accepted.into_iter().skip(self.past.tasks()) {
            self.past.goes_on(Some(id), &sent.request.operations);
        }
        let seen = self.seen();
        for task in tasks {
            self.past.hold(seen, &Answer::Task(Box::new(task)))?;
        }
        Ok(())
    }

    /// How much any of the readers has seen.
    fn seen(&self) -> Position {
        self.readers
            .iter()
            .map(|reader| reader.seen)
            .max()
            .unwrap_or_default()
    }

    /// All readers read, each for as long as this says that knows how many answers it had.
    async fn read(&mut self, source: &SourceClient, goes_on: impl Fn(&Reader, u64) -> bool) -> Result<()> {
        let (past, goes_on) = (&self.past, &goes_on);
        let read = async |reader: &mut Reader| {
            let mut answers = 0;
            while goes_on(reader, answers) {
                let tasks = past.at_work(reader.seen, TASKS_LOOKED_AT);
                reader.read(source, past, &tasks, IDS_OF_RUNS, IDS).await?;
                answers += 1;
            }
            anyhow::Ok(())
        };
        try_join_all(self.readers.iter_mut().map(read)).await?;
        Ok(())
    }

    fn last_task(&self) -> Option<String> {
        self.requests.sent.iter().rev().find_map(|sent| sent.task.clone())
    }

    /// Tasks that were seen are there; whatever is read now is of no moment before what was seen; single writes that were
    /// answered hold.
    pub(super) async fn nothing_shown_is_taken_back(&mut self, client: &Client) -> Result<()> {
        let source = client.source(SOURCE);
        let seen = self.seen();
        self.readers.iter_mut().for_each(|reader| reader.seen = seen);
        self.learn(&source).await?;
        self.read(&source, |_, answers| answers < READS_AFTER_DEATH)
            .await?;
        for (id, single) in &self.singles {
            single_holds(&source, id, single).await?;
        }
        Ok(())
    }

    /// How many answers readers had, and how often of a task that had some of its operations decided and some not.
    pub(super) fn told(&self) -> (u64, u64) {
        let told = self
            .readers
            .iter()
            .map(|reader| (reader.answers, reader.in_the_middle));
        told.fold((0, 0), |(all, middle), (answers, in_the_middle)| {
            (all + answers, middle + in_the_middle)
        })
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
        let rng = &mut self.rng_of_runs;
        let kind = rng.random_range(0..10);
        let place = if kind < 4 {
            let mut next = rng.random_range(0..IDS_OF_RUNS);
            let operation = |_: &mut Requests, _| {
                next += 1;
                operation_of_a_run(rng, next)
            };
            self.requests
                .next_of(TargetType::Resource, self.operations, moment, operation)
        } else if kind < 6 {
            self.requests.next(SMALL, moment)
        } else {
            self.requests.next(self.operations, moment)
        };
        // One is sent after the other, and with the server that dies all is over that it has not accepted.
        self.requests.sent[place].over = Some(moment);
        place
    }
}

/// An operation on the next of many resources, or now and then on any: nearly all of them write.
fn operation_of_a_run(rng: &mut StdRng, next: u32) -> Operation {
    let number = match rng.random_ratio(1, 8) {
        true => rng.random_range(0..IDS_OF_RUNS),
        false => next % IDS_OF_RUNS,
    };
    let name = (format!("{ID}{number}"), None);
    let n = rng.random();
    match rng.random_range(0..10) {
        0 => Operation::Create(name, n),
        1 => Operation::Delete(name),
        _ => Operation::Upsert(name, n),
    }
}

/// The value of a single record is the last that was answered, or one that was sent since.
pub(super) async fn single_holds(source: &SourceClient, id: &str, single: &Single) -> Result<()> {
    let found = number_of(source, id).await?;
    let allowed =
        found == single.acknowledged || found.is_some_and(|value| single.on_their_way.contains(&value));
    ensure!(
        allowed,
        "{id} holds {found:?}; answered was {:?}",
        single.acknowledged
    );
    Ok(())
}

/// A call that had no answer, or a refusal; any other failure fails.
pub(super) fn of_a_call(failure: anyhow::Error) -> Result<anyhow::Error> {
    match failure.downcast_ref::<granary_client::Error>() {
        Some(_) => Ok(failure),
        None => Err(failure),
    }
}

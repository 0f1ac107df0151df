//! What is sent while the server is recorded, and when each answer came.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use granary_api::resources::ResourceWrite;
use granary_client::{Client, SourceClient};
use granary_core::operation::TargetType;
use granary_core::task::{TaskKind, TaskStatus};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::to_raw_value;

use super::watch::Watch;
use crate::agree::{Found, ended, number_of, tasks_in_order};
use crate::model::{LARGE, Name, Operation};
use crate::register::Register;
use crate::requests::{ID, Requests, Sent, define, send};
use crate::told::{Answer, Past, Position, Reader};

/// The sources, the one that most is sent to first.
pub(super) const SOURCES: [&str; 2] = ["power", "other"];
/// Records that bulk requests and single writes write alike.
const MEETING: &str = "meeting-";
const MEETINGS: usize = 8;
/// Records of single writes alone.
const SINGLES: usize = 8;
/// Values of single writes begin here; those of bulk requests are smaller.
pub(super) const SINGLES_FROM: u64 = 1_000;
/// Between two single writes: they are to be spread over the run.
const PAUSE: Duration = Duration::from_millis(15);
/// How much is read of a server that was started after another died.
const READS_AGAIN: u64 = 20;
/// What was accepted last is applied in this time.
const REST: Duration = Duration::from_secs(1);
/// Between two reads: they are to leave the server time for what it writes.
const PAUSE_OF_READS: Duration = Duration::from_millis(5);

/// The clock that strace uses.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What is sent to one source, with the moments.
pub(super) struct Traffic {
    pub(super) key: &'static str,
    state: Mutex<State>,
}

struct State {
    requests: Requests,
    rng: StdRng,
    defined_at: Option<u64>,
    /// For each request that was accepted, when that was answered.
    answered: BTreeMap<usize, u64>,
    /// Records with the values that were written to them.
    registers: BTreeMap<String, Register>,
    next_single: u64,
    shown: Vec<Shown>,
    /// What becomes of the requests.
    past: Past,
    /// When an answer had come that showed so much.
    told: Vec<(u64, Position)>,
}

/// What was told of a task.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) at: u64,
    pub(super) task: String,
    pub(super) decided: u64,
}

/// What is known of a source at some moment.
pub(super) struct Known {
    pub(super) defined: bool,
    pub(super) sent: Vec<Sent>,
    pub(super) shown: Vec<Shown>,
}

/// Makes the operation of a request that stands at this place.
type Make = fn(usize) -> Operation;

fn id(at: usize) -> Name {
    (format!("{ID}{at}"), None)
}

/// Ids that edges are between.
const ENDS: usize = 70;
/// The tasks that a reader looks at.
const TASKS_LOOKED_AT: usize = 3;
const RESOURCES: usize = 5_400;
const EDGES: usize = ENDS * ENDS;

fn edge(at: usize) -> Name {
    let end = |at: usize| format!("{ID}{}", at % ENDS);
    (end(at / ENDS), Some(end(at)))
}

/// The requests of the first source, in their order: each of more heads, or edges, than go by a batch. Of resources where
/// the first is true.
const REQUESTS: [(bool, usize, Make); 5] = [
    (true, RESOURCES, |at| Operation::Create(id(at), 1)),
    (false, EDGES, |at| Operation::Create(edge(at), 2)),
    (true, RESOURCES, |at| match at % 10 {
        0 if at > ENDS || at % 30 == 0 => Operation::Delete(id(at)),
        1 => Operation::Create(id(at), 3),
        2 => Operation::Upsert(id(at), 1),
        _ => Operation::Upsert(id(at), 3),
    }),
    (false, EDGES, |at| match at % 5 {
        0 => Operation::Delete(edge(at)),
        _ => Operation::Upsert(edge(at), 4),
    }),
    (true, RESOURCES, |at| Operation::Upsert(id(at), 5)),
];
/// Those of the other.
const OF_OTHER: [(bool, usize, Make); 2] = [
    (true, 4_200, |at| Operation::Create(id(at), 1)),
    (true, 4_200, |at| Operation::Delete(id(at))),
];
/// Records that are large, and all but some of them gone: more than 16 MiB that collection removes.
const LARGE_ONES: usize = 420;
const COLLECTED: [(bool, usize, Make); 2] = [
    (true, LARGE_ONES, |at| Operation::Create(large(at), 1)),
    (true, LARGE_ONES - 20, |at| Operation::Delete(large(at))),
];

const BEFORE_REST: [(bool, usize, Make); 1] = [(true, 200, |at| Operation::Create(id(at), 1))];
/// Operations of a request that is kept in the database.
const SMALL: usize = 20;

fn large(at: usize) -> Name {
    (format!("{LARGE}{at}"), None)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    pub(super) fn new(key: &'static str, seed: u64) -> Self {
        let state = State {
            requests: Requests::new(seed ^ 0x0bd5, ENDS as u32),
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            defined_at: None,
            answered: BTreeMap::new(),
            registers: BTreeMap::new(),
            next_single: SINGLES_FROM,
            shown: Vec::new(),
            past: Past::default(),
            told: Vec::new(),
        };
        Self {
            key,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn define(&self, client: &Client) -> Result<()> {
        define(client, self.key).await?;
        self.state().defined_at = Some(now());
        Ok(())
    }

    /// Sends one request after the other, and waits until all tasks have ended.
    async fn requests(
        &self,
        source: &SourceClient,
        requests: &[(bool, usize, Make)],
        small: bool,
    ) -> Result<()> {
        for (number, (of_resources, length, make)) in requests.iter().enumerate() {
            let target = match of_resources {
                true => TargetType::Resource,
                false => TargetType::Relationship,
            };
            let meetings = if *of_resources { MEETINGS } else { 0 };
            let mut at = 0;
            let operation = |_: &mut Requests, _| {
                at += 1;
                match at <= meetings {
                    true => Operation::Upsert((format!("{MEETING}{}", at - 1), None), number as u8),
                    false => make((at - 1 - meetings) % length),
                }
            };
            let place = self
                .state()
                .requests
                .next_of(target, length + meetings, now(), operation);
            self.send(source, place).await?;
            // One that is kept in the database, of operations by chance: unlike a run it is shown by nothing but its commit.
            if small {
                let place = self.state().requests.next(SMALL, now());
                self.send(source, place).await?;
            }
        }
        let last = self.state().answered.keys().next_back().copied();
        let last = last.and_then(|last| self.state().requests.sent[last].task.clone());
        ended(source, &last.context("nothing was sent")?).await?;
        Ok(())
    }

    async fn send(&self, source: &SourceClient, place: usize) -> Result<()> {
        let request = self.state().requests.sent[place].request.clone();
        // Before it is sent: it is read from before its answer is here.
        self.state().past.goes_on(None, &request.operations);
        let began = self.state().requests.sent[place].began;
        for (name, value) in meetings(&request.operations) {
            self.register(&name, |register| register.begin(value, began));
        }
        let task = send(source, &request).await?;
        let mut state = self.state();
        state.answered.insert(place, now());
        state.past.is_called(&task);
        state.requests.sent[place].task = Some(task);
        Ok(())
    }

    fn register(&self, name: &str, with: impl FnOnce(&mut Register)) {
        with(self.state().registers.entry(name.to_owned()).or_default());
    }

    /// Writes single records, those that the requests write as well, and looks how far the tasks are.
    async fn writes(&self, source: &SourceClient) -> Result<()> {
        loop {
            let (name, value) = {
                let mut state = self.state();
                let number = state.rng.random_range(0..SINGLES + MEETINGS);
                state.next_single += 1;
                let name = match number.checked_sub(SINGLES) {
                    None => format!("single-{number}"),
                    Some(number) => format!("{MEETING}{number}"),
                };
                (name, state.next_single)
            };
            let write = ResourceWrite {
                id: None,
                data: to_raw_value(&serde_json::json!({ "n": value }))?,
                contained: None,
                meta: None,
            };
            self.register(&name, |register| register.begin(value, now()));
            source.put_resource("place", &name, &write).await?;
            self.register(&name, |register| register.answered(value, now()));
            self.look(source).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads what the requests write, so often.
    async fn reads(&self, source: &SourceClient, seed: u64, count: u64) -> Result<()> {
        let mut reader = Reader::new(StdRng::seed_from_u64(seed), 0);
        for _ in 0..count {
            let tasks = self.state().past.at_work(reader.seen, TASKS_LOOKED_AT);
            let answer = reader.ask(source, &tasks, RESOURCES as u32, ENDS as u32).await?;
            let at = now();
            let before = reader.seen;
            {
                let mut state = self.state();
                reader.take(&state.past, &answer)?;
                if reader.seen > before {
                    state.told.push((at, reader.seen));
                }
            }
            tokio::time::sleep(PAUSE_OF_READS).await;
        }
        Ok(())
    }

    /// Reads what a server shows that was started after another died: first all tasks, that whose answer was lost too, and the
    /// records of single writes.
    async fn read_again(&self, source: &SourceClient) -> Result<()> {
        let tasks = tasks_in_order(source, TaskKind::Bulk).await?;
        let at = now();
        let registers: Vec<String> = {
            let mut state = self.state();
            for task in tasks {
                let id = task.task_id.to_string();
                if !state.past.knows(&id) {
                    state.past.is_called(&id);
                }
                state.shown.push(Shown {
                    at,
                    task: id,
                    decided: task.counts.success + task.counts.failure,
                });
                let seen = state.past.hold(0, &Answer::Task(Box::new(task)))?;
                state.told.push((at, seen));
            }
            state.registers.keys().cloned().collect()
        };
        for name in registers {
            if let Some(value) = number_of(source, &name).await? {
                self.register(&name, |register| register.answered(value, now()));
            }
        }
        self.reads(source, 1, READS_AGAIN).await
    }

    /// How much had been shown by a moment.
    pub(super) fn told_at(&self, moment: u64) -> Position {
        let state = self.state();
        let before = state.told.iter().filter(|(at, _)| *at < moment);
        before.map(|(_, seen)| *seen).max().unwrap_or_default()
    }

    /// When answers had come that showed more than those before them.
    fn shown_more(&self) -> Vec<u64> {
        self.state().told.iter().map(|(at, _)| *at).collect()
    }

    /// Fails where not all of these records are as they were after so much was seen, or later.
    pub(super) fn hold_all(&self, seen: Position, found: &Found) -> Result<()> {
        self.state().past.hold_all(seen, found)
    }

    /// Fails where this is not an answer after so much was seen.
    pub(super) fn hold(&self, seen: Position, answer: &Answer) -> Result<()> {
        self.state().past.hold(seen, answer).map(|_| ())
    }

    /// Looks at the tasks whose end was not seen yet.
    async fn look(&self, source: &SourceClient) -> Result<()> {
        let open: Vec<(usize, String)> = {
            let state = self.state();
            let ended = |task: &String| {
                let shown = state.shown.iter().rev().find(|shown| shown.task == *task);
                shown.is_some_and(|shown| shown.decided == u64::MAX)
            };
            let sent = state.requests.sent.iter().enumerate();
            let tasks = sent.filter_map(|(place, sent)| Some((place, sent.task.clone()?)));
            tasks.filter(|(_, task)| !ended(task)).collect()
        };
        for (place, id) in open {
            let task = source.task(&id).await?;
            let at = now();
            let decided = task.counts.success + task.counts.failure;
            let mut state = self.state();
            let mut shown = Shown {
                at,
                task: id,
                decided,
            };
            state.shown.push(shown.clone());
            if task.status == TaskStatus::Pending {
                break;
            }
            // Not looked at again.
            shown.decided = u64::MAX;
            let request = state.requests.sent[place].request.clone();
            for (name, value) in meetings(&request.operations) {
                state.registers.entry(name).or_default().answered(value, at);
            }
            state.shown.push(shown);
        }
        Ok(())
    }

    /// What was known at a moment.
    pub(super) fn known_at(&self, moment: u64) -> Known {
        let state = self.state();
        let sent = state.requests.sent.iter().enumerate().map(|(place, sent)| {
            let answered = state.answered.get(&place).copied().filter(|at| *at < moment);
            Sent {
                task: sent.task.clone().filter(|_| answered.is_some()),
                over: answered,
                cut_off: sent.began >= moment,
                ..sent.clone()
            }
        });
        let shown = state.shown.iter().filter(|shown| shown.at < moment);
        Known {
            defined: state.defined_at.is_some_and(|at| at < moment),
            sent: sent.collect(),
            shown: shown.filter(|shown| shown.decided < u64::MAX).cloned().collect(),
        }
    }

    /// Calls for each record that single writes write.
    pub(super) fn each_register(&self, mut check: impl FnMut(&str, &Register) -> Result<()>) -> Result<()> {
        let state = self.state();
        let mut registers = state.registers.iter();
        registers.try_for_each(|(name, register)| check(name, register))
    }
}

/// The records of a request that single writes write as well, and what it writes to them.
pub(super) fn meetings(operations: &[Operation]) -> impl Iterator<Item = (String, u64)> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Upsert((id, None), value) if id.starts_with(MEETING) => {
            Some((id.clone(), u64::from(*value)))
        }
        _ => None,
    })
}

/// All sources.
pub(super) struct Load(pub(super) Vec<Traffic>);

impl Load {
    pub(super) fn new(seed: u64) -> Self {
        let traffic = |(number, key): (usize, &&'static str)| Traffic::new(key, seed + number as u64);
        Self(SOURCES.iter().enumerate().map(traffic).collect())
    }

    /// When answers of any source had come that showed more than those before them.
    pub(super) fn shown_more(&self) -> Vec<u64> {
        self.0.iter().flat_map(Traffic::shown_more).collect()
    }

    /// Sends requests to both sources that are applied as runs, and single writes beside.
    pub(super) async fn runs(&self, client: &Client) -> Result<()> {
        let [first, other] = self.0.as_slice() else {
            anyhow::bail!("two sources")
        };
        first.define(client).await?;
        other.define(client).await?;
        let sources = (client.source(first.key), client.source(other.key));
        let requests = async {
            tokio::try_join!(
                first.requests(&sources.0, &REQUESTS, true),
                other.requests(&sources.1, &OF_OTHER, false)
            )?;
            // Their ends are to be seen.
            first.look(&sources.0).await?;
            other.look(&sources.1).await
        };
        let beside = async {
            tokio::try_join!(
                first.writes(&sources.0),
                other.writes(&sources.1),
                first.reads(&sources.0, 1, u64::MAX),
                other.reads(&sources.1, 2, u64::MAX)
            )
            .map(|_: ((), (), (), ())| ())
        };
        until(requests, beside).await
    }

    /// Sends requests until a run is committed.
    pub(super) async fn until_run(&self, client: &Client, watch: &mut Watch) -> Result<()> {
        until(watch.sync_of_run(), async {
            self.runs(client).await?;
            anyhow::bail!("there was no run")
        })
        .await
    }

    /// Sends requests to the first source until what was accepted last is applied; then there is nothing left to do.
    pub(super) async fn until_rest(&self, client: &Client, watch: &mut Watch) -> Result<()> {
        let first = self.0.first().context("a source")?;
        first.define(client).await?;
        let source = client.source(first.key);
        first.requests(&source, &BEFORE_REST, false).await?;
        first.look(&source).await?;
        let place = first.state().requests.next(SMALL, now());
        watch.read()?;
        first.send(&source, place).await?;
        // It may have come and gone.
        let waited = tokio::time::timeout(REST, watch.sync()).await;
        waited.unwrap_or(Ok(()))
    }

    /// Reads what a server shows that was started after another died.
    pub(super) async fn read_again(&self, client: &Client) -> Result<()> {
        for traffic in &self.0 {
            if traffic.state().defined_at.is_some() {
                traffic.read_again(&client.source(traffic.key)).await?;
            }
        }
        Ok(())
    }

    /// Writes to the first source what collection removes, and goes on with single writes until `collected`.
    pub(super) async fn collection(
        &self,
        client: &Client,
        collected: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let first = self.0.first().context("a source")?;
        first.define(client).await?;
        let source = client.source(first.key);
        let requests = async {
            first.requests(&source, &COLLECTED, false).await?;
            first.look(&source).await?;
            collected.await
        };
        until(requests, first.writes(&source)).await
    }
}

/// Does the first to its end, and the other beside it.
async fn until(
    first: impl Future<Output = Result<()>>,
    beside: impl Future<Output = Result<()>>,
) -> Result<()> {
    tokio::select! {
        done = first => done,
        failed = beside => failed,
    }
}

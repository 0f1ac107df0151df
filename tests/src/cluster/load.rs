//! The load of a cluster run: clients that call any node, another after one did not answer, and note what was answered.
//!
//! In the *ordered* sources bulk requests alone write the records that they write, so a model can tell each receipt;
//! beside them single records are overwritten, counters counted up under a condition, and pairs of records with the edge
//! between them written by bundles (`writes.rs`). In the *mixed* source bulk requests, single writes and bundles create and delete the
//! same records and edges; what came of each is in the receipts of its task, and they must add up.
//!
//! A request without an answer counts as one that took effect, or did not, or may still: what is sent then is another
//! request, after the second that `Retry-After` asks for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::{StreamExt, stream};
use granary_api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, Error};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::check::Checked;
use super::nodes::{LOOK_EVERY, Nodes};
use crate::calls::{Answer, CALL_TIME_MAX, Call, Outcome};
use crate::model::Operation;
use crate::register::Register;
use crate::requests::{HOME, Requests, define};
use crate::server::PATIENCE;

/// Sources in which bulk requests have records of their own.
const ORDERED: u32 = 3;
/// Ids of bulk requests in one source: few, so that operations meet each other.
const IDS: u32 = 30;
/// When a client comes back that was sent away.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Tasks that a client lets wait.
const WAITING_MAX: usize = 2;

/// A run's load and what is known of it.
pub(crate) struct Load {
    pub(crate) nodes: Arc<Nodes>,
    http: reqwest::Client,
    seed: u64,
    /// Counts what happens: each begin and each answer.
    moment: AtomicU64,
    values: AtomicU64,
    /// Each client holds it, shared, while it calls; who holds it alone has quiet.
    pub(crate) gate: tokio::sync::RwLock<()>,
    pub(crate) traffics: Vec<Traffic>,
    /// Calls that were answered, and those that were not, or were told to come again.
    answers: AtomicU64,
    pub(crate) unanswered: AtomicU64,
}

/// What is written to one source.
pub(crate) struct Traffic {
    pub(crate) key: String,
    pub(crate) mixed: bool,
    pub(crate) requests: Mutex<Requests>,
    pub(crate) singles: Mutex<BTreeMap<String, Register>>,
    pub(crate) pairs: Mutex<BTreeMap<String, Register>>,
    pub(crate) counters: Mutex<BTreeMap<String, Counter>>,
    /// Tasks of the single writes and bundles that were answered, and how many were not.
    pub(crate) tasks: Mutex<BTreeSet<String>>,
    pub(crate) without_task: AtomicU64,
    pub(crate) checked: tokio::sync::Mutex<Checked>,
}

/// What was added to a record that is only changed by those who know its state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter {
    pub(crate) answered: u64,
    pub(crate) unanswered: u64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ids of a pair.
pub(crate) fn pair_of(id: &str) -> (String, String) {
    (format!("{id}-a"), format!("{id}-b"))
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Bulk,
    Single,
    Counter,
    Pair,
    Mixed,
}

impl Load {
    pub(crate) async fn new(nodes: Arc<Nodes>, seed: u64) -> Result<Self> {
        let ordered = (0..ORDERED).map(|n| (format!("ordered-{n}"), false));
        let keys = ordered.chain([("mixed".to_owned(), true)]);
        let traffic = |(n, (key, mixed)): (usize, (String, bool))| Traffic {
            key,
            mixed,
            requests: Mutex::new(Requests::new(seed ^ (0x0bd5 + n as u64), IDS)),
            singles: Mutex::default(),
            pairs: Mutex::default(),
            counters: Mutex::default(),
            tasks: Mutex::default(),
            without_task: AtomicU64::new(0),
            checked: tokio::sync::Mutex::default(),
        };
        let traffics: Vec<Traffic> = keys.enumerate().map(traffic).collect();
        let client = nodes.clients().into_iter().next().context("no node is up")?;
        for traffic in &traffics {
            define(&client, &traffic.key).await?;
        }
        Ok(Self {
            nodes,
            http: crate::http().no_proxy().build()?,
            seed,
            moment: AtomicU64::new(1),
            values: AtomicU64::new(1),
            gate: tokio::sync::RwLock::default(),
            traffics,
            answers: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        })
    }

    /// The clients; each goes on until it is dropped, or ends with what must not be.
    pub(crate) fn start(self: &Arc<Self>) -> tokio::task::JoinSet<Result<()>> {
        let mut clients = tokio::task::JoinSet::new();
        let mut number = self.seed;
        for (at, traffic) in self.traffics.iter().enumerate() {
            let kinds: &[Kind] = if traffic.mixed {
                &[Kind::Bulk, Kind::Mixed, Kind::Mixed, Kind::Mixed]
            } else {
                &[
                    Kind::Bulk,
                    Kind::Bulk,
                    Kind::Single,
                    Kind::Single,
                    Kind::Counter,
                    Kind::Counter,
                    Kind::Pair,
                    Kind::Pair,
                ]
            };
            for kind in kinds {
                number = number.wrapping_mul(31).wrapping_add(7);
                let (load, kind, rng) = (Arc::clone(self), *kind, StdRng::seed_from_u64(number));
                clients.spawn(async move {
                    let wrong = || format!("a client, {kind:?} of source {}", load.traffics[at].key);
                    load.go_on(at, kind, rng).await.with_context(wrong)
                });
            }
        }
        clients
    }

    /// Waits until so many calls more were answered.
    pub(crate) async fn answered(&self, calls: u64) -> Result<()> {
        let until = self.answers.load(Ordering::Relaxed) + calls;
        while self.answers.load(Ordering::Relaxed) < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    pub(crate) fn tick(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst)
    }

    async fn go_on(&self, at: usize, kind: Kind, mut rng: StdRng) -> Result<()> {
        let traffic = &self.traffics[at];
        let mut waiting = VecDeque::new();
        loop {
            {
                let _open = self.gate.read().await;
                if let Some(client) = self.some_node(&mut rng) {
                    match kind {
                        Kind::Bulk => waiting.extend(self.bulk(traffic, &client, &mut rng).await?),
                        Kind::Single => self.single(traffic, &client, &mut rng).await?,
                        Kind::Counter => self.counter(traffic, &client, &mut rng).await?,
                        Kind::Pair => self.pair(traffic, &client, &mut rng).await?,
                        Kind::Mixed => self.mixed(traffic, &client, &mut rng).await?,
                    }
                }
            }
            while waiting.len() > WAITING_MAX {
                if let Some(id) = waiting.pop_front() {
                    self.ended(traffic, &id, &mut rng).await?;
                }
            }
            // Clients think; it also keeps a small machine from doing nothing but this.
            tokio::time::sleep(Duration::from_millis(rng.random_range(5..60))).await;
        }
    }

    pub(super) fn some_node(&self, rng: &mut StdRng) -> Option<Client> {
        let clients = self.nodes.clients();
        let chosen = rng.random_range(0..clients.len().max(1));
        clients.into_iter().nth(chosen)
    }

    /// Waits until a task has ended, whichever node tells.
    async fn ended(&self, traffic: &Traffic, id: &str, rng: &mut StdRng) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(client) = self.some_node(rng) {
                let source = client.source(&traffic.key);
                match tokio::time::timeout(CALL_TIME_MAX, source.task(id)).await {
                    Ok(Ok(task)) if task.status != TaskStatus::Pending => return Ok(()),
                    Ok(Err(Error::Refused { error, status, .. })) if !matches!(status, 429 | 503) => {
                        bail!("task {id} was answered {status}: {error}")
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(LOOK_EVERY * 4).await;
        }
        bail!("task {id} does not end{}", self.nodes.state())
    }

    /// Sends a bulk request, whole or not; the id of its task, if there was an answer.
    async fn bulk(&self, traffic: &Traffic, client: &Client, rng: &mut StdRng) -> Result<Option<String>> {
        let length = match rng.random_range(0..10) {
            0..7 => rng.random_range(20..400),
            _ => rng.random_range(400..2_500),
        };
        let cut_off = rng.random_bool(0.1);
        let (place, target, body) = {
            let mut requests = lock(&traffic.requests);
            let began = self.tick();
            let place = if traffic.mixed {
                let target = if rng.random_bool(0.5) {
                    TargetType::Resource
                } else {
                    TargetType::Relationship
                };
                // Smaller: each of its operations is waited for by single writes.
                requests.next_of(target, length / 4 + 4, began, |_, target| {
                    mixed_operation(target, rng)
                })
            } else {
                requests.next(length, began)
            };
            let sent = &mut requests.sent[place];
            sent.cut_off = cut_off;
            if traffic.mixed && rng.random_bool(0.5) {
                Arc::make_mut(&mut sent.request).edges = HOME;
            }
            (place, sent.request.target, Bytes::from(sent.request.to_json()))
        };
        let body = in_pieces(body, cut_off, rng);
        let source = client.source(&traffic.key);
        let query = BulkQuery::default();
        let sending = source.send_bulk(target, &query, body);
        let outcome = tokio::time::timeout(CALL_TIME_MAX, sending).await;
        match outcome {
            Ok(Ok(BulkReply::Accepted(accepted))) => {
                ensure!(!cut_off, "a request that was cut off was accepted: {accepted:?}");
                let id = accepted.task_id.to_string();
                let sent = &mut lock(&traffic.requests).sent[place];
                (sent.task, sent.over) = (Some(id.clone()), Some(self.tick()));
                return Ok(Some(id));
            }
            _ if cut_off => {}
            Ok(Ok(reply)) => bail!("a request that is right was answered {reply:?}"),
            Ok(Err(Error::Refused { error, status, .. })) if !matches!(status, 429 | 503) => {
                bail!("a request that is right was answered {status}: {error}")
            }
            Ok(Err(error @ Error::Unexpected { .. })) => return Err(error.into()),
            Ok(Err(_)) | Err(_) => self.not_answered().await,
        }
        Ok(None)
    }

    /// Counts a call without an answer, and waits before the next.
    async fn not_answered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(AGAIN_AFTER).await;
    }

    /// Makes a call; `None` where there was no answer.
    pub(super) async fn call(&self, client: &Client, call: Call<'_>) -> Result<Option<Answer>> {
        match call.send(&self.http, client).await? {
            Outcome::Answered(answer) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                Ok(Some(answer))
            }
            Outcome::Unknown | Outcome::Unreached => {
                self.not_answered().await;
                Ok(None)
            }
        }
    }
}

pub(super) fn mixed_id(rng: &mut StdRng) -> String {
    format!("mix-{}", rng.random_range(0..12))
}

fn mixed_operation(target: TargetType, rng: &mut StdRng) -> Operation {
    let n = rng.random_range(0..3);
    match target {
        // No upserts: each create that succeeds then makes a record where there was none.
        TargetType::Resource if rng.random_bool(0.5) => Operation::Create((mixed_id(rng), None), n),
        TargetType::Resource => Operation::Delete((mixed_id(rng), None)),
        TargetType::Relationship => {
            let name = (mixed_id(rng), Some(mixed_id(rng)));
            match rng.random_range(0..3) {
                0 => Operation::Create(name, n),
                1 => Operation::Upsert(name, n),
                _ => Operation::Delete(name),
            }
        }
    }
}

/// A body as a client sends it that has it piece by piece, and breaks off half way if it is to.
fn in_pieces(body: Bytes, cut_off: bool, rng: &mut StdRng) -> BulkBody {
    let length = body.len();
    let count = rng.random_range(1..8);
    let pause = Duration::from_millis(rng.random_range(0..40));
    let mut pieces: Vec<io::Result<Bytes>> = body
        .chunks(length.div_ceil(count))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    if cut_off {
        pieces.truncate(pieces.len() / 2);
        pieces.push(Err(io::Error::other("cut off by the test")));
    }
    let stream = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    });
    BulkBody::json(stream).with_length(length as u64)
}

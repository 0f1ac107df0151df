//! The calls of clients, and what is noted of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::stream;
use granary_api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::SOURCE;
use super::checker::Timed;
use super::record::{Answered, Asked, Held, OnRecord};
use crate::agree::{code, receipts};
use crate::calls::{Answer, Call, Outcome};
use crate::server::PATIENCE;
use crate::{Server, http, model};

/// How long a client waits that got no answer.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What all clients share.
pub(super) struct Shared {
    http: reqwest::Client,
    /// Of each server that is up, or was.
    nodes: Mutex<Vec<Client>>,
    records: u32,
    moment: AtomicU64,
    value: AtomicU64,
    /// Calls that were made.
    pub(super) made: AtomicU64,
    /// The clients have ended.
    pub(super) over: AtomicBool,
    histories: Mutex<BTreeMap<String, Vec<Timed<OnRecord>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(servers: &[Server], records: u32) -> Result<Self> {
        let nodes = servers.iter().map(Server::client).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            http: http().build()?,
            nodes: Mutex::new(nodes),
            records,
            moment: AtomicU64::new(0),
            value: AtomicU64::new(0),
            made: AtomicU64::new(0),
            over: AtomicBool::new(false),
            histories: Mutex::default(),
        })
    }

    /// A server was started again, and answers elsewhere.
    pub(super) fn moved(&self, number: usize, client: Client) {
        lock(&self.nodes)[number] = client;
    }

    /// All that was noted, by the id of the record.
    pub(super) fn histories(&self) -> BTreeMap<String, Vec<Timed<OnRecord>>> {
        std::mem::take(&mut *lock(&self.histories))
    }

    fn tick(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    fn next_value(&self) -> u64 {
        self.value.fetch_add(1, Ordering::Relaxed)
    }

    fn note(&self, id: &str, timed: Timed<OnRecord>) -> usize {
        let mut histories = lock(&self.histories);
        let history = histories.entry(id.to_owned()).or_default();
        history.push(timed);
        history.len() - 1
    }
}

/// One client.
pub(super) struct Writer {
    shared: Arc<Shared>,
    rng: StdRng,
    /// What it read last of each record, with its tag.
    seen: HashMap<String, (u64, String)>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        Self {
            shared,
            rng: StdRng::seed_from_u64(seed),
            seen: HashMap::new(),
        }
    }

    /// So many calls, one after the other.
    pub(super) async fn calls(mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            let id = self.some_record();
            let asked = self.choose(&id);
            self.call(&id, asked)
                .await
                .with_context(|| format!("{asked:?} of {id}"))?;
            self.shared.made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn some_record(&mut self) -> String {
        format!("shared-{}", self.rng.random_range(0..self.shared.records))
    }

    fn node(&mut self) -> Client {
        let nodes = lock(&self.shared.nodes);
        nodes[self.rng.random_range(0..nodes.len())].clone()
    }

    fn choose(&mut self, id: &str) -> Asked {
        let value = self.shared.next_value();
        match self.rng.random_range(0..20) {
            0..8 => Asked::Read,
            8..11 => Asked::Put(value),
            11..15 => match self.seen.get(id) {
                Some((seen, _)) => Asked::PutIf { seen: *seen, value },
                None => Asked::Create(value),
            },
            15..18 => Asked::Create(value),
            _ => Asked::Delete,
        }
    }

    async fn call(&mut self, id: &str, asked: Asked) -> Result<()> {
        let path = format!("resources/place/{id}");
        let data = |value: u64| Some(json!({"data": {"n": value}}));
        let (method, path, body) = match asked {
            Asked::Read => (Method::GET, path, None),
            Asked::Create(value) => (
                Method::POST,
                "resources/place".to_owned(),
                Some(json!({"id": id, "data": {"n": value}})),
            ),
            Asked::Put(value) | Asked::PutIf { value, .. } => (Method::PUT, path, data(value)),
            Asked::Delete => (Method::DELETE, path, None),
        };
        let if_match = match asked {
            Asked::PutIf { .. } => self.seen.get(id).map(|(_, tag)| tag.clone()),
            _ => None,
        };
        let call = Call {
            method,
            source: SOURCE,
            path: &path,
            if_match: if_match.as_deref(),
            body,
        };
        let node = self.node();
        let began = self.shared.tick();
        let outcome = call.send(&self.shared.http, &node).await?;
        let ended = self.shared.tick();
        let answered = match &outcome {
            Outcome::Answered(answer) => Some(self.answered(id, asked, answer)?),
            Outcome::Unknown => None,
            Outcome::Unreached => {
                tokio::time::sleep(AGAIN_AFTER).await;
                return Ok(());
            }
        };
        let is_unknown = answered.is_none();
        if !(is_unknown && matches!(asked, Asked::Read)) {
            let timed = Timed {
                call: OnRecord { asked, answered },
                began,
                ended: (!is_unknown).then_some(ended),
                after: None,
            };
            self.shared.note(id, timed);
        }
        if is_unknown {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }

    fn answered(&mut self, id: &str, asked: Asked, answer: &Answer) -> Result<Answered> {
        let held = |body: &Value| {
            let value = body["data"]["n"].as_u64().context("a record has a value")?;
            let version = body["meta"]["version"].as_u64().context("and a version")?;
            anyhow::Ok(Held { value, version })
        };
        Ok(match (asked, answer.status) {
            (Asked::Read, 200) => {
                let held = held(&answer.body)?;
                let tag = answer.etag.clone().context("a record has an ETag")?;
                self.seen.insert(id.to_owned(), (held.value, tag));
                Answered::Read(Some(held))
            }
            (Asked::Read, 404) => Answered::Read(None),
            (Asked::Delete, 200 | 204) => Answered::Deleted,
            (Asked::Delete, 404) => Answered::Missing,
            (Asked::Create(_), 409) => Answered::Exists,
            (Asked::PutIf { .. }, 412) => Answered::Changed,
            (Asked::Create(value) | Asked::Put(value) | Asked::PutIf { value, .. }, 200 | 201) => {
                let held = held(&answer.body["resource"])?;
                ensure!(held.value == value, "what was written is answered, not {held:?}");
                Answered::Written(Some(held.version))
            }
            _ => bail!("answered {answer:?}"),
        })
    }

    /// Bulk requests, one after the other, until the clients have ended; how many were followed to their end. Beside the
    /// shared records they write enough others to go in as a run.
    pub(super) async fn bulk_requests(mut self, target: TargetType, operations: u32) -> Result<u32> {
        let mut followed = 0;
        while !self.shared.over.load(Ordering::Relaxed) {
            let asked: Vec<(String, Asked)> = (0..operations)
                .map(|number| match self.rng.random_ratio(1, 600) {
                    true => {
                        let (id, value) = (self.some_record(), self.shared.next_value());
                        let asked = match self.rng.random_range(0..4) {
                            0 => Asked::Create(value),
                            1 => Asked::Delete,
                            _ => Asked::Put(value),
                        };
                        (id, asked)
                    }
                    false => (format!("alone-{number}"), Asked::Put(self.shared.next_value())),
                })
                .collect();
            let body = bulk_body(&asked);
            let began = self.shared.tick();
            let body = BulkBody::json(stream::iter([Ok(body.into())]));
            let source = self.node().source(SOURCE);
            let sent = source.send_bulk(target, &BulkQuery::default(), body).await;
            let codes = match sent {
                Ok(BulkReply::Accepted(accepted)) => {
                    Some(self.followed(&accepted.task_id.to_string()).await?)
                }
                Ok(_) => bail!("a request that is right was not accepted"),
                Err(granary_client::Error::Unreachable { .. }) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
                // It was cut off, or its answer was.
                Err(error) if may_pass(&error) => None,
                Err(error) => return Err(error.into()),
            };
            let ended = codes.as_ref().map(|_| self.shared.tick());
            let mut last = HashMap::new();
            for (place, (id, asked)) in asked.iter().enumerate() {
                if id.starts_with("alone") {
                    continue;
                }
                let answered = match codes.as_ref().map(|codes| (asked, codes[place])) {
                    None => None,
                    Some((Asked::Delete, 200)) => Some(Answered::Deleted),
                    Some((_, 200)) => Some(Answered::Written(None)),
                    Some((_, 404)) => Some(Answered::Missing),
                    Some((_, 409)) => Some(Answered::Exists),
                    Some((asked, code)) => bail!("the receipt of {asked:?} says {code}"),
                };
                let timed = Timed {
                    call: OnRecord {
                        asked: *asked,
                        answered,
                    },
                    began,
                    ended,
                    // Where it is not known whether there was one, there may be none before it.
                    after: ended.and_then(|_| last.get(id).copied()),
                };
                last.insert(id.clone(), self.shared.note(id, timed));
            }
            match codes {
                Some(_) => followed += 1,
                None => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
        Ok(followed)
    }

    /// What became of the operations of a task, once it has ended.
    async fn followed(&mut self, task: &str) -> Result<Vec<model::Code>> {
        let waited = std::time::Instant::now();
        loop {
            ensure!(waited.elapsed() < PATIENCE, "task {task} does not end");
            let source = self.node().source(SOURCE);
            // A server that was killed is not there for a moment.
            let ended = match source.task(task).await {
                Ok(task) if task.status == TaskStatus::Success => match receipts(&source, &task).await {
                    Ok(receipts) => Some(receipts),
                    Err(error) if error.downcast_ref().is_some_and(may_pass) => None,
                    Err(error) => return Err(error),
                },
                Ok(_) => None,
                Err(error) if may_pass(&error) => None,
                Err(error) => return Err(error.into()),
            };
            match ended {
                Some(receipts) => return Ok(receipts.iter().map(code).collect()),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

/// True of an error that says nothing of what was asked for: there was no answer, or one to come again.
fn may_pass(error: &granary_client::Error) -> bool {
    error
        .refusal()
        .is_none_or(|refusal| matches!(refusal.code, 429 | 503))
}

fn bulk_body(asked: &[(String, Asked)]) -> String {
    let operations: Vec<Value> = asked
        .iter()
        .map(|(id, asked)| {
            let (action, member, value) = match asked {
                Asked::Delete => ("DELETE", "delete", None),
                Asked::Create(value) => ("CREATE", "create", Some(value)),
                Asked::Read => unreachable!("no operation of a bulk request"),
                Asked::Put(value) | Asked::PutIf { value, .. } => ("UPSERT", "upsert", Some(value)),
            };
            let mut record = json!({"type": "place", "id": id});
            if let Some(value) = value {
                record["data"] = json!({"n": value});
            }
            json!({"action": action, member: record})
        })
        .collect();
    json!({"operations": operations}).to_string()
}

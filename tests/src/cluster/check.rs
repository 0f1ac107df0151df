//! Whether all is as it must be, looked at while no client calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use granary_api::tasks::Task;
use granary_client::SourceClient;
use granary_core::error::ErrorType;
use granary_core::operation::{Action, TargetType};
use granary_core::receipt::ReceiptStatus;
use granary_core::task::{TaskKind, TaskStatus};

use super::load::{Load, Traffic, lock, pair_of};
use super::nodes::LOOK_EVERY;
use crate::agree::{
    accepted, all_edges, all_resources, edges_agree, receipts, receipts_agree, records_agree, tasks_in_order,
};
use crate::model::{Code, Model};
use crate::requests::{HOME, NEAR};

/// How long all that was accepted may take to end once every node is well. Generous: it only bounds a hang.
const END_MAX: Duration = Duration::from_secs(120);
/// A request without an answer may come late, so what does not fit is looked at again, so many times.
const LOOKS: u32 = 5;

/// What was checked of a source so far.
#[derive(Default)]
pub(crate) struct Checked {
    /// Tasks whose receipts were checked, in their order.
    pub(crate) tasks: Vec<String>,
    /// Operations of these.
    pub(crate) operations: u64,
    /// What they left, in a source where bulk requests have records of their own.
    model: Model,
    /// Single writes and bundles whose receipts were counted.
    at_once: BTreeSet<String>,
    /// For each record how many creates and deletes of it succeeded.
    counted: BTreeMap<String, (u64, u64)>,
}

impl Load {
    /// Checks every source. To be called with quiet, and while every node is well.
    pub(crate) async fn check(&self) -> Result<()> {
        for (number, traffic) in self.traffics.iter().enumerate() {
            let what = format!("source {} is not as it must be", traffic.key);
            let checking = self.check_source(number, traffic);
            self.nodes.within(&what, END_MAX, checking).await?;
        }
        Ok(())
    }

    async fn check_source(&self, number: usize, traffic: &Traffic) -> Result<()> {
        let mut checked = traffic.checked.lock().await;
        // Each node has to agree.
        let (mut looks, mut agreed) = (0, 0);
        loop {
            let clients = self.nodes.clients();
            let client = clients.get((number + agreed) % clients.len().max(1));
            let source = client.context("no node is up")?.source(&traffic.key);
            let tasks = tasks_in_order(&source, TaskKind::Bulk).await?;
            if tasks.iter().any(|task| task.status == TaskStatus::Pending) {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            self.check_receipts(traffic, &source, &tasks, &mut checked)
                .await?;
            let agrees = match traffic.mixed {
                false => self.ordered_agrees(traffic, &source, &checked.model).await,
                true => mixed_agrees(traffic, &source, &mut checked).await,
            };
            looks += 1;
            match agrees {
                Ok(()) if agreed + 1 >= clients.len() => return Ok(()),
                Ok(()) => (looks, agreed) = (0, agreed + 1),
                Err(error) if looks == LOOKS => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY * 4).await,
            }
        }
    }

    /// The tasks that came since it was looked last: each is of a request, in its order, with receipts that agree.
    async fn check_receipts(
        &self,
        traffic: &Traffic,
        source: &SourceClient,
        tasks: &[Task],
        checked: &mut Checked,
    ) -> Result<()> {
        let ids: Vec<String> = tasks.iter().map(|task| task.task_id.to_string()).collect();
        ensure!(
            ids.starts_with(&checked.tasks),
            "tasks that had ended are not the first any more: {:?} before, {ids:?} now",
            checked.tasks
        );
        let done = checked.tasks.len();
        let new: Vec<Vec<Code>> = {
            let requests = lock(&traffic.requests);
            let accepted = accepted(tasks, &requests.sent)?;
            let new = accepted[done..].iter().map(|(_, sent)| &sent.request.operations);
            match traffic.mixed {
                true => new.map(|_| Vec::new()).collect(),
                false => new
                    .map(|operations| operations.iter().map(|o| checked.model.apply(o)).collect())
                    .collect(),
            }
        };
        for ((task, id), codes) in tasks[done..].iter().zip(&ids[done..]).zip(&new) {
            ensure!(
                task.status == TaskStatus::Success,
                "task {id} ended as {:?}",
                task.status
            );
            let agree = async {
                if traffic.mixed {
                    count(source, task, checked).await
                } else {
                    receipts_agree(source, task, codes).await
                }
            };
            agree.await.with_context(|| format!("task {id}"))?;
            checked.operations += task.counts.total;
            checked.tasks.push(id.clone());
        }
        Ok(())
    }

    async fn ordered_agrees(&self, traffic: &Traffic, source: &SourceClient, model: &Model) -> Result<()> {
        records_agree(source, model).await?;
        edges_agree(source, model).await?;
        let began = self.tick();
        let resources = all_resources(source).await?;
        let edges = all_edges(source, NEAR).await?;
        let value = |data: &str| -> Result<u64> {
            let data: serde_json::Value = serde_json::from_str(data)?;
            data["n"].as_u64().context("it has no number")
        };
        let read = |id: &str| -> Result<Option<(u64, u64)>> {
            let found = resources.get(&(id.to_owned(), None));
            found
                .map(|(version, data)| Ok((*version, value(data)?)))
                .transpose()
        };
        for (id, single) in lock(&traffic.singles).iter() {
            let found = read(id)?.map(|(_, value)| value);
            single.check(found, began).with_context(|| id.clone())?;
        }
        for (id, pair) in lock(&traffic.pairs).iter() {
            let (from, to) = pair_of(id);
            let found = (read(&from)?, read(&to)?);
            ensure!(found.0 == found.1, "the pair {id} is {found:?}");
            let between = edges.get(&(from, Some(to)));
            let between = between.map(|(version, data)| Ok::<_, anyhow::Error>((*version, value(data)?)));
            let between = between.transpose()?;
            ensure!(
                between == found.0,
                "the pair {id} is {found:?}, the edge {between:?}"
            );
            pair.check(found.0.map(|(_, value)| value), began)
                .with_context(|| id.clone())?;
        }
        for (id, counter) in lock(&traffic.counters).iter() {
            let (version, n) = read(id)?.context("a counter is gone")?;
            let most = counter.answered + counter.unanswered;
            ensure!(
                version == n + 1 && (counter.answered..=most).contains(&n),
                "{id} is at {n} in {version} versions, where {counter:?}"
            );
        }
        Ok(())
    }

    /// Every single write and bundle that was answered has its task, and there are none but those that were sent.
    pub(crate) async fn check_tasks_of_writes(&self) -> Result<()> {
        for traffic in &self.traffics {
            let client = self.nodes.clients().into_iter().next().context("no node is up")?;
            let source = client.source(&traffic.key);
            let listed = at_once(&source).await?;
            writes_are_there(traffic, &listed).with_context(|| format!("source {}", traffic.key))?;
        }
        Ok(())
    }
}

/// The single writes and bundles of a source.
async fn at_once(source: &SourceClient) -> Result<Vec<Task>> {
    let mut tasks = tasks_in_order(source, TaskKind::Single).await?;
    tasks.extend(tasks_in_order(source, TaskKind::Bundle).await?);
    Ok(tasks)
}

fn writes_are_there(traffic: &Traffic, listed: &[Task]) -> Result<()> {
    let ids: BTreeSet<String> = listed.iter().map(|task| task.task_id.to_string()).collect();
    ensure!(ids.len() == listed.len(), "a task is listed twice");
    let answered = lock(&traffic.tasks);
    if let Some(lost) = answered.difference(&ids).next() {
        bail!("the write {lost} was answered and is gone");
    }
    let most = answered.len() as u64 + traffic.without_task.load(Ordering::Relaxed);
    ensure!(
        ids.len() as u64 <= most,
        "{} writes, and {most} were sent",
        ids.len()
    );
    Ok(())
}

/// How a write of the mixed source may fail.
pub(crate) fn may_fail(code: u16, is_precondition: bool) -> bool {
    matches!(code, 404 | 409) || (code == 400 && is_precondition)
}

/// Counts what a task created and deleted.
async fn count(source: &SourceClient, task: &Task, checked: &mut Checked) -> Result<()> {
    for receipt in receipts(source, task).await? {
        let expected = match &receipt.error {
            None => receipt.status == ReceiptStatus::Success,
            Some(error) => may_fail(error.code, error.error_type == ErrorType::FailedPrecondition),
        };
        ensure!(expected, "{receipt:?}");
        if receipt.target_type == TargetType::Resource && receipt.error.is_none() {
            let (created, deleted) = checked.counted.entry(receipt.id).or_default();
            match receipt.action {
                Action::Create => *created += 1,
                Action::Delete => *deleted += 1,
                Action::Upsert => bail!("nobody upserts resources here"),
            }
        }
    }
    Ok(())
}

/// Creates less deletes are what is there, and no edge has lost an end.
async fn mixed_agrees(traffic: &Traffic, source: &SourceClient, checked: &mut Checked) -> Result<()> {
    let listed = at_once(source).await?;
    writes_are_there(traffic, &listed)?;
    for task in &listed {
        let id = task.task_id.to_string();
        if checked.at_once.insert(id.clone()) {
            count(source, task, checked)
                .await
                .with_context(|| format!("task {id}"))?;
        }
    }
    let resources = all_resources(source).await?;
    for (id, (created, deleted)) in &checked.counted {
        let there = resources.get(&(id.clone(), None));
        ensure!(
            *created == deleted + u64::from(there.is_some()),
            "{id} was created {created} times and deleted {deleted} times, and is {there:?}"
        );
    }
    for (name, (version, _)) in &resources {
        ensure!(
            *version == 1 && checked.counted.contains_key(&name.0),
            "{name:?} is in version {version}"
        );
    }
    let homes = all_edges(source, HOME).await?;
    for (from, to) in all_edges(source, NEAR).await?.keys().chain(homes.keys()) {
        for end in [Some(from), to.as_ref()].into_iter().flatten() {
            let exists = resources.contains_key(&(end.clone(), None));
            ensure!(exists, "the edge {from} to {to:?} has no end {end}");
        }
    }
    let begin: BTreeSet<&String> = homes.keys().map(|(from, _)| from).collect();
    ensure!(
        begin.len() == homes.len(),
        "a resource has two edges of which it may have one: {homes:?}"
    );
    Ok(())
}

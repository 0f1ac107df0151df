//! Whether all is as the model says: every task, every receipt, every record, every edge from both its ends.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use granary_api::page::PageQuery;
use granary_api::relationships::RelationshipsQuery;
use granary_api::tasks::{ReceiptsQuery, Task, TasksQuery};
use granary_client::SourceClient;
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_core::task::{TaskKind, TaskStatus};

use crate::model::{Code, Model, Name, Operation, SYSTEM, data, identifier};
use crate::requests::{ID, NEAR, Sent};

const PAGE: u64 = 1_000;

/// All tasks of a kind, the oldest first.
pub(crate) async fn tasks_in_order(source: &SourceClient, kind: TaskKind) -> Result<Vec<Task>> {
    let (mut tasks, mut cursor) = (Vec::new(), None);
    loop {
        let page = source
            .tasks(&TasksQuery {
                kind: Some(kind),
                limit: Some(PAGE),
                cursor,
                ..TasksQuery::default()
            })
            .await?;
        tasks.extend(page.data);
        cursor = page.meta.cursor;
        if cursor.is_none() {
            tasks.reverse();
            return Ok(tasks);
        }
    }
}

/// Each task with the request it came from, which is known by its length even where its answer was lost. Every request
/// that was answered ACCEPTED is there, none is there twice, and none stands before one that it was sent after.
pub(crate) fn accepted<'a>(tasks: &[Task], sent: &'a [Sent]) -> Result<Vec<(String, &'a Sent)>> {
    let mut rest: BTreeMap<u64, &Sent> = sent
        .iter()
        .map(|sent| (sent.request.operations.len() as u64, sent))
        .collect();
    let (mut accepted, mut latest) = (Vec::new(), 0);
    for task in tasks {
        let id = task.task_id.to_string();
        let found = rest
            .remove(&task.counts.total)
            .with_context(|| format!("task {id} is of no request, or the second of one"))?;
        ensure!(
            found.task.as_ref().is_none_or(|answered| *answered == id),
            "task {id} has another id"
        );
        ensure!(!found.cut_off, "task {id} is of a request that was cut off");
        ensure!(
            found.over.is_none_or(|over| over >= latest),
            "task {id} is out of order: it stands behind one that was sent after its answer"
        );
        latest = latest.max(found.began);
        accepted.push((id, found));
    }
    match rest.values().find_map(|sent| sent.task.as_ref()) {
        Some(id) => bail!("task {id} was answered ACCEPTED and is gone"),
        None => Ok(accepted),
    }
}

/// Every request that was answered ACCEPTED is there as a task, which ends; and every receipt, record, edge and identifier
/// is as the model says that does the accepted requests in their order. How many these are, and their operations.
pub(crate) async fn all_agrees(source: &SourceClient, sent: &[Sent]) -> Result<(usize, u64)> {
    let tasks = tasks_in_order(source, TaskKind::Bulk).await?;
    let accepted = accepted(&tasks, sent)?;
    let (count, mut operations) = (accepted.len(), 0);
    let mut model = Model::default();
    let requests: Vec<&Sent> = accepted.iter().map(|(_, sent)| *sent).collect();
    for (id, sent) in accepted {
        let task = ended(source, &id).await?;
        let codes: Vec<Code> = sent.request.operations.iter().map(|o| model.apply(o)).collect();
        operations += codes.len() as u64;
        receipts_agree(source, &task, &codes)
            .await
            .with_context(|| format!("task {id}"))?;
    }
    records_agree(source, &model).await?;
    edges_agree(source, &model).await?;
    identifiers_agree(source, &model, &requests).await?;
    Ok((count, operations))
}

/// The number in the data of a record.
pub(crate) fn number_in(data: &str) -> Result<u64> {
    let data: serde_json::Value = serde_json::from_str(data)?;
    data["n"].as_u64().context("it has no number")
}

/// The number that a record holds, where it is there.
pub(crate) async fn number_of(source: &SourceClient, id: &str) -> Result<Option<u64>> {
    match source.get_resource("place", id).await {
        Ok(resource) => Ok(Some(number_in(resource.data.get())?)),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn ended(source: &SourceClient, id: &str) -> Result<Task> {
    let waited = std::time::Instant::now();
    loop {
        let task = source.task(id).await?;
        if task.status != TaskStatus::Pending {
            ensure!(
                task.status == TaskStatus::Success,
                "task {id} ended as {:?}",
                task.status
            );
            return Ok(task);
        }
        ensure!(
            waited.elapsed() < crate::server::PATIENCE,
            "task {id} does not end"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The receipts of a task that has ended: one an operation, in their order, which its counts agree with.
pub(crate) async fn receipts(source: &SourceClient, task: &Task) -> Result<Vec<Receipt>> {
    let id = task.task_id.to_string();
    let (mut receipts, mut cursor) = (Vec::new(), None);
    loop {
        let query = ReceiptsQuery {
            limit: Some(PAGE),
            cursor,
            ..ReceiptsQuery::default()
        };
        let page = source.receipts(&id, &query).await?;
        for receipt in page.data {
            let place = receipts.len();
            ensure!(
                receipt.index == place as u64,
                "receipt {} stands where {place} should",
                receipt.index
            );
            receipts.push(receipt);
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            break;
        }
    }
    ensure!(
        receipts.len() as u64 == task.counts.total,
        "{} receipts for {} operations",
        receipts.len(),
        task.counts.total
    );
    let succeeded = receipts.iter().filter(|receipt| code(receipt) < 400).count();
    ensure!(
        task.counts.success == succeeded as u64,
        "the counts do not agree with the receipts"
    );
    Ok(receipts)
}

pub(crate) async fn receipts_agree(source: &SourceClient, task: &Task, codes: &[Code]) -> Result<()> {
    for (receipt, expected) in receipts(source, task).await?.iter().zip(codes) {
        ensure!(
            code(receipt) == *expected,
            "expected {expected}, found {receipt:?}"
        );
    }
    Ok(())
}

/// What became of an operation, as the model says it.
pub(crate) fn code(receipt: &Receipt) -> Code {
    match (receipt.status, &receipt.error) {
        (ReceiptStatus::Success, None) if receipt.unchanged => 304,
        (ReceiptStatus::Success, None) => 200,
        (ReceiptStatus::Failure, Some(error)) => error.code,
        _ => Code::MAX,
    }
}

/// All resources, of which those agree that bulk requests alone write.
pub(crate) async fn records_agree(source: &SourceClient, model: &Model) -> Result<Found> {
    let all = all_resources(source).await?;
    let found = of_requests(&all, ID);
    same(
        &expected(model, |name| name.1.is_none() && name.0.starts_with(ID)),
        &found,
    )?;
    Ok(all)
}

/// Every identifier that a request gave leads to its record, or to none where that is gone.
pub(crate) async fn identifiers_agree(source: &SourceClient, model: &Model, sent: &[&Sent]) -> Result<()> {
    let operations = sent.iter().flat_map(|sent| &sent.request.operations);
    let names: BTreeSet<&Name> = operations.map(Operation::name).collect();
    for name in names {
        let Some(identifier) = identifier(name) else {
            continue;
        };
        let found = match source
            .get_resource("place", &format!("{SYSTEM}:{identifier}:"))
            .await
        {
            Ok(resource) => Some(resource.id),
            Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 404) => None,
            Err(error) => return Err(error.into()),
        };
        let expected = model.records.contains_key(name).then_some(&name.0);
        ensure!(
            found.as_ref() == expected,
            "the identifier {identifier} leads to {found:?}, and should to {expected:?}"
        );
    }
    Ok(())
}

/// All resources.
pub(crate) async fn all_resources(source: &SourceClient) -> Result<Found> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = PageQuery {
            limit: Some(PAGE),
            cursor,
        };
        let page = source.resources("place", &query).await?;
        for resource in page.data {
            let value = (resource.meta.version, resource.data.get().to_owned());
            found.insert((resource.id, None), value);
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

pub(crate) async fn edges_agree(source: &SourceClient, model: &Model) -> Result<()> {
    let all = all_edges(source, NEAR).await?;
    same(&expected(model, |name| name.1.is_some()), &of_requests(&all, ID))
}

/// All edges of a type, which are the same from each of their ends.
pub(crate) async fn all_edges(source: &SourceClient, of_type: &str) -> Result<Found> {
    let all = edges(source, of_type, RelationshipsQuery::default()).await?;
    let ends = |of: fn(&Name) -> Option<String>| -> BTreeSet<String> { all.keys().filter_map(of).collect() };
    for id in ends(|name| Some(name.0.clone())) {
        let query = RelationshipsQuery {
            from: Some(id.clone()),
            ..RelationshipsQuery::default()
        };
        let here = all.iter().filter(|(name, _)| name.0 == id);
        same(
            &here.map(|(name, value)| (name.clone(), value.clone())).collect(),
            &edges(source, of_type, query).await?,
        )?;
    }
    for id in ends(|name| name.1.clone()) {
        let query = RelationshipsQuery {
            to: Some(id.clone()),
            ..RelationshipsQuery::default()
        };
        let here = all.iter().filter(|(name, _)| name.1.as_ref() == Some(&id));
        same(
            &here.map(|(name, value)| (name.clone(), value.clone())).collect(),
            &edges(source, of_type, query).await?,
        )?;
    }
    Ok(all)
}

/// What bulk requests alone write.
fn of_requests(all: &Found, prefix: &str) -> Found {
    let theirs = all.iter().filter(|(name, _)| name.0.starts_with(prefix));
    theirs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Records by their names, with their versions and data.
pub(crate) type Found = BTreeMap<Name, (u64, String)>;

pub(crate) async fn edges(source: &SourceClient, of_type: &str, query: RelationshipsQuery) -> Result<Found> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = RelationshipsQuery {
            limit: Some(PAGE),
            cursor,
            ..query.clone()
        };
        let page = source.relationships(of_type, &query).await?;
        for edge in page.data {
            let data = edge.data.map(|data| data.get().to_owned()).unwrap_or_default();
            found.insert((edge.from.id, Some(edge.to.id)), (edge.meta.version, data));
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

fn expected(model: &Model, wanted: impl Fn(&Name) -> bool) -> Found {
    let of_kind = model.records.iter().filter(|(name, _)| wanted(name));
    of_kind
        .map(|(name, (version, n))| (name.clone(), (*version, data(name, *n))))
        .collect()
}

fn same(expected: &Found, found: &Found) -> Result<()> {
    for (name, value) in expected {
        ensure!(
            found.get(name) == Some(value),
            "{name:?}: expected {value:?}, found {:?}",
            found.get(name)
        );
    }
    let extra = found.keys().find(|name| !expected.contains_key(*name));
    ensure!(extra.is_none(), "{extra:?} should not be there");
    Ok(())
}

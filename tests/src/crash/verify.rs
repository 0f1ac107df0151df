//! Whether all is as the model says: every receipt, every record, every edge from both its ends.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use granary_api::page::PageQuery;
use granary_api::relationships::RelationshipsQuery;
use granary_api::tasks::{ReceiptsQuery, Task, TasksQuery};
use granary_client::{Client, SourceClient};
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_core::task::TaskStatus;

use super::Summary;
use super::load::{Load, SOURCE, Sent, single_holds};
use super::model::{Code, Model, Name, data};

const PAGE: u64 = 1_000;

pub(super) async fn everything(client: &Client, load: &Load, summary: &mut Summary) -> Result<()> {
    let source = client.source(SOURCE);
    let tasks = tasks_in_order(&source).await?;
    let accepted = accepted(&tasks, &load.sent)?;
    summary.accepted = accepted.len();
    summary.operations = 0;
    let mut model = Model::default();
    for (task, sent) in accepted {
        let task = ended(&source, task).await?;
        let codes: Vec<Code> = sent.request.operations.iter().map(|o| model.apply(o)).collect();
        summary.operations += codes.len() as u64;
        receipts_agree(&source, &task, &codes)
            .await
            .with_context(|| format!("task {}", task.task_id))?;
    }
    records_agree(&source, &model).await?;
    edges_agree(&source, &model).await?;
    for (id, single) in &load.singles {
        single_holds(&source, id, single).await?;
    }
    summary.single_writes = load
        .singles
        .values()
        .filter(|single| single.acknowledged.is_some())
        .count();
    Ok(())
}

/// All bulk tasks, the oldest first.
async fn tasks_in_order(source: &SourceClient) -> Result<Vec<Task>> {
    let (mut tasks, mut cursor) = (Vec::new(), None);
    loop {
        let page = source
            .tasks(&TasksQuery {
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

/// Each task with the request it came from. Lengths differ, so a request whose answer was lost is known by its length;
/// every request whose answer came must be there, in the order sent.
fn accepted<'a>(tasks: &[Task], sent: &'a [Sent]) -> Result<Vec<(String, &'a Sent)>> {
    let mut rest = sent.iter();
    let mut accepted = Vec::new();
    for task in tasks {
        let id = task.task_id.to_string();
        let found = loop {
            let Some(next) = rest.next() else {
                bail!("task {id} is of no request, or out of order")
            };
            if next.request.operations.len() as u64 == task.counts.total {
                break next;
            }
            ensure!(
                next.task.is_none(),
                "a request that was answered ACCEPTED has no task"
            );
        };
        ensure!(
            found.task.as_ref().is_none_or(|answered| *answered == id),
            "task {id} has another id"
        );
        accepted.push((id, found));
    }
    ensure!(
        rest.all(|sent| sent.task.is_none()),
        "a request that was answered ACCEPTED has no task"
    );
    Ok(accepted)
}

async fn ended(source: &SourceClient, id: String) -> Result<Task> {
    let waited = std::time::Instant::now();
    loop {
        let task = source.task(&id).await?;
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

async fn receipts_agree(source: &SourceClient, task: &Task, codes: &[Code]) -> Result<()> {
    let id = task.task_id.to_string();
    let (mut seen, mut succeeded, mut cursor) = (0, 0, None);
    loop {
        let query = ReceiptsQuery {
            limit: Some(PAGE),
            cursor,
            ..ReceiptsQuery::default()
        };
        let page = source.receipts(&id, &query).await?;
        for receipt in &page.data {
            ensure!(
                receipt.index == seen as u64,
                "receipt {} stands where {seen} should",
                receipt.index
            );
            let expected = codes.get(seen).context("more receipts than operations")?;
            ensure!(
                code(receipt) == *expected,
                "operation {seen}: expected {expected}, found {receipt:?}"
            );
            succeeded += u64::from(*expected < 400);
            seen += 1;
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            break;
        }
    }
    ensure!(
        seen == codes.len(),
        "{seen} receipts for {} operations",
        codes.len()
    );
    ensure!(
        task.counts.success == succeeded,
        "the counts do not agree with the receipts"
    );
    Ok(())
}

fn code(receipt: &Receipt) -> Code {
    match (receipt.status, &receipt.error) {
        (ReceiptStatus::Success, None) if receipt.unchanged => 304,
        (ReceiptStatus::Success, None) => 200,
        (ReceiptStatus::Failure, Some(error)) => error.code,
        _ => 0,
    }
}

async fn records_agree(source: &SourceClient, model: &Model) -> Result<()> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = source
            .resources(
                "place",
                &PageQuery {
                    limit: Some(PAGE),
                    cursor,
                },
            )
            .await?;
        for resource in page.data {
            if !resource.id.starts_with("single-") {
                found.insert(
                    (resource.id, None),
                    (resource.meta.version, resource.data.get().to_owned()),
                );
            }
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            break;
        }
    }
    same(&expected(model, |name| name.1.is_none()), &found)
}

async fn edges_agree(source: &SourceClient, model: &Model) -> Result<()> {
    let all = edges(source, RelationshipsQuery::default()).await?;
    same(&expected(model, |name| name.1.is_some()), &all)?;
    // The same edges, found by each of their ends.
    let ends = |of: fn(&Name) -> Option<String>| -> std::collections::BTreeSet<String> {
        all.keys().filter_map(of).collect()
    };
    for id in ends(|name| Some(name.0.clone())) {
        let query = RelationshipsQuery {
            from: Some(id.clone()),
            ..RelationshipsQuery::default()
        };
        let here = all.iter().filter(|(name, _)| name.0 == id);
        same(
            &here.map(|(name, value)| (name.clone(), value.clone())).collect(),
            &edges(source, query).await?,
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
            &edges(source, query).await?,
        )?;
    }
    Ok(())
}

type Found = BTreeMap<Name, (u64, String)>;

async fn edges(source: &SourceClient, query: RelationshipsQuery) -> Result<Found> {
    let (mut found, mut cursor) = (BTreeMap::new(), None);
    loop {
        let query = RelationshipsQuery {
            limit: Some(PAGE),
            cursor,
            ..query.clone()
        };
        let page = source.relationships("near", &query).await?;
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

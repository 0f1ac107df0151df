//! What failed in a task, told to people.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use granary_client::SourceClient;
use granary_client::api::tasks::{ReceiptsQuery, Task};
use granary_core::receipt::{Receipt, ReceiptStatus};

use super::bulk::{Faults, SentFile, place};
use crate::output::{FAULTS_SHOWN, Output, count, fault_lines};

/// Of the failures of a task so many are read to tell what kinds there are.
const FAILURES_READ_MAX: usize = 100_000;

/// Tells the failures of a task: each by itself where they are few; with the lines of the file that was sent, where there is
/// one.
pub(super) async fn tell(
    output: &Output,
    source: &SourceClient,
    task: &Task,
    file: Option<&SentFile>,
) -> anyhow::Result<()> {
    match task.counts.failure {
        0 => Ok(()),
        few if few <= FAULTS_SHOWN as u64 => tell_each(output, source, &task.task_id.to_string(), file).await,
        _ => tell_kinds(output, source, task, file).await,
    }
}

/// Tells the failures of a task that has few, each by itself.
async fn tell_each(
    output: &Output,
    source: &SourceClient,
    id: &str,
    file: Option<&SentFile>,
) -> anyhow::Result<()> {
    let query = ReceiptsQuery {
        status: Some(ReceiptStatus::Failure),
        limit: Some(FAULTS_SHOWN as u64),
        ..Default::default()
    };
    let failures = source.receipts(id, &query).await?.data;
    let lines = match file {
        Some(file) => {
            file.lines_of(failures.iter().map(|receipt| receipt.index).collect())
                .await
        }
        None => BTreeMap::new(),
    };
    for receipt in failures {
        let Some(error) = &receipt.error else { continue };
        let Receipt {
            index, type_key, id, ..
        } = &receipt;
        let what = format!(
            "operation {}  {} {type_key} {id}",
            place(*index, &lines),
            receipt.action.name()
        );
        output.note(format_args!("{what}: {} {}", error.code, error.message));
        fault_lines(error)
            .iter()
            .for_each(|fault| output.note(format_args!("    {fault}")));
    }
    Ok(())
}

/// Tells the failures of a task that has many, those of one kind together.
async fn tell_kinds(
    output: &Output,
    source: &SourceClient,
    task: &Task,
    file: Option<&SentFile>,
) -> anyhow::Result<()> {
    let id = task.task_id.to_string();
    let query = ReceiptsQuery {
        status: Some(ReceiptStatus::Failure),
        ..Default::default()
    };
    let mut faults = Faults::default();
    let mut receipts = Box::pin(source.receipts_stream(&id, &query).await?.take(FAILURES_READ_MAX));
    while let Some(Receipt { index, error, .. }) = receipts.try_next().await? {
        if let Some(error) = &error {
            faults.take(index, error);
        }
    }
    if task.counts.failure > FAILURES_READ_MAX as u64 {
        output.note(format_args!(
            "of the first {} of them:",
            count(FAILURES_READ_MAX as u64)
        ));
    }
    let told = faults.told(file).await;
    told.iter().for_each(|line| output.note(format_args!("  {line}")));
    let all = format!("granary receipts --source {} {id} --failures", source.key());
    output.note(format_args!("see each with `{all}`"));
    Ok(())
}

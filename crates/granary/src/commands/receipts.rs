//! `granary receipts`: what became of the operations of a task.

use std::pin::pin;

use clap::Args;
use futures::StreamExt;
use granary_client::Client;
use granary_client::api::tasks::ReceiptsQuery;
use granary_core::receipt::{Receipt, ReceiptStatus};

use super::{InSource, switch};
use crate::exit::Ended;
use crate::output::{BAD, DIM, GOOD, Output, Table, WARN, count, fault_lines, styled, word};

/// After how many receipts the widths of the columns are settled.
const SETTLED: usize = 500;
const HEADER: [&str; 6] = ["INDEX", "STATUS", "ACTION", "TYPE", "ID", "ERROR"];

/// Show what became of each operation of a task
///
/// One line an operation, in the order of the request, however many there are.
#[derive(Debug, Args)]
pub(crate) struct Receipts {
    #[command(flatten)]
    within: InSource,
    /// The task
    task: String,
    /// Only operations that failed
    #[arg(long, env = "GRANARY_FAILURES", value_parser = switch(), conflicts_with = "status")]
    failures: bool,
    /// Only operations with this status
    #[arg(long, env = "GRANARY_STATUS", value_enum, value_name = "STATUS")]
    status: Option<StatusFlag>,
    /// Start at the operation with this index
    #[arg(long, env = "GRANARY_FROM", value_name = "INDEX")]
    from: Option<u64>,
    /// Show this many at most
    #[arg(long, env = "GRANARY_LIMIT", value_name = "N")]
    limit: Option<u64>,
}

/// The status of a receipt, as typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum StatusFlag {
    Success,
    Failure,
    Pending,
    Cancelled,
}

impl Receipts {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let status = self.status.map(|status| match status {
            StatusFlag::Success => ReceiptStatus::Success,
            StatusFlag::Failure => ReceiptStatus::Failure,
            StatusFlag::Pending => ReceiptStatus::Pending,
            StatusFlag::Cancelled => ReceiptStatus::Cancelled,
        });
        let status = status.or(self.failures.then_some(ReceiptStatus::Failure));
        let failures = status == Some(ReceiptStatus::Failure) && self.from.is_none() && self.limit != Some(0);
        let query = ReceiptsQuery {
            status,
            from: self.from,
            limit: None,
            cursor: None,
        };
        let source = client.source(self.within.source);
        let limit = self
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        // The stream is cut here and not by the query: its `limit` has a limit.
        let mut receipts = pin!(source.receipts_stream(&self.task, &query).await?.take(limit));
        let mut first = Vec::new();
        let mut table = None;
        while let Some(receipt) = receipts.next().await {
            let receipt = receipt?;
            match &table {
                _ if output.json => output.json_line(&receipt)?,
                Some(table) => show(output, table, &receipt)?,
                None => {
                    first.push(receipt);
                    if first.len() == SETTLED {
                        table = Some(begin(output, &std::mem::take(&mut first))?);
                    }
                }
            }
        }
        if table.is_none() && !output.json {
            match first.is_empty() {
                true if failures => output.note("nothing failed"),
                true => output.note("no operation of the task is to be shown"),
                false => drop(begin(output, &first)?),
            }
        }
        Ok(Ended::Well)
    }
}

/// Shows a few receipts as a table.
pub(crate) fn begin(output: &mut Output, receipts: &[Receipt]) -> anyhow::Result<Table> {
    let rows: Vec<_> = receipts.iter().map(cells).collect();
    let table = Table::fit(&HEADER, &rows);
    output.line(table.header(&HEADER))?;
    receipts
        .iter()
        .try_for_each(|receipt| show(output, &table, receipt))?;
    Ok(table)
}

fn show(output: &mut Output, table: &Table, receipt: &Receipt) -> anyhow::Result<()> {
    output.line(table.row(&cells(receipt)))?;
    let faults = receipt.error.as_ref().map(fault_lines).unwrap_or_default();
    faults
        .into_iter()
        .try_for_each(|fault| output.line(format_args!("    {fault}")))
}

fn cells(receipt: &Receipt) -> Vec<String> {
    let style = match receipt.status {
        ReceiptStatus::Success => GOOD,
        ReceiptStatus::Failure => BAD,
        ReceiptStatus::Pending | ReceiptStatus::Cancelled => WARN,
    };
    let last = match &receipt.error {
        Some(error) => format!(
            "{} {}: {}",
            error.code,
            error.error_type.spec().name,
            error.message
        ),
        None if receipt.unchanged => styled(DIM, "unchanged"),
        None => String::new(),
    };
    vec![
        count(receipt.index),
        styled(style, word(&receipt.status)),
        receipt.action.name().to_owned(),
        receipt.type_key.clone(),
        receipt.id.clone(),
        last,
    ]
}

//! A rejected request: what is told of it, and what is kept.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use futures::StreamExt;
use granary_client::{Rejection, RejectionSummary};
use granary_core::error::ErrorObject;

use super::failures::{Picking, advise};
use super::faults::{Faults, place};
use super::first::in_shell;
use super::lines::SentFile;
use crate::output::{BAD, FAULTS_SHOWN, Output, counted, fault_lines, rejected_lines_at, styled};

/// So many columns are mapped in a command that is proposed.
const COLUMNS_SHOWN: usize = 20;

/// Tells why a request was rejected, and keeps what failed where that was asked for.
pub(crate) async fn rejected(
    output: &mut Output,
    rejection: Rejection,
    name: &str,
    picking: Option<Picking>,
    file: Option<&SentFile>,
) -> anyhow::Result<()> {
    let what = format!("{name}; nothing of it is stored");
    output.status_bad("Rejected", what);
    let faults = Arc::new(Mutex::new(Faults::default()));
    let (json, keeps) = (output.json, picking.is_some());
    let picked = picking.as_ref().is_some_and(Picking::has_operations);
    let summary = match picking {
        None if json => {
            let mut answer = std::pin::pin!(rejection.into_stream());
            while let Some(piece) = answer.next().await {
                output.raw(&piece.context("the answer broke off")?)?;
            }
            return output.line("");
        }
        Some(picking) if json => pick_and_show(output, rejection, picking).await?,
        mut picking => {
            let gathered = Arc::clone(&faults);
            let keep = rejection.summary_with(FAULTS_SHOWN, move |receipt| {
                let index = receipt.index.unwrap_or_default();
                if let Some(error) = &receipt.error {
                    let mut faults = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                    faults.take(index, error);
                }
                picking
                    .as_mut()
                    .map_or(Ok(()), |picking| picking.take(index, receipt))
            });
            keep.await?
        }
    };
    if !json {
        let faults = std::mem::take(&mut *faults.lock().unwrap_or_else(PoisonError::into_inner));
        tell(output, &summary, faults, file).await;
    }
    if keeps && summary.failures > 0 {
        advise(output, picked, summary.failures);
    }
    Ok(())
}

/// Keeps what failed, and shows the answer after it: both are read once.
async fn pick_and_show(
    output: &mut Output,
    rejection: Rejection,
    mut picking: Picking,
) -> anyhow::Result<RejectionSummary> {
    let cannot = "cannot write a temporary file; TMPDIR says where";
    let mut spool = tempfile::tempfile().context(cannot)?;
    let mut writer = io::BufWriter::new(spool.try_clone().context(cannot)?);
    let mut first = true;
    let keep = rejection.summary_with(0, move |receipt| {
        picking.take(receipt.index.unwrap_or_default(), receipt)?;
        if !std::mem::take(&mut first) {
            writer.write_all(b",")?;
        }
        serde_json::to_writer(&mut writer, receipt)?;
        // What is dropped is written; an error of that would be lost.
        writer.flush()
    });
    let summary = keep.await?;
    output.raw(br#"{"status":"REJECTED","#)?;
    if let Some(error) = &summary.error {
        output.raw(format!(r#""error":{},"#, serde_json::to_string(error)?).as_bytes())?;
    }
    output.raw(br#""receipts":["#)?;
    spool.seek(SeekFrom::Start(0)).context(cannot)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        match spool.read(&mut piece).context(cannot)? {
            0 => break,
            length => output.raw(&piece[..length])?,
        }
    }
    output.line("]}")?;
    Ok(summary)
}

/// How columns are sent that are not named as the properties are.
fn map_hint(error: &ErrorObject, command: &str) -> Option<String> {
    let unknown = error.details.iter().filter_map(|detail| {
        let (column, hint) = detail
            .message
            .strip_prefix("column '")?
            .rsplit_once("' is not known")?;
        let meant = hint
            .strip_prefix(", did you mean '")
            .and_then(|hint| hint.strip_suffix("'?"));
        let entry = format!("{column}={}", meant.unwrap_or("PROPERTY"));
        Some(format!(" --map {}", in_shell(&entry)))
    });
    let map: String = unknown.take(COLUMNS_SHOWN).collect();
    (!map.is_empty()).then(|| {
        format!(
            "say which property a column holds, or leave it out with nothing behind the '=':\n  {command}{map}"
        )
    })
}

async fn tell(output: &Output, summary: &RejectionSummary, faults: Faults, file: Option<&SentFile>) {
    if let Some(error) = &summary.error {
        output.note(format_args!("{BAD}error{BAD:#}: {}", error.message));
        fault_lines(error)
            .iter()
            .for_each(|line| output.note(format_args!("  {line}")));
        if let Some(hint) = file.and_then(|file| map_hint(error, &file.command)) {
            output.note(hint);
        }
    }
    if summary.failures == 0 {
        return;
    }
    let wrong = if summary.failures == 1 {
        "is wrong"
    } else {
        "are wrong"
    };
    output.note(format_args!(
        "{} {wrong}:",
        styled(BAD, counted(summary.failures, "operation"))
    ));
    let all_shown = summary.failures == summary.first.len() as u64;
    let told = match all_shown {
        true => {
            let indexes = summary.first.iter().filter_map(|receipt| receipt.index).collect();
            let lines = match file {
                Some(file) => file.lines_of(indexes).await,
                None => BTreeMap::new(),
            };
            rejected_lines_at(&summary.first, |index| place(index, &lines))
        }
        false => faults.told(file).await,
    };
    told.iter().for_each(|line| output.note(format_args!("  {line}")));
    if !all_shown {
        output.note("  see each operation with --json, or have them in a file with --failures");
    }
}

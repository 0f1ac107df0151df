//! A rejected request: what is told of it, and what is kept.

use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::Context;
use futures::StreamExt;
use granary_client::{Rejection, RejectionSummary};

use super::failures::{Picking, advise};
use crate::output::{BAD, FAULTS_SHOWN, Output, count, counted, fault_lines, rejected_lines, styled};

/// Tells why a request was rejected, and keeps what failed where that was asked for.
pub(crate) async fn rejected(
    output: &mut Output,
    rejection: Rejection,
    name: &str,
    picking: Option<Picking>,
) -> anyhow::Result<()> {
    let what = format!("{name}; nothing of it is stored");
    output.status_bad("Rejected", what);
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
        None => rejection.summary(FAULTS_SHOWN).await?,
        Some(picking) if json => pick_and_show(output, rejection, picking).await?,
        Some(mut picking) => {
            let keep = rejection.summary_with(FAULTS_SHOWN, move |receipt| {
                picking.take(receipt.index.unwrap_or_default(), receipt)
            });
            keep.await?
        }
    };
    if !json {
        tell(output, &summary);
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

fn tell(output: &Output, summary: &RejectionSummary) {
    if let Some(error) = &summary.error {
        output.note(format_args!("{BAD}error{BAD:#}: {}", error.message));
        fault_lines(error)
            .iter()
            .for_each(|line| output.note(format_args!("  {line}")));
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
    rejected_lines(&summary.first)
        .iter()
        .for_each(|line| output.note(format_args!("  {line}")));
    let more = summary.failures - summary.first.len() as u64;
    if more > 0 {
        output.note(format_args!(
            "  … and {} more; see all with --json, or have them in a file with --failures",
            count(more)
        ));
    }
}

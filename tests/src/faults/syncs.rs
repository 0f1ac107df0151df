//! A disk whose syncs fail from some moment on.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use granary_core::operation::TargetType;

use super::{Came, Load, SOURCE, all_refused, readiness, start, start_fresh};
use crate::model::Operation;
use crate::requests::ID;
use crate::server::PATIENCE;

/// Words before the command line of a server, so that all syncs of a thread fail after so many; those of one file or folder
/// alone where one is named.
fn failing_after(syncs: u32, of: Option<&Path>, trace: &Path) -> Vec<String> {
    let from = syncs + 1;
    let (inject, trace) = (
        format!("inject=fsync,fdatasync:error=EIO:when={from}+"),
        trace.display().to_string(),
    );
    let mut words = vec![
        "strace",
        // The server stays the child of who starts it.
        "-D",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        &inject,
        "-o",
        &trace,
    ];
    let of = of.map(|of| of.display().to_string());
    words.extend(of.iter().flat_map(|of| ["-P", of]));
    words.push("--");
    words.into_iter().map(str::to_owned).collect()
}

/// A request whose files may not be there after a cut of power, for the sync of their folder has failed, is refused, and
/// leaves nothing; what needs none of that folder goes on, or is refused too.
pub async fn failing_syncs_of_segments(data: &Path, seed: u64) -> Result<()> {
    /// More than is kept in the database.
    const OPERATIONS: usize = 4_000;
    let traces = tempfile::tempdir()?;
    let mut load = Load::new(seed);
    let mut server = start_fresh(data).await?;
    load.bulk(&server.client()?.source(SOURCE), OPERATIONS).await?;
    ensure!(server.stop().await?.success(), "it does not stop well");
    let segments = data.canonicalize()?.join("segments");
    let before = failing_after(0, Some(&segments), &traces.path().join("calls"));
    let mut server = start(&data.canonicalize()?, before).await?;
    let source = server.client()?.source(SOURCE);
    load.single(&source).await?;
    let came = load.bulk(&source, OPERATIONS).await?;
    all_refused([came]).context("after a sync that failed")?;
    load.single(&source).await?;
    server.kill().await?;
    let server = start(data, Vec::new()).await?;
    let client = server.client()?;
    ensure!(readiness(&server).await?.0 == 200, "it is not ready");
    load.holds(&client).await?;
    let came = load.bulk(&client.source(SOURCE), OPERATIONS).await?;
    ensure!(matches!(came, Came::Acknowledged), "it does not go on");
    load.holds(&client).await
}

/// A run whose redo file may not be there after a cut of power, for the sync of its folder has failed, is not applied. With
/// the next start, whose syncs do not fail, it is.
pub async fn failing_syncs_of_redo(data: &Path, seed: u64) -> Result<()> {
    /// So many new records that they go in as a run.
    const RECORDS: usize = 6_000;
    let traces = tempfile::tempdir()?;
    let calls = traces.path().join("calls");
    let mut load = Load::new(seed);
    let mut server = start_fresh(data).await?;
    ensure!(server.stop().await?.success(), "it does not stop well");
    let redo = data.canonicalize()?.join("redo");
    let mut server = start(&data.canonicalize()?, failing_after(0, Some(&redo), &calls)).await?;
    let source = server.client()?.source(SOURCE);
    let mut number = 0;
    let place = load.requests.next_of(TargetType::Resource, RECORDS, 0, |_, _| {
        number += 1;
        Operation::Create((format!("{ID}{number}"), None), 1)
    });
    ensure!(
        matches!(load.send(&source, place).await?, Came::Acknowledged),
        "it is not accepted"
    );
    let task = load.requests.sent[place].task.clone().context("it has no task")?;
    // One more sync tells that what followed the first, which failed, was given up.
    let waited = Instant::now();
    loop {
        let counts = source.task(&task).await?.counts;
        ensure!(
            counts.pending == counts.total,
            "it was applied without its redo file: {counts:?}"
        );
        let failed = std::fs::read_to_string(&calls)?.matches("(INJECTED)").count();
        if failed >= 2 {
            break;
        }
        ensure!(waited.elapsed() < PATIENCE, "no sync of {} fails", redo.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill().await?;
    let server = start(data, Vec::new()).await?;
    load.holds(&server.client()?).await
}

/// Writes until a sync fails: from then on nothing is acknowledged, reads go on, `/readyz` says so; and after a new start
/// on the same folder, whose syncs do not fail, all is there that was acknowledged. How many writes came before.
pub async fn failing_syncs(data: &Path, syncs: u32, seed: u64) -> Result<usize> {
    /// More writes than syncs that do not fail.
    const WRITES_MAX: u32 = 10_000;
    let traces = tempfile::tempdir()?;
    let mut load = Load::new(seed);
    let mut server = start_fresh(data).await?;
    let source = server.client()?.source(SOURCE);
    load.bulk(&source, 2_000).await?;
    load.single(&source).await?;
    ensure!(server.stop().await?.success(), "it does not stop well");

    let before = failing_after(syncs, None, &traces.path().join("calls"));
    let mut server = start(data, before).await?;
    let source = server.client()?.source(SOURCE);
    let mut written = 0;
    loop {
        let came = match written % 50 {
            49 => load.bulk(&source, 500).await?,
            _ => load.single(&source).await?,
        };
        if let Came::Refused = came {
            break;
        }
        written += 1;
        ensure!(written < WRITES_MAX, "no sync has failed");
    }
    let mut came = Vec::new();
    for _ in 0..5 {
        came.push(load.single(&source).await?);
        came.push(load.bulk(&source, 500).await?);
    }
    all_refused(came).context("after a sync that failed")?;
    let (status, said) = readiness(&server).await?;
    ensure!(status == 503, "it says that it is ready: {said}");
    let reason = said["reason"].as_str().unwrap_or_default();
    ensure!(
        reason.contains("restart the server"),
        "it does not say what to do: {said}"
    );
    for number in &load.singles {
        source.get_resource("place", &super::single_id(*number)).await?;
    }
    server.kill().await?;

    let server = start(data, Vec::new()).await?;
    ensure!(readiness(&server).await?.0 == 200, "it is not ready");
    load.holds(&server.client()?).await?;
    Ok(load.singles.len())
}

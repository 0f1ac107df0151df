//! A disk whose syncs fail from some moment on.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Came, Load, SOURCE, all_refused, readiness, start, start_fresh};

/// Words before the command line of a server, so that all syncs of a thread fail after so many.
fn failing_after(syncs: u32, trace: &Path) -> Vec<String> {
    let from = syncs + 1;
    let words = [
        "strace",
        // The server stays the child of who starts it.
        "-D",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        &format!("inject=fsync,fdatasync:error=EIO:when={from}+"),
        "-o",
        &trace.display().to_string(),
        "--",
    ];
    words.map(str::to_owned).to_vec()
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

    let before = failing_after(syncs, &traces.path().join("calls"));
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

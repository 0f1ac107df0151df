//! Granary itself: a real process with the embedded store and durability on, over HTTP.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use granary_api::bulk::BulkQuery;
use granary_api::tasks::Task;
use granary_client::{BulkBody, BulkReply, DefinitionKind, Rejection, SourceClient};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use granary_tests::{Place, Server};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use crate::process::{Meter, Subject, Usage, memory_bytes};
use crate::workload::{Load, Workload, write_requests};
use crate::{cities, machine, providers};

const SOURCE: &str = "bench";
/// How often a task is looked at whose end is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The files that granary is sent.
#[derive(Clone)]
pub(crate) struct Files {
    before: Vec<PathBuf>,
    pub(crate) measured: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn write(load: &Load, folder: &Path) -> Result<Self> {
        Ok(Self {
            before: write_requests(load.before(), &folder.join("before"))?,
            measured: write_requests(load.measured(), &folder.join("measured"))?,
        })
    }
}

/// What granary alone is asked for.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfGranary {
    pub(crate) request_bytes: u64,
    /// Until the last request was answered: accepted, or rejected with its receipts read to their end.
    pub(crate) accept_seconds: f64,
    pub(crate) idle_memory_bytes: u64,
    /// The peak until then.
    pub(crate) accept_memory_bytes: u64,
    /// After a kill -9 at the end, from the start of the process until it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restart_seconds: Option<f64>,
}

/// A server with the definitions of all workloads.
pub(crate) async fn server(data: &Path) -> Result<Server> {
    let server = Server::start_at(Place::Folder(data.to_owned()), &[]).await?;
    source(&server, SOURCE).await?;
    Ok(server)
}

/// A source with the definitions of all workloads.
pub(crate) async fn source(server: &Server, key: &str) -> Result<SourceClient> {
    let client = server.client()?;
    client.put_source(key).await?;
    let source = client.source(key);
    let profile = DefinitionKind::Profile;
    let edge = DefinitionKind::RelationshipDefinition;
    for (kind, key, definition) in [
        (profile, providers::TYPE, providers::PROFILE),
        (profile, cities::TYPE, cities::PROFILE),
        (edge, providers::EDGE_TYPE, providers::EDGE_DEFINITION),
    ] {
        source.put_definition(kind, key, definition).await?;
    }
    Ok(source)
}

/// Runs a workload on a fresh server.
pub(crate) async fn run(load: &Load, files: &Files, folder: &Path) -> Result<(Usage, u64, OfGranary)> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut server = server(&folder.path().join("data")).await?;
    let source = server.client()?.source(SOURCE);
    for request in &files.before {
        let task = accepted(&source, TargetType::Resource, request).await?;
        let task = ended(&source, &task).await?;
        ensure!(task.counts.failure == 0, "what is to be there before is not");
    }
    let pid = server.pid().context("the server has ended")?;
    let idle_memory_bytes = memory_bytes(pid, "VmRSS")?;

    let meter = Meter::start(Subject::One(pid))?;
    let mut tasks = Vec::new();
    for request in &files.measured {
        if load.workload == Workload::Rejected {
            let failures = rejected(&source, load.target(), request).await?;
            ensure!(failures == load.failures(), "{failures} failures");
        } else {
            tasks.push(accepted(&source, load.target(), request).await?);
        }
    }
    let (accept_seconds, accept_memory_bytes) = (meter.seconds(), memory_bytes(pid, "VmHWM")?);
    let mut failures = 0;
    for task in &tasks {
        failures += ended(&source, task).await?.counts.failure;
    }
    let usage = meter.stop()?;

    ensure!(
        tasks.is_empty() || failures == load.failures(),
        "{failures} operations failed, not {}",
        load.failures()
    );
    verify(&source, load).await?;
    let disk_bytes = machine::disk_bytes(folder.path())?;
    let mut of_granary = OfGranary {
        request_bytes: machine::length(&files.measured)?,
        accept_seconds,
        idle_memory_bytes,
        accept_memory_bytes,
        restart_seconds: None,
    };
    if load.workload == Workload::Creates {
        server.kill().await?;
        let started = Instant::now();
        server = server.restart().await?;
        of_granary.restart_seconds = Some(started.elapsed().as_secs_f64());
        verify(&server.client()?.source(SOURCE), load).await?;
    }
    ensure!(server.stop().await?.success(), "the server did not stop well");
    Ok((usage, disk_bytes, of_granary))
}

/// A few records are read back, and are as they were sent.
async fn verify(source: &SourceClient, load: &Load) -> Result<()> {
    let of_type = match load.workload {
        Workload::Cities => cities::TYPE,
        _ => providers::TYPE,
    };
    for (id, data) in load.samples() {
        let found = source.get_resource(of_type, &id).await?;
        ensure!(
            found.data.get() == data,
            "{id} is not what was sent: {}",
            found.data
        );
    }
    Ok(())
}

async fn send(source: &SourceClient, target: TargetType, request: &Path) -> Result<BulkReply> {
    let length = request.metadata()?.len();
    let file = tokio::fs::File::open(request).await?;
    let body = BulkBody::json(ReaderStream::with_capacity(file, 256 * 1024)).with_length(length);
    Ok(source.send_bulk(target, &BulkQuery::default(), body).await?)
}

/// Sends a request that is right; answers its task.
pub(crate) async fn accepted(source: &SourceClient, target: TargetType, request: &Path) -> Result<String> {
    match send(source, target, request).await? {
        BulkReply::Accepted(accepted) => Ok(accepted.task_id.to_string()),
        BulkReply::Rejected(rejection) => {
            bail!("the request was rejected: {:?}", rejection.summary(3).await?)
        }
        BulkReply::Valid(_) => bail!("the request was only checked"),
    }
}

/// Sends a request that is wrong and reads the answer to its end; answers how many operations failed.
async fn rejected(source: &SourceClient, target: TargetType, request: &Path) -> Result<u64> {
    match send(source, target, request).await? {
        BulkReply::Rejected(rejection) => failures(rejection).await,
        _ => bail!("the request was not rejected"),
    }
}

/// Counts without parsing, which would take more of the machine than the answer does.
pub(crate) async fn failures(rejection: Rejection) -> Result<u64> {
    const FAILURE: &str = r#""status":"FAILURE""#;
    let mut answer = std::pin::pin!(rejection.into_stream());
    let (mut failures, mut held) = (0, Vec::new());
    while let Some(piece) = answer.next().await {
        held.extend_from_slice(&piece?);
        let text = String::from_utf8_lossy(&held);
        failures += text.matches(FAILURE).count() as u64;
        // What may be the start of one that the next piece ends; never a whole one.
        let rest = held.len().saturating_sub(FAILURE.len() - 1);
        held.drain(..rest);
    }
    Ok(failures)
}

/// Waits for the end of a task.
pub(crate) async fn ended(source: &SourceClient, task: &str) -> Result<Task> {
    loop {
        let task = source.task(task).await?;
        if task.status != TaskStatus::Pending {
            return Ok(task);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

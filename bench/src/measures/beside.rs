//! A small task while a large one runs on another source: it is not to wait for more than what the workers are at.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use granary_client::SourceClient;
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use serde::Serialize;

use crate::granary::{self, accepted, ended};
use crate::workload::{Load, Workload, write_requests};

/// What a chunk is meant to take: `chunk_time` of the engine.
const CHUNK_MILLISECONDS: f64 = 20.0;
const SMALL_OPERATIONS: u64 = 100;
const SMALL_TASKS: usize = 9;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beside {
    /// Of the large task.
    pub(crate) operations: u64,
    pub(crate) alone_milliseconds: f64,
    /// None where the large task ended before the first small one.
    pub(crate) beside_milliseconds: Option<f64>,
    pub(crate) beside_milliseconds_max: Option<f64>,
    /// Small tasks that ended while the large one ran.
    pub(crate) small_tasks: usize,
    /// How much longer it takes, in the time that a chunk is meant to take.
    pub(crate) chunks: Option<f64>,
}

pub(crate) async fn measure(operations: u64, folder: &Path) -> Result<Beside> {
    let folder = tempfile::tempdir_in(folder)?;
    let nothing = Vec::new().into();
    let requests = |name: &str, operations| {
        let load = Load::new(Workload::ServerIds, operations, &nothing);
        write_requests(load.measured(), &folder.path().join(name))
    };
    let small = requests("small", SMALL_OPERATIONS)?;
    let large = requests("large", operations)?;

    let mut server = granary::server(&folder.path().join("data")).await?;
    let small_source = granary::source(&server, "small").await?;
    let large_source = granary::source(&server, "large").await?;
    let mut alone = Vec::new();
    for _ in 0..SMALL_TASKS {
        alone.push(milliseconds(&small_source, &small[0]).await?);
    }
    let mut tasks = Vec::new();
    for request in &large {
        tasks.push(accepted(&large_source, TargetType::Resource, request).await?);
    }
    let last = tasks.last().map_or("", String::as_str);
    let mut beside = Vec::new();
    while beside.len() < SMALL_TASKS {
        let took = milliseconds(&small_source, &small[0]).await?;
        if large_source.task(last).await?.status != TaskStatus::Pending {
            break;
        }
        beside.push(took);
    }
    for task in &tasks {
        ended(&large_source, task).await?;
    }
    server.stop().await?;
    alone.sort_by(f64::total_cmp);
    beside.sort_by(f64::total_cmp);
    let alone_milliseconds = alone[alone.len() / 2];
    let beside_milliseconds = beside.get(beside.len() / 2).copied();
    Ok(Beside {
        operations,
        alone_milliseconds,
        beside_milliseconds,
        beside_milliseconds_max: beside.last().copied(),
        small_tasks: beside.len(),
        chunks: beside_milliseconds
            .map(|beside| ((beside - alone_milliseconds) / CHUNK_MILLISECONDS).max(0.0)),
    })
}

/// How long a request takes, from sending it to the end of its task.
async fn milliseconds(source: &SourceClient, request: &Path) -> Result<f64> {
    let started = Instant::now();
    let task = accepted(source, TargetType::Resource, request).await?;
    ended(source, &task).await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

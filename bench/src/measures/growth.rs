//! Ten requests one after the other into one store: how the rate falls as the store grows.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use granary_core::operation::TargetType;
use serde::Serialize;

use crate::granary::{self, accepted, ended};
use crate::workload::{Load, Workload, write_requests};

const REQUESTS: u64 = 10;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Growth {
    /// Records at the end.
    pub(crate) operations: u64,
    pub(crate) id_by_server: bool,
    pub(crate) operations_per_second: Vec<f64>,
    /// The last against the first.
    pub(crate) ratio: f64,
}

pub(crate) async fn measure(operations: u64, id_by_server: bool, folder: &Path) -> Result<Growth> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut server = granary::server(&folder.path().join("data")).await?;
    let source = granary::source(&server, "growth").await?;
    let workload = match id_by_server {
        true => Workload::ServerIds,
        false => Workload::Creates,
    };
    let load = Load::new(workload, operations, &Vec::new().into());
    let mut all = load.measured();
    let mut operations_per_second = Vec::new();
    let each = operations / REQUESTS;
    for _ in 0..REQUESTS {
        let path = folder.path().join("request");
        let requests = write_requests(all.by_ref().take(each as usize), &path)?;
        let started = Instant::now();
        let mut success = 0;
        for request in &requests {
            let task = accepted(&source, TargetType::Resource, request).await?;
            success += ended(&source, &task).await?.counts.success;
        }
        ensure!(success == each, "{success} of {each} succeeded");
        operations_per_second.push(each as f64 / started.elapsed().as_secs_f64());
    }
    server.stop().await?;
    let ratio = operations_per_second[operations_per_second.len() - 1] / operations_per_second[0];
    Ok(Growth {
        operations,
        id_by_server,
        operations_per_second,
        ratio,
    })
}

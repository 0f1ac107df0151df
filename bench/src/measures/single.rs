//! Single writes of many clients at once: each is on disk when it is answered, and neighbours share a sync.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use granary_api::resources::ResourceWrite;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::process::{Meter, Subject, Usage};
use crate::{granary, machine, providers};

const CLIENTS: u64 = 64;
const SECONDS_MAX: f64 = 5.0;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SingleWrites {
    pub(crate) clients: u64,
    pub(crate) writes: u64,
    pub(crate) writes_per_second: f64,
    /// Of the disk, before and after.
    pub(crate) fsyncs_per_second: f64,
    pub(crate) writes_per_fsync: f64,
    pub(crate) p50_milliseconds: f64,
    pub(crate) p99_milliseconds: f64,
    pub(crate) p99_fsyncs: f64,
    #[serde(flatten)]
    pub(crate) usage: Usage,
}

pub(crate) async fn measure(operations: u64, folder: &Path) -> Result<SingleWrites> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut server = granary::server(&folder.path().join("data")).await?;
    let source = granary::source(&server, "single").await?;
    let pid = server.pid().context("the server has ended")?;
    let fsyncs_before = machine::fsyncs_per_second(folder.path())?;

    let meter = Meter::start(Subject::One(pid))?;
    let writes_max = (operations / CLIENTS).max(20);
    let until = Instant::now() + Duration::from_secs_f64(SECONDS_MAX);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let source = source.clone();
        clients.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for number in client * writes_max..(client + 1) * writes_max {
                let write = ResourceWrite {
                    id: None,
                    data: RawValue::from_string(providers::data(number))?,
                    contained: None,
                    meta: None,
                };
                let (id, started) = (providers::id(number), Instant::now());
                if started > until {
                    break;
                }
                source.put_resource(providers::TYPE, &id, &write).await?;
                took.push(started.elapsed().as_secs_f64());
            }
            anyhow::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.await??);
    }
    let usage = meter.stop()?;

    let fsyncs_after = machine::fsyncs_per_second(folder.path())?;
    let fsyncs_per_second = f64::midpoint(fsyncs_before, fsyncs_after);
    server.stop().await?;
    took.sort_by(f64::total_cmp);
    let share = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let writes_per_second = took.len() as f64 / usage.seconds;
    Ok(SingleWrites {
        clients: CLIENTS,
        writes: took.len() as u64,
        writes_per_second,
        fsyncs_per_second,
        writes_per_fsync: writes_per_second / fsyncs_per_second,
        p50_milliseconds: share(0.5) * 1e3,
        p99_milliseconds: share(0.99) * 1e3,
        p99_fsyncs: share(0.99) * fsyncs_per_second,
        usage,
    })
}

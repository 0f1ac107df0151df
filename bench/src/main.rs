//! Measures a granary server as its users meet it: a real process, over HTTP, durability on.
//!
//! One workload so far: creates of generated providers with random ids of the client's, end to end. Reported are ratios
//! and what the machine can do beside the rate itself, since a rate alone says little of another machine.

#![expect(clippy::print_stdout, reason = "a command line")]

mod machine;
mod process;
mod providers;
mod shared;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use granary_api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, DefinitionKind, SourceClient};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use serde::Serialize;
use tokio_util::io::ReaderStream;

use granary_tests::Server;

/// Measure bulk creates end to end
#[derive(Parser)]
struct Arguments {
    /// Operations in the bulk request
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// How often to run it, each time with a fresh server; the median counts
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Where to put the server's folder and the request; a temporary folder unless said
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure the chunk path on PostgreSQL, with one and two nodes, beside COPY
    #[arg(long)]
    shared: bool,
    /// Write the report to this file as JSON
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What one round measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    operations: u64,
    request_bytes: u64,
    accept_seconds: f64,
    total_seconds: f64,
    operations_per_second: f64,
    server_cpu_seconds: f64,
    idle_memory_bytes: u64,
    peak_memory_bytes: u64,
    disk_bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cores: usize,
    fsyncs_per_second: f64,
    rounds: Vec<Round>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared: Vec<shared::Shared>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    let request = folder.join("request.json");
    providers::write_request(&request, arguments.operations)?;
    let mut report = Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        fsyncs_per_second: machine::fsyncs_per_second(folder)?,
        rounds: Vec::new(),
        shared: Vec::new(),
    };
    println!(
        "{} cores, {:.0} fsyncs a second",
        report.cores, report.fsyncs_per_second
    );
    if arguments.shared {
        report.shared = shared::measure(folder, arguments.operations).await?;
        for measured in &report.shared {
            println!("{}", serde_json::to_string(measured)?);
        }
        return write_report(&report, arguments.report.as_deref());
    }
    for number in 1..=arguments.rounds {
        let data = tempfile::tempdir_in(folder)?;
        let round = round(data.path(), &request, arguments.operations).await?;
        println!(
            "round {number}: {} creates in {:.2} s ({:.2} s until accepted): {:.0} a second, {:.1} CPU seconds, \
             peak memory {} MB ({} MB idle), {} MB on disk for {} MB sent",
            round.operations,
            round.total_seconds,
            round.accept_seconds,
            round.operations_per_second,
            round.server_cpu_seconds,
            round.peak_memory_bytes / 1_000_000,
            round.idle_memory_bytes / 1_000_000,
            round.disk_bytes / 1_000_000,
            round.request_bytes / 1_000_000,
        );
        report.rounds.push(round);
    }
    let mut rates: Vec<f64> = report
        .rounds
        .iter()
        .map(|round| round.operations_per_second)
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("median: {:.0} operations a second", rates[rates.len() / 2]);
    write_report(&report, arguments.report.as_deref())
}

fn write_report(report: &Report, path: Option<&Path>) -> Result<()> {
    if let Some(path) = path {
        std::fs::write(path, serde_json::to_string_pretty(report)?)?;
    }
    Ok(())
}

async fn round(data: &Path, request: &Path, operations: u64) -> Result<Round> {
    let mut server = Server::start(&data.join("data")).await?;
    let pid = server.pid().context("the server has ended")?;
    let client = server.client()?;
    client.put_source("bench").await?;
    let source = client.source("bench");
    source
        .put_definition(DefinitionKind::Profile, "provider", providers::PROFILE)
        .await?;
    let idle_memory_bytes = process::memory_bytes(pid, "VmRSS")?;
    let request_bytes = request.metadata()?.len();

    let started = Instant::now();
    let file = tokio::fs::File::open(request).await?;
    let body = BulkBody::json(ReaderStream::with_capacity(file, 256 * 1024)).with_length(request_bytes);
    let reply = source
        .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
        .await?;
    let BulkReply::Accepted(accepted) = reply else {
        anyhow::bail!("the request was rejected")
    };
    let accepted_after = started.elapsed();
    let task = ended(&source, &accepted.task_id.to_string()).await?;
    let took = started.elapsed();
    ensure!(
        task.counts.success == operations,
        "{} of {operations} succeeded",
        task.counts.success
    );

    let round = Round {
        operations,
        request_bytes,
        accept_seconds: accepted_after.as_secs_f64(),
        total_seconds: took.as_secs_f64(),
        operations_per_second: operations as f64 / took.as_secs_f64(),
        server_cpu_seconds: process::cpu_seconds(pid)?,
        idle_memory_bytes,
        peak_memory_bytes: process::memory_bytes(pid, "VmHWM")?,
        disk_bytes: machine::disk_bytes(data)?,
    };
    ensure!(server.stop().await?.success(), "the server did not stop well");
    Ok(round)
}

/// Waits for the end of a task.
async fn ended(source: &SourceClient, task: &str) -> Result<granary_api::tasks::Task> {
    loop {
        let task = source.task(task).await?;
        if task.status != TaskStatus::Pending {
            return Ok(task);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! The chunk path on PostgreSQL beside `COPY` of the same records: real processes, every chunk durable.
//!
//! One node takes in a request for each source; then the workers start, and what is timed is from their start until the
//! last task has ended. `COPY` reads files on the database's own machine, into one `jsonb` table with a primary key, by
//! as many connections as lanes are worked on at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use granary_api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, DefinitionKind};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use granary_test_postgres::{Cluster, Durability};
use granary_tests::{Place, Server};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use crate::{process, providers};

/// What `docs/operations.md` advises.
const SETTINGS: [&str; 4] = [
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
    "wal_compression=lz4",
];
/// Lanes that one node works on at once: its workers.
const WORKERS: usize = 2;

/// What one arrangement measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shared {
    nodes: usize,
    sources: usize,
    operations: u64,
    operations_per_second: f64,
    copy_connections: usize,
    copy_per_second: f64,
    ratio_to_copy: f64,
    database_cpu_microseconds_per_operation: f64,
    node_cpu_microseconds_per_operation: f64,
    copy_cpu_microseconds_per_operation: f64,
    receipt_bytes_per_operation: f64,
    record_bytes: f64,
    copied_bytes: f64,
}

/// Measures each arrangement of nodes and sources.
pub(crate) async fn measure(folder: &Path, operations: u64) -> Result<Vec<Shared>> {
    let mut measured = Vec::new();
    for (nodes, sources) in [(1, 1), (1, 2), (1, 4), (2, 2), (2, 4)] {
        measured.push(arrangement(folder, operations, nodes, sources).await?);
    }
    Ok(measured)
}

async fn arrangement(folder: &Path, operations: u64, nodes: usize, sources: usize) -> Result<Shared> {
    let each = operations / sources as u64;
    let operations = each * sources as u64;
    let cluster = Cluster::start_with(Durability::On, &SETTINGS)?;
    cluster.create_database("granary", None);
    let place = Place::Database(cluster.url("granary"));
    let request = folder.join("request.json");
    providers::write_request(&request, each)?;

    let mut intake = Server::start_at(place.clone(), &[("GRANARY_ROLE", "api")]).await?;
    let client = intake.client()?;
    let mut tasks = Vec::new();
    for source in 0..sources {
        tasks.push((format!("s{source}"), accepted(&client, source, &request).await?));
    }
    // What the intake left to be written is not part of what is measured.
    cluster.sql("granary", "CHECKPOINT");

    let database_before = database_cpu(&cluster)?;
    let started = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..nodes {
        let environment = [("GRANARY_ROLE", "worker"), ("TOKIO_WORKER_THREADS", "2")];
        workers.push(Server::start_at(place.clone(), &environment).await?);
    }
    for (source, task) in &tasks {
        loop {
            let task = client.source(source).task(task).await?;
            if task.status != TaskStatus::Pending {
                ensure!(
                    task.counts.success == each,
                    "{} of {each} succeeded",
                    task.counts.success
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let took = started.elapsed().as_secs_f64();
    let mut node_cpu = 0.0;
    for worker in &workers {
        node_cpu += process::cpu_seconds(worker.pid().context("a worker has ended")?)?;
    }
    for mut worker in workers {
        worker.stop().await?;
    }
    intake.stop().await?;
    let database_cpu_seconds = database_cpu(&cluster)? - database_before;

    let number = |sql: &str| -> Result<f64> { Ok(cluster.sql("granary", sql).trim().parse::<f64>()?) };
    let receipts = number("SELECT sum(octet_length(body)) FROM granary.receipts")?;
    let records = number("SELECT pg_total_relation_size('granary.resource')")?;
    let copy_connections = sources.min(nodes * WORKERS);
    let (copy_took, copy_cpu) = copy(&cluster, folder, sources, copy_connections, each)?;
    let copied = number("SELECT pg_total_relation_size('copied')")?;

    let per_operation = |seconds: f64| seconds * 1e6 / operations as f64;
    let rate = operations as f64 / took;
    let copy_per_second = operations as f64 / copy_took;
    Ok(Shared {
        nodes,
        sources,
        operations,
        operations_per_second: rate,
        copy_connections,
        copy_per_second,
        ratio_to_copy: rate / copy_per_second,
        database_cpu_microseconds_per_operation: per_operation(database_cpu_seconds),
        node_cpu_microseconds_per_operation: per_operation(node_cpu),
        copy_cpu_microseconds_per_operation: per_operation(copy_cpu),
        receipt_bytes_per_operation: receipts / operations as f64,
        record_bytes: records / operations as f64,
        copied_bytes: copied / operations as f64,
    })
}

async fn accepted(client: &Client, source: usize, request: &Path) -> Result<String> {
    let key = format!("s{source}");
    client.put_source(&key).await?;
    let source = client.source(&key);
    source
        .put_definition(DefinitionKind::Profile, "provider", providers::PROFILE)
        .await?;
    let file = tokio::fs::File::open(request).await?;
    let length = request.metadata()?.len();
    let body = BulkBody::json(ReaderStream::with_capacity(file, 256 * 1024)).with_length(length);
    let reply = source
        .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
        .await?;
    let BulkReply::Accepted(accepted) = reply else {
        anyhow::bail!("the request was rejected")
    };
    Ok(accepted.task_id.to_string())
}

/// Copies the records of all sources by so many connections; the seconds that it took, and CPU seconds of the database.
fn copy(
    cluster: &Cluster,
    folder: &Path,
    sources: usize,
    connections: usize,
    each: u64,
) -> Result<(f64, f64)> {
    cluster.sql(
        "granary",
        "CREATE TABLE copied (source int4, id text COLLATE \"C\", data jsonb, PRIMARY KEY (source, id))",
    );
    let mut files: Vec<BufWriter<File>> = Vec::new();
    let path = |connection: usize| folder.join(format!("copied-{connection}"));
    for connection in 0..connections {
        files.push(BufWriter::new(File::create(path(connection))?));
    }
    for source in 0..sources {
        providers::for_each(each, |id, data| {
            writeln!(files[source % connections], "{source}\t{id}\t{data}")
        })?;
    }
    files.iter_mut().try_for_each(Write::flush)?;
    cluster.sql("granary", "CHECKPOINT");
    let before = database_cpu(cluster)?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..connections {
            let sql = format!("COPY copied FROM '{}'", path(connection).display());
            scope.spawn(move || cluster.sql("granary", &sql));
        }
    });
    Ok((started.elapsed().as_secs_f64(), database_cpu(cluster)? - before))
}

/// CPU seconds of the database so far: its postmaster, children that live, and those that have ended.
fn database_cpu(cluster: &Cluster) -> Result<f64> {
    let data = cluster.sql("granary", "SHOW data_directory");
    let file = std::fs::read_to_string(Path::new(data.trim()).join("postmaster.pid"))?;
    let pid: u32 = file.lines().next().unwrap_or_default().trim().parse()?;
    process::family_cpu_seconds(pid)
}

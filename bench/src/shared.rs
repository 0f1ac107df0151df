//! The chunk path on PostgreSQL beside `COPY` of the same records: real processes, every chunk durable.
//!
//! One node takes in a request for each source; then the workers start, and what is timed is from their start until the
//! last task has ended. `COPY` reads files on the database's own machine, into one `jsonb` table with a primary key, by
//! as many connections as lanes are worked on at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use granary_client::{Client, DefinitionKind};
use granary_core::operation::TargetType;
use granary_test_postgres::{Cluster, Durability};
use granary_tests::{Place, Server};
use serde::Serialize;

use crate::peers::{SETTINGS, database_cpu_seconds};
use crate::workload::{Load, Operation, Workload, write_requests};
use crate::{granary, process, providers};

/// Lanes that one node works on at once: its workers.
const WORKERS: usize = 2;
const DATABASE: &str = "granary";

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
    cluster.create_database(DATABASE, None);
    let place = Place::Database(cluster.url(DATABASE));
    let load = Load::new(Workload::Creates, each, &Vec::new().into());
    let requests = write_requests(load.measured(), &folder.join("request"))?;

    let mut intake = Server::start_at(place.clone(), &[("GRANARY_ROLE", "api")]).await?;
    let client = intake.client()?;
    let mut tasks = Vec::new();
    for source in 0..sources {
        let source = format!("s{source}");
        for task in accepted(&client, &source, &requests).await? {
            tasks.push((source.clone(), task));
        }
    }
    // What the intake left to be written is not part of what is measured.
    cluster.sql(DATABASE, "CHECKPOINT");

    let database_before = database_cpu_seconds(&cluster, DATABASE)?;
    let started = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..nodes {
        let environment = [("GRANARY_ROLE", "worker"), ("TOKIO_WORKER_THREADS", "2")];
        workers.push(Server::start_at(place.clone(), &environment).await?);
    }
    for (source, task) in &tasks {
        let task = granary::ended(&client.source(source), task).await?;
        ensure!(task.counts.failure == 0, "{} failed", task.counts.failure);
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
    let database_cpu_seconds = database_cpu_seconds(&cluster, DATABASE)? - database_before;

    let number = |sql: &str| -> Result<f64> { Ok(cluster.sql(DATABASE, sql).trim().parse::<f64>()?) };
    let receipts = number("SELECT sum(octet_length(body)) FROM granary.receipts")?;
    let records = number("SELECT pg_total_relation_size('granary.resource')")?;
    let copy_connections = sources.min(nodes * WORKERS);
    let (copy_took, copy_cpu) = copy(&cluster, &load, folder, sources, copy_connections)?;
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

async fn accepted(client: &Client, key: &str, requests: &[PathBuf]) -> Result<Vec<String>> {
    client.put_source(key).await?;
    let source = client.source(key);
    source
        .put_definition(DefinitionKind::Profile, providers::TYPE, providers::PROFILE)
        .await?;
    let mut tasks = Vec::new();
    for request in requests {
        tasks.push(granary::accepted(&source, TargetType::Resource, request).await?);
    }
    Ok(tasks)
}

/// Copies the records of all sources by so many connections; the seconds that it took, and CPU seconds of the database.
fn copy(
    cluster: &Cluster,
    load: &Load,
    folder: &Path,
    sources: usize,
    connections: usize,
) -> Result<(f64, f64)> {
    cluster.sql(
        DATABASE,
        "CREATE TABLE copied (source int4, id text COLLATE \"C\", data jsonb, PRIMARY KEY (source, id))",
    );
    let mut files: Vec<BufWriter<File>> = Vec::new();
    let path = |connection: usize| folder.join(format!("copied-{connection}"));
    for connection in 0..connections {
        files.push(BufWriter::new(File::create(path(connection))?));
    }
    for source in 0..sources {
        for Operation { id, data, .. } in load.measured() {
            writeln!(files[source % connections], "{source}\t{id}\t{data}")?;
        }
    }
    files.iter_mut().try_for_each(Write::flush)?;
    cluster.sql(DATABASE, "CHECKPOINT");
    let before = database_cpu_seconds(cluster, DATABASE)?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..connections {
            let sql = format!("COPY copied FROM '{}'", path(connection).display());
            scope.spawn(move || cluster.sql(DATABASE, &sql));
        }
    });
    Ok((
        started.elapsed().as_secs_f64(),
        database_cpu_seconds(cluster, DATABASE)? - before,
    ))
}

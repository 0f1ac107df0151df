//! PostgreSQL with a function of granary's semantics (`plpgsql.sql`): what an engineer would build instead. One
//! connection sends a thousand operations a call, and reads a thousand receipts.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tokio_postgres::NoTls;

use super::database::{Database, check, column, resource_type};
use crate::process::{Meter, Usage};
use crate::workload::Load;

const OPERATIONS_PER_CALL: usize = 1_000;
const DEFINITIONS: &str = include_str!("plpgsql.sql");

pub(crate) struct Files {
    /// Rows of resources.
    before: PathBuf,
    /// The operations of a call a line.
    calls: PathBuf,
}

impl Files {
    pub(crate) fn write(load: &Load, folder: &Path) -> Result<Self> {
        let before = folder.join("plpgsql-before.tsv");
        let mut out = BufWriter::new(File::create(&before)?);
        for operation in load.before() {
            let (of_type, data) = (resource_type(load), column(&operation.data));
            writeln!(out, "{of_type}\t{}\t{data}", operation.id)?;
        }
        out.flush()?;

        let calls = folder.join("plpgsql.json");
        let mut out = BufWriter::new(File::create(&calls)?);
        for (at, operation) in load.measured().enumerate() {
            out.write_all(match at {
                0 => b"[",
                _ if at % OPERATIONS_PER_CALL == 0 => b"]\n[",
                _ => b",",
            })?;
            operation.write(&mut out, true)?;
        }
        out.write_all(b"]\n")?;
        out.flush()?;
        Ok(Self { before, calls })
    }
}

pub(crate) async fn run(files: &Files, load: &Load, database: &Database) -> Result<(Usage, u64)> {
    database.sql(&DEFINITIONS.replace(":check", check(load)))?;
    database.copy("resource", &files.before)?;
    database.sql("VACUUM ANALYZE resource; CHECKPOINT")?;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await?;
    let connection = tokio::spawn(connection);
    let bulk = client.prepare("SELECT bulk($1::text::jsonb)::text").await?;

    let meter = Meter::start(database.subject()?)?;
    let (mut receipts, mut failures) = (0, 0);
    for call in BufReader::with_capacity(1 << 20, File::open(&files.calls)?).lines() {
        let row = client.query_one(&bulk, &[&call?]).await?;
        let answer: &str = row.get(0);
        receipts += answer.matches(r#""status": ""#).count() as u64;
        failures += answer.matches(r#""status": "FAILURE""#).count() as u64;
    }
    let usage = meter.stop()?;

    ensure!(receipts == load.operations, "{receipts} receipts");
    ensure!(failures == load.failures(), "{failures} operations failed");
    drop(client);
    connection.await??;
    let disk_bytes = database.table_bytes(&["resource", "edge", "task"])?;
    database.sql("TRUNCATE resource, edge, task")?;
    Ok((usage, disk_bytes))
}

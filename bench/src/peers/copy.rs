//! `COPY` of the same records from a file beside the server into a `jsonb` table with a primary key, in one transaction,
//! `synchronous_commit` on. It checks nothing but that the data is JSON, and tells nothing of a single record.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::database::{Database, column};
use crate::process::{Meter, Usage};
use crate::workload::{Load, Workload};

pub(crate) struct Files {
    lines: PathBuf,
}

impl Files {
    pub(crate) fn write(load: &Load, folder: &Path) -> Result<Self> {
        let lines = folder.join("copy.tsv");
        let mut out = BufWriter::new(File::create(&lines)?);
        for operation in load.measured() {
            write!(out, "{}\t", operation.id)?;
            if let Some(to) = &operation.to {
                write!(out, "{to}\t")?;
            }
            writeln!(out, "{}", column(&operation.data))?;
        }
        out.flush()?;
        Ok(Self { lines })
    }
}

pub(crate) fn run(files: &Files, load: &Load, database: &Database) -> Result<(Usage, u64)> {
    let columns = match load.workload {
        Workload::Relationships => {
            "from_id text COLLATE \"C\", to_id text COLLATE \"C\", data jsonb, PRIMARY KEY (from_id, to_id)"
        }
        _ => "id text COLLATE \"C\" PRIMARY KEY, data jsonb",
    };
    database.sql(&format!(
        "DROP TABLE IF EXISTS copied; CREATE TABLE copied ({columns}); CHECKPOINT"
    ))?;
    let meter = Meter::start(database.subject()?)?;
    database.copy("copied", &files.lines)?;
    let usage = meter.stop()?;
    let count: u64 = database.sql("SELECT count(*) FROM copied")?.trim().parse()?;
    ensure!(count == load.operations, "{count} rows were copied");
    let disk_bytes = database.table_bytes(&["copied"])?;
    database.sql("DROP TABLE copied")?;
    Ok((usage, disk_bytes))
}

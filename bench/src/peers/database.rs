//! A PostgreSQL of the bench's own, for the peers that are built on it.

use std::path::Path;

use anyhow::{Context, Result};
use granary_test_postgres::{Cluster, Durability};

use crate::cities;
use crate::process::{Subject, family_cpu_seconds};
use crate::workload::{Load, Workload};

/// What `docs/operations.md` advises.
pub(crate) const SETTINGS: [&str; 4] = [
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
    "wal_compression=lz4",
];

const NAME: &str = "bench";
const PROVIDERS: &str = "jsonb_typeof(data->'name')='string' AND jsonb_typeof(data->'practiceNumber')='number' \
    AND jsonb_typeof(data->'specialities')='array' \
    AND data - '{name,practiceNumber,specialities,active,licensedSince,rating,email,notes,address}'::text[] = '{}'";
const CITIES: &str = "jsonb_typeof(data->'name')='string' AND jsonb_typeof(data->'geonameid')='number' \
    AND jsonb_typeof(data->'alternatenames')='array' \
    AND data - '{geonameid,name,latitude,longitude,countrycode,population,timezone,admin1code,alternatenames}'::text[] \
    = '{}'";

/// The server and its one database.
pub(crate) struct Database {
    cluster: Cluster,
}

impl Database {
    pub(crate) fn start() -> Result<Self> {
        let cluster = Cluster::start_with(Durability::On, &SETTINGS)?;
        cluster.create_database(NAME, None);
        Ok(Self { cluster })
    }

    pub(crate) fn url(&self) -> String {
        self.cluster.url(NAME)
    }

    /// The processes of the server.
    pub(crate) fn subject(&self) -> Result<Subject> {
        Ok(Subject::Family(postmaster(&self.cluster, NAME)?))
    }

    pub(crate) fn sql(&self, text: &str) -> Result<String> {
        self.cluster.try_sql(NAME, text)
    }

    /// Copies a file of lines into a table.
    pub(crate) fn copy(&self, table: &str, path: &Path) -> Result<()> {
        self.sql(&format!("COPY {table} FROM '{}'", path.display()))
            .map(drop)
    }

    /// The bytes that tables take with their indexes.
    pub(crate) fn table_bytes(&self, tables: &[&str]) -> Result<u64> {
        let mut bytes = 0;
        for table in tables {
            let size = self.sql(&format!("SELECT pg_total_relation_size('{table}')"))?;
            bytes += size.trim().parse::<u64>()?;
        }
        Ok(bytes)
    }
}

/// The condition that the data of a workload's resources is checked by.
pub(crate) fn check(load: &Load) -> &'static str {
    match load.workload {
        Workload::Cities => CITIES,
        _ => PROVIDERS,
    }
}

/// The type of a workload's resources.
pub(crate) fn resource_type(load: &Load) -> &'static str {
    match load.workload {
        Workload::Cities => cities::TYPE,
        _ => crate::providers::TYPE,
    }
}

/// JSON as a column of a line that `COPY` reads; it has neither tabs nor line ends.
pub(crate) fn column(json: &str) -> String {
    json.replace('\\', "\\\\")
}

/// CPU seconds of a server so far: its postmaster, children that live, and those that have ended.
pub(crate) fn cpu_seconds(cluster: &Cluster, database: &str) -> Result<f64> {
    family_cpu_seconds(postmaster(cluster, database)?)
}

fn postmaster(cluster: &Cluster, database: &str) -> Result<u32> {
    let data = cluster.try_sql(database, "SHOW data_directory")?;
    let file = std::fs::read_to_string(Path::new(data.trim()).join("postmaster.pid"))?;
    let first = file.lines().next().context("postmaster.pid is empty")?;
    Ok(first.trim().parse()?)
}

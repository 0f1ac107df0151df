//! The systems that granary is compared with, in the same run, on the same records.

mod copy;
mod database;
mod fjall;
mod plpgsql;
mod redis;
mod skip;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::process::Usage;
use crate::workload::{Load, Workload};

pub(crate) use database::{Database, SETTINGS, cpu_seconds as database_cpu_seconds};
pub(crate) use fjall::FjallArguments;

/// A system beside granary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// PostgreSQL: COPY into a jsonb table with a primary key, in one transaction
    Copy,
    /// PostgreSQL: a function with granary's semantics, a sub-transaction and a receipt an operation
    Plpgsql,
    /// The database that granary builds on: blind puts, synced every thousand
    Fjall,
    /// Redis with its append-only file, synced every second: a ceiling
    Redis,
    /// serde_json that skips the document: a ceiling for the acceptance alone
    Skip,
}

impl Peer {
    /// Whether it can do anything like this.
    pub(crate) fn does(self, workload: Workload) -> bool {
        use Workload::{Cities, Creates, Rejected, Relationships, ServerIds};
        match self {
            Self::Copy => matches!(workload, Creates | ServerIds | Relationships | Cities),
            Self::Plpgsql | Self::Skip => true,
            Self::Fjall | Self::Redis => workload != Rejected,
        }
    }

    /// Why it cannot run on this machine, if it cannot.
    pub(crate) fn missing(self) -> Option<String> {
        (self == Self::Redis && !redis::installed()).then(|| "redis-server is not installed".to_owned())
    }

    pub(crate) fn needs_database(self) -> bool {
        matches!(self, Self::Copy | Self::Plpgsql)
    }
}

/// The files of one workload for one peer, written before anything is measured.
pub(crate) enum Files {
    Copy(copy::Files),
    Plpgsql(plpgsql::Files),
    Fjall(fjall::Files),
    Redis(redis::Files),
    /// The requests that granary is sent.
    Skip(Vec<PathBuf>),
}

impl Files {
    pub(crate) fn write(peer: Peer, load: &Load, requests: &[PathBuf], folder: &Path) -> Result<Self> {
        Ok(match peer {
            Peer::Copy => Self::Copy(copy::Files::write(load, folder)?),
            Peer::Plpgsql => Self::Plpgsql(plpgsql::Files::write(load, folder)?),
            Peer::Fjall => Self::Fjall(fjall::Files::write(load, folder)?),
            Peer::Redis => Self::Redis(redis::Files::write(load, folder)?),
            Peer::Skip => Self::Skip(requests.to_vec()),
        })
    }

    /// Runs the workload; what it took, and the bytes on disk at its end.
    pub(crate) async fn run(
        &self,
        load: &Load,
        database: Option<&Database>,
        folder: &Path,
    ) -> Result<(Usage, u64)> {
        let database = || database.ok_or_else(|| anyhow::anyhow!("no PostgreSQL was started"));
        match self {
            Self::Copy(files) => copy::run(files, load, database()?),
            Self::Plpgsql(files) => plpgsql::run(files, load, database()?).await,
            Self::Fjall(files) => fjall::run(files, load, folder),
            Self::Redis(files) => redis::run(files, load, folder),
            Self::Skip(requests) => skip::run(requests),
        }
    }
}

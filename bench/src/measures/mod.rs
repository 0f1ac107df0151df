//! What is measured beside the workloads.

mod beside;
mod check;
mod growth;
mod memory;
mod single;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

pub(crate) use beside::Beside;
pub(crate) use check::CheckTime;
pub(crate) use growth::Growth;
pub(crate) use memory::{Memory, Sent};
pub(crate) use single::SingleWrites;

/// One of these measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// The check of one operation, in process
    Check,
    /// Single writes of 64 clients, against what the disk can sync
    SingleWrites,
    /// A small task beside a large one on another source
    Beside,
    /// Ten requests one after the other into one store: the last against the first
    Growth,
    /// What one request takes of memory, and one of a hundredth of its size
    Memory,
}

/// What they gave; of several rounds one each.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measures {
    pub(crate) check: Vec<CheckTime>,
    pub(crate) single_writes: Vec<SingleWrites>,
    pub(crate) beside: Vec<Beside>,
    pub(crate) growth: Vec<Growth>,
    pub(crate) memory: Vec<Memory>,
}

impl Measures {
    pub(crate) fn nothing(&self) -> bool {
        let Self {
            check,
            single_writes,
            beside,
            growth,
            memory,
        } = self;
        check.is_empty()
            && single_writes.is_empty()
            && beside.is_empty()
            && growth.is_empty()
            && memory.is_empty()
    }

    /// Takes one round of a measure.
    pub(crate) async fn take(&mut self, measure: Measure, operations: u64, folder: &Path) -> Result<()> {
        match measure {
            Measure::Check => self.check.push(check::measure(operations.min(200_000))?),
            Measure::SingleWrites => self
                .single_writes
                .push(single::measure(operations, folder).await?),
            Measure::Beside => self.beside.push(beside::measure(operations, folder).await?),
            Measure::Growth => {
                for id_by_server in [false, true] {
                    let growth = growth::measure(operations, id_by_server, folder).await?;
                    self.growth.push(growth);
                }
            }
            Measure::Memory => self.memory.extend(memory::measure(operations, folder).await?),
        }
        Ok(())
    }
}

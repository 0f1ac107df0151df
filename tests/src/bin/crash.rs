//! Kills a server many times over; see `granary_tests::crash`.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::time::Duration;

use clap::Parser;
use granary_tests::crash::{CrashRun, CrashStore};

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
    /// The server dies before a call of the system by chance, such as the third fsync of a thread (needs strace)
    #[arg(long)]
    before_calls: bool,
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
    } = Arguments::parse();
    let run = CrashRun {
        deaths,
        at_least: Duration::from_secs(60 * minutes),
        seed,
        operations,
        store,
        before_calls,
    };
    println!("{run:?}");
    println!("{:#?}", run.run().await?);
    Ok(())
}

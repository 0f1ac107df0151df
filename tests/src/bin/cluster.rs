//! Has everything go wrong that can in a cluster of servers; see `granary_tests::cluster`.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::time::Duration;

use clap::Parser;
use granary_tests::cluster::{ClusterRun, fail_over};

/// Have servers that share a PostgreSQL fail under load, and the database, and what is between them
#[derive(Parser)]
struct Arguments {
    /// How many faults at least
    #[arg(long, default_value_t = 200)]
    faults: u32,
    /// For how long at least
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// What chance is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead, have a replica take over from the database, once
    #[arg(long)]
    fail_over: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let summary = if arguments.fail_over {
        fail_over(arguments.seed).await?
    } else {
        let run = ClusterRun {
            faults: arguments.faults,
            at_least: Duration::from_secs(60 * arguments.minutes),
            seed: arguments.seed,
            told: |how_far| println!("{how_far}"),
        };
        println!("seed {}", run.seed);
        run.run().await?
    };
    println!("{summary:#?}");
    Ok(())
}

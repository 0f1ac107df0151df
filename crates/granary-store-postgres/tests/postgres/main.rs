//! The behaviours of every store, shown by PostgreSQL, and what is its own.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod check;
mod definitions;
mod durable;
mod hint;
mod lanes;
mod lost;
mod migrations;
mod plans;
mod pooler;
mod race;
mod races;
mod retiring;
mod sharing;
mod uploads;
mod world;

use granary_store::suite::history::histories;

use world::InPostgres;

mod behaviours {
    granary_store::behaviours!(crate::world::InPostgres::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_agree_with_the_reference_and_with_decide_alone() {
    histories(&InPostgres::default(), 0..100).await;
}

//! The whole server in process, seen through HTTP: for every route what it answers, right and wrong. The files follow
//! the URLs. The clock stands still, so that only generated ids differ from run to run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod backpressure;
mod bodies;
mod catalog;
mod codings;
mod conditions;
mod connections;
mod console;
mod error_examples;
mod events;
mod every_call;
mod every_route;
mod health;
mod idempotency;
mod lists;
mod metrics;
mod prefer;
mod sources;
mod terminology;
mod world;

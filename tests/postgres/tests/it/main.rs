//! The servers for tests do what tests rely on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod pgbouncer;
mod proxy;
mod standby;
mod watchdog;

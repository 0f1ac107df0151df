//! Granary seen from outside: the harness that starts, kills and restarts a real server, and the crash run.

pub mod crash;
mod server;

pub use server::{Server, binary};

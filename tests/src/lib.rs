//! Granary seen from outside: the harness that starts, kills and restarts a real server, the crash run, and the table of
//! values.

pub mod cases;
pub mod crash;
mod server;

pub use server::{Place, Server, binary, on_postgres};

//! Granary seen from outside: the harness that starts, kills and restarts a real server, the crash run, and the table of
//! values.

mod agree;
pub mod cases;
pub mod cluster;
pub mod crash;
mod model;
mod requests;
mod server;

pub use server::{Place, Server, Start, binary, on_postgres};

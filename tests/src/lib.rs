//! Granary seen from outside: the harness that starts, kills and restarts a real server, the crash run, the cuts of
//! power, the histories of clients, disks that fail, and the table of values.

mod agree;
mod calls;
pub mod cases;
pub mod cluster;
pub mod crash;
pub mod faults;
pub mod histories;
mod http;
mod model;
pub mod power;
mod register;
mod requests;
mod server;
mod told;

pub use http::http;
pub use server::{Place, Server, Start, binary, on_postgres};

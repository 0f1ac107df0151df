//! For tests: a PostgreSQL server of their own in a temporary folder, and a connection to it that can be cut.
//!
//! Nothing here uses a server that is already there, and nothing is skipped: without the programs of PostgreSQL a test
//! fails and says what to install. Whatever becomes of the test, a panic, the end of the process, `kill -9`, its servers
//! end and their folders go; see `folder.rs`.
//!
//! What starts or ends a process returns a `Result`. Statements are there for tests: they panic with what PostgreSQL says.

mod cluster;
mod folder;
mod pgbouncer;
mod port;
mod programs;
mod proxy;

pub use cluster::{Cluster, Durability};
pub use pgbouncer::PgBouncer;
pub use programs::missing_packages;
pub use proxy::Proxy;

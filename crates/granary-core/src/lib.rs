//! The domain of granary, pure: what a record, a profile, an operation and a receipt are, and the rules that
//! decide what one operation does. No I/O, no async, no clock: times, ids and limits are handed in.

pub mod access;
pub mod check;
pub mod contained;
pub mod csv;
pub mod decide;
mod described;
pub mod error;
mod fault;
pub mod idempotency;
pub mod json;
pub mod keys;
pub mod ksuid;
pub mod limits;
pub mod meta;
pub mod operation;
pub mod patch;
pub mod profile;
pub mod receipt;
pub mod schema;
pub mod task;
pub mod terminology;
pub mod time;
pub mod vocabulary;

pub use fault::{closest, did_you_mean};

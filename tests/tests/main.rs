//! Granary seen from outside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod cluster;
mod conformance;
mod crash;
mod docs;
mod faults;
mod histories;
mod power;
mod told;

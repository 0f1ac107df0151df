//! The engine over the reference store.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod backpressure;
mod definitions;
mod faulty_store;
mod intake;
mod lanes;
mod races;
mod retention;
mod retry;
mod single;
mod split;
mod validate;
mod world;

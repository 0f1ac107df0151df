//! What an engine has done since it was started, and what it is at, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use granary_core::error::ErrorObject;

use crate::engine::Engine;
use crate::intake::Intake;

/// Counts what happens. Each is read on its own: they are not of one moment.
#[derive(Default)]
pub(crate) struct Counters {
    bulk_accepted: AtomicU64,
    bulk_rejected: AtomicU64,
    bulk_replayed: AtomicU64,
    bulk_failed: AtomicU64,
    operations_accepted: AtomicU64,
    operations_applied: AtomicU64,
    chunks: AtomicU64,
    chunk_microseconds: AtomicU64,
    chunk_failures: AtomicU64,
    lanes_held: AtomicU64,
    tasks_removed: AtomicU64,
}

/// What an engine has done since it was started, and what it is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bulk requests that were accepted.
    pub bulk_accepted: u64,
    /// Bulk requests that were rejected.
    pub bulk_rejected: u64,
    /// Bulk requests that were accepted before.
    pub bulk_replayed: u64,
    /// Bulk requests that failed as calls.
    pub bulk_failed: u64,
    /// Operations of the requests that were accepted.
    pub operations_accepted: u64,
    /// Operations of tasks that were decided.
    pub operations_applied: u64,
    /// Chunks that were applied.
    pub chunks: u64,
    /// How long that took, all together.
    pub chunk_time: Duration,
    /// Chunks that were not applied, and are tried again.
    pub chunk_failures: u64,
    /// Lanes that workers are at.
    pub lanes_held: u64,
    /// Tasks that were kept no longer and are removed.
    pub tasks_removed: u64,
    /// Calls that hold a place among the requests in flight, but for deletes of single records.
    pub requests_in_flight: u64,
    /// Bytes of files that hold the failures of rejected requests until they are answered.
    pub scratch_bytes: u64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn bulk(&self, outcome: &Result<Intake, ErrorObject>) {
        match outcome {
            Ok(Intake::Accepted(task)) => {
                add(&self.bulk_accepted, 1);
                add(&self.operations_accepted, task.task.counts.total);
            }
            Ok(Intake::Rejected(_)) => add(&self.bulk_rejected, 1),
            Ok(Intake::Replayed(_)) => add(&self.bulk_replayed, 1),
            Ok(Intake::Valid { .. }) => {}
            Err(_) => add(&self.bulk_failed, 1),
        }
    }

    pub(crate) fn chunk(&self, operations: u64, took: Duration) {
        add(&self.chunks, 1);
        add(&self.operations_applied, operations);
        add(&self.chunk_microseconds, took.as_micros() as u64);
    }

    pub(crate) fn tasks_removed(&self, count: u64) {
        add(&self.tasks_removed, count);
    }

    pub(crate) fn chunk_failed(&self) {
        add(&self.chunk_failures, 1);
    }

    /// Counts a lane as held until this is dropped.
    pub(crate) fn hold_lane(&self) -> impl Drop + use<'_> {
        struct Held<'a>(&'a AtomicU64);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        add(&self.lanes_held, 1);
        Held(&self.lanes_held)
    }
}

impl Engine {
    /// What it has done and is at.
    pub fn figures(&self) -> Figures {
        let counters = &self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            bulk_accepted: read(&counters.bulk_accepted),
            bulk_rejected: read(&counters.bulk_rejected),
            bulk_replayed: read(&counters.bulk_replayed),
            bulk_failed: read(&counters.bulk_failed),
            operations_accepted: read(&counters.operations_accepted),
            operations_applied: read(&counters.operations_applied),
            chunks: read(&counters.chunks),
            chunk_time: Duration::from_micros(read(&counters.chunk_microseconds)),
            chunk_failures: read(&counters.chunk_failures),
            lanes_held: read(&counters.lanes_held),
            tasks_removed: read(&counters.tasks_removed),
            requests_in_flight: self.requests_in_flight(),
            scratch_bytes: self.scratch_bytes(),
        }
    }
}

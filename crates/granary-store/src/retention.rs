//! Which tasks are kept, and what is left of those that are not.

use granary_core::task::TaskId;
use granary_core::time::Timestamp;

use crate::TaskProgress;

/// Which tasks that have ended are kept. All others go, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Bulk tasks and purges that ended since then.
    pub lane_since: Timestamp,
    /// The same of single writes and bundles.
    pub at_once_since: Timestamp,
    /// Bulk tasks and purges of all sources as far as they take no more bytes together,
    pub bytes_max: u64,
    /// and whatever they take, those that ended since then.
    pub spared_since: Timestamp,
    /// Of bulk tasks and purges, that they were removed, where that was since then.
    pub removed_since: Timestamp,
}

/// What a step of removing tasks did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Tasks that are gone from now on.
    pub tasks: u64,
    /// There may be more to do.
    pub more: bool,
}

/// A bulk task or a purge that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedTask {
    /// Its id.
    pub id: TaskId,
    /// When it was removed.
    pub at: Timestamp,
}

impl TaskProgress {
    /// What a task counts for beside its operations,
    pub const BYTES: u64 = 512;
    /// for each of them with its receipt,
    pub const OPERATION_BYTES: u64 = 64;
    /// and for the error of each that was not carried out.
    pub const ERROR_BYTES: u64 = 128;

    /// What it takes once it has ended, about, where so many bytes were spooled for it: its receipts, its operations, and
    /// the bodies of those that were not carried out.
    pub fn kept_bytes(&self, spooled: u64) -> u64 {
        let undone = self.undone();
        let bodies = u128::from(spooled) * u128::from(undone) / u128::from(self.total.max(1));
        let bodies = u64::try_from(bodies).unwrap_or(u64::MAX);
        Self::BYTES
            .saturating_add(self.total.saturating_mul(Self::OPERATION_BYTES))
            .saturating_add(undone.saturating_mul(Self::ERROR_BYTES))
            .saturating_add(bodies)
    }

    /// How many of its operations failed, or were not reached.
    pub fn undone(&self) -> u64 {
        self.failures + self.total.saturating_sub(self.cursor)
    }
}

impl Retention {
    /// True where a bulk task or a purge that ended then goes, while all that are kept take so many bytes.
    pub fn lane_task_goes(&self, ended_at: i64, bytes: u64) -> bool {
        ended_at < self.lane_since.millis()
            || (bytes > self.bytes_max && ended_at < self.spared_since.millis())
    }
}

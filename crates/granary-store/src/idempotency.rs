//! Requests that are carried out once: what is kept of the answer to the first one, in the same step as what it did.

use granary_core::idempotency::{Fingerprint, Fingerprinting, IdempotencyKey};
use granary_core::keys::ResourceId;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;

/// What names a request among those of its source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestName {
    /// The path that it is sent to.
    pub path: String,
    /// The key that its client gave it.
    pub key: IdempotencyKey,
}

impl RequestName {
    /// What it is stored under. Two that are not the same meet in it as good as never.
    pub fn digest(&self, hash_key: &[u8; 16]) -> [u8; 16] {
        Fingerprinting::new(hash_key, &self.path, self.key.as_str())
            .finish()
            .0
    }
}

/// A request that is to be carried out once.
#[derive(Clone, Debug)]
pub struct Idempotent {
    /// Its name.
    pub name: RequestName,
    /// What tells it from another under the same name.
    pub fingerprint: Fingerprint,
    /// The status that it is answered with.
    pub status: u16,
    /// The contained resource that it makes.
    pub part: Option<ResourceId>,
    /// What was answered before this is kept no longer.
    pub kept_since: Timestamp,
}

/// What was answered to the first request of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAnswer {
    /// The task that it became, or left.
    pub task_id: TaskId,
    /// Of that request.
    pub fingerprint: Fingerprint,
    /// The status that it was answered with.
    pub status: u16,
    /// The contained resource that it made.
    pub part: Option<ResourceId>,
    /// When it was carried out.
    pub at: Timestamp,
}

impl Idempotent {
    /// The answer that is kept once it is carried out as this task.
    pub fn answer(&self, task_id: TaskId, now: Timestamp) -> FirstAnswer {
        FirstAnswer {
            task_id,
            fingerprint: self.fingerprint,
            status: self.status,
            part: self.part.clone(),
            at: now,
        }
    }
}

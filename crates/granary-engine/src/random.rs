//! Randomness for generated ids.

use granary_core::ksuid::Ksuid;
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use rand::Rng;

/// Sixteen random bytes from the generator of this thread.
pub(crate) fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A task id that was never given before.
pub(crate) fn task_id(kind: TaskKind, now: Timestamp) -> TaskId {
    TaskId {
        kind,
        ksuid: Ksuid::from_parts(now, random_bytes()),
    }
}

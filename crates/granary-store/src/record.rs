//! A stored record.

use bytes::Bytes;
use granary_core::decide::Head;
use granary_core::operation::RecordId;

/// A resource or an edge as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Version, stamp, times, hash.
    pub head: Head,
    /// One compact JSON object with `data` and, where there is any, `contained`; empty for an edge without data.
    pub body: Bytes,
}

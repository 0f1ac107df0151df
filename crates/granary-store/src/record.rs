//! A stored record, and pages of records.

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
    /// Its identifiers: one compact JSON array as it was sent; empty where it has none.
    pub identifiers: Bytes,
}

/// Bodies that one page of a list may take, in bytes: the record that reaches it is the last of its page.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// A page of the records that `next` gives, at most `limit` and within [`PAGE_BYTES_MAX`].
pub fn take_page<E>(
    next: impl IntoIterator<Item = Result<Record, E>>,
    limit: usize,
) -> Result<Vec<Record>, E> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for record in next.into_iter().take(limit) {
        let record = record?;
        bytes += record.body.len();
        page.push(record);
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(page)
}

/// True where the list may go on behind this page, of which at most `limit` records were asked for.
pub fn may_go_on(page: &[Record], limit: usize) -> bool {
    page.len() >= limit || page.iter().map(|record| record.body.len()).sum::<usize>() >= PAGE_BYTES_MAX
}

//! A stored record, and pages of records and the like.

use bytes::Bytes;
use granary_core::decide::Head;
use granary_core::operation::RecordId;
use granary_core::schema::StoredDefinition;

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

/// What pages are made of.
pub trait Weighed {
    /// What it counts for [`PAGE_BYTES_MAX`].
    fn bytes(&self) -> usize;
}

impl Weighed for Record {
    fn bytes(&self) -> usize {
        self.body.len() + self.identifiers.len()
    }
}

impl Weighed for &StoredDefinition {
    fn bytes(&self) -> usize {
        self.json.len()
    }
}

/// Bodies that one page of a list may take, in bytes: what reaches it is the last of its page.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// A page of what `next` gives, at most `limit` and within [`PAGE_BYTES_MAX`].
pub fn take_page<T: Weighed, E>(
    next: impl IntoIterator<Item = Result<T, E>>,
    limit: usize,
) -> Result<Vec<T>, E> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for found in next.into_iter().take(limit) {
        let found = found?;
        bytes += found.bytes();
        page.push(found);
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(page)
}

/// True where the list may go on behind this page, of which at most `limit` were asked for.
pub fn may_go_on<T: Weighed>(page: &[T], limit: usize) -> bool {
    page.len() >= limit || page.iter().map(Weighed::bytes).sum::<usize>() >= PAGE_BYTES_MAX
}

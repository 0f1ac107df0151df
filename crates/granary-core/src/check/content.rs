//! The body of a record and its hash.

use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Run;
use crate::keys::ResourceId;
use crate::ksuid::Ksuid;
use crate::operation::ContentHash;

const DATA: &[u8] = b"{\"data\":";
const CONTAINED: &[u8] = b",\"contained\":";

/// Where in the output the parts of a body are that was read so far.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) data: Option<Range<usize>>,
    pub(super) contained: Option<Range<usize>>,
}

/// The keyed hash of `data` and of the parts of `contained` that count.
pub(crate) fn content_hash(key: &[u8; 16], data: &[u8], contained: &[&[u8]]) -> ContentHash {
    let mut hasher = SipHasher24::new_with_key(key);
    // The length keeps the two apart.
    hasher.write(&(data.len() as u64).to_le_bytes());
    hasher.write(data);
    for part in contained {
        hasher.write(part);
    }
    ContentHash(hasher.finish128().as_bytes())
}

/// False where a stored body is not the one that has this hash. Of one with contained resources that cannot be told: ids
/// that were made for them do not count.
pub fn body_fits(key: &[u8; 16], body: &[u8], hash: &ContentHash) -> bool {
    if body.is_empty() {
        return content_hash(key, &[], &[]) == *hash;
    }
    let data = body.strip_prefix(DATA).and_then(|rest| rest.strip_suffix(b"}"));
    data.is_some_and(|data| {
        content_hash(key, data, &[]) == *hash || data.windows(CONTAINED.len()).any(|part| part == CONTAINED)
    })
}

impl Run<'_, '_, '_> {
    /// Copies the value that is next as `data` while `check` takes it.
    pub(super) fn keep_data<T>(&mut self, content: &mut Content, check: impl FnOnce(&mut Self) -> T) -> T {
        self.scan.out().extend_from_slice(DATA);
        let (range, result) = self.keep(check);
        content.data = Some(range);
        result
    }

    /// Copies the value that is next as `contained` while `check` takes it.
    pub(super) fn keep_contained<T>(
        &mut self,
        content: &mut Content,
        check: impl FnOnce(&mut Self) -> T,
    ) -> T {
        if content.data.is_some() {
            self.scan.out().extend_from_slice(CONTAINED);
        }
        let (range, result) = self.keep(check);
        content.contained = Some(range);
        result
    }

    fn keep<T>(&mut self, check: impl FnOnce(&mut Self) -> T) -> (Range<usize>, T) {
        let start = self.scan.out().len();
        self.scan.start_copy();
        let result = check(self);
        self.scan.stop_copy();
        (start..self.scan.out().len(), result)
    }

    /// Completes the body in the output and tells the hash of what was sent. Generated ids do not count: they differ
    /// each time the same is sent.
    pub(super) fn finish_body(&mut self, mut content: Content) -> ContentHash {
        let out = self.scan.out();
        if let (Some(data), Some(contained)) = (&mut content.data, &mut content.contained)
            && contained.start < data.start
        {
            // Contained came first: {contained}{"data":…} becomes {"data":…,"contained":}{contained}.
            out.extend_from_slice(CONTAINED);
            let (first, length) = (contained.start, contained.len());
            if let Some(parts) = out.get_mut(first..) {
                parts.rotate_left(length);
            }
            *data = data.start - length..data.end - length;
            *contained = out.len() - length..out.len();
            let moved = contained.start - first;
            for range in &mut self.generated {
                *range = range.start + moved..range.end + moved;
            }
        }
        let part = |range: Range<usize>| out.get(range).unwrap_or_default();
        let data = part(content.data.clone().unwrap_or_default());
        let mut contained = Vec::new();
        if let Some(range) = content.contained {
            let mut from = range.start;
            for generated in &self.generated {
                contained.push(part(from..generated.start));
                from = generated.end;
            }
            contained.push(part(from..range.end));
        }
        let hash = content_hash(self.hash_key, data, &contained);
        if content.data.is_some() {
            out.push(b'}');
        }
        hash
    }

    /// A new id.
    pub(super) fn new_id(&mut self) -> [u8; Ksuid::LEN] {
        Ksuid::from_parts(self.now, (self.random)()).to_text()
    }

    /// A new id of a resource.
    pub(super) fn new_resource_id(&mut self) -> Option<ResourceId> {
        ResourceId::parse(std::str::from_utf8(&self.new_id()).ok()?).ok()
    }
}

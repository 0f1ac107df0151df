//! The body of a record and its hash.

use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Run;
use super::made_ids::{made_id, members_of_made_ids};
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

/// The keyed hash of `data` and of what counts of `contained`, both without white space between tokens.
pub(crate) fn content_hash(key: &[u8; 16], data: &[u8], contained: &[u8]) -> ContentHash {
    let mut hasher = SipHasher24::new_with_key(key);
    // The length keeps the two apart.
    hasher.write(&(data.len() as u64).to_le_bytes());
    hasher.write(data);
    let mut from = 0;
    for made in members_of_made_ids(key, contained) {
        hasher.write(&contained[from..made.start]);
        from = made.end;
    }
    hasher.write(&contained[from..]);
    ContentHash(hasher.finish128().as_bytes())
}

/// False where a stored body is not the one that has this hash. Of one with contained resources that is not told: in older
/// hashes all ids do not count that the server had made, and these it does not know again.
pub fn body_fits(key: &[u8; 16], body: &[u8], hash: &ContentHash) -> bool {
    if body.is_empty() {
        return content_hash(key, b"", b"") == *hash;
    }
    let data = body.strip_prefix(DATA).and_then(|rest| rest.strip_suffix(b"}"));
    data.is_some_and(|data| {
        content_hash(key, data, b"") == *hash || data.windows(CONTAINED.len()).any(|part| part == CONTAINED)
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

    /// Completes the body in the output and tells its hash.
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
        }
        let part = |range: Option<Range<usize>>| out.get(range.unwrap_or_default()).unwrap_or_default();
        let hash = content_hash(self.hash_key, part(content.data.clone()), part(content.contained));
        if content.data.is_some() {
            out.push(b'}');
        }
        hash
    }

    /// A new id of a contained resource.
    pub(super) fn new_contained_id(&mut self) -> [u8; Ksuid::LEN] {
        made_id(self.hash_key, self.now, (self.random)()).to_text()
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

//! The body of a record and its hash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher24};

use super::Run;
use crate::keys::ResourceId;
use crate::ksuid::Ksuid;
use crate::operation::ContentHash;
use crate::time::Timestamp;

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
    for made in made_ids(key, contained) {
        hasher.write(&contained[from..made.start]);
        from = made.end;
    }
    hasher.write(&contained[from..]);
    ContentHash(hasher.finish128().as_bytes())
}

/// An id for a contained resource, by which the server knows again that it has made it: time, 8 bytes of randomness, and a
/// keyed checksum of both. It is unique in its parent, and need be nowhere else.
fn made_id(key: &[u8; 16], now: Timestamp, mut random: [u8; 16]) -> Ksuid {
    let (kept, rest) = random.split_at_mut(8);
    kept.iter_mut().zip(rest).for_each(|(kept, rest)| *kept ^= *rest);
    let mut bytes = *Ksuid::from_parts(now, random).as_bytes();
    let checksum = checksum(key, &bytes);
    bytes[12..].copy_from_slice(&checksum);
    Ksuid::from_bytes(bytes)
}

fn checksum(key: &[u8; 16], id: &[u8; 20]) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(b"contained id");
    hasher.write(&id[..12]);
    hasher.finish128().h1.to_le_bytes()
}

fn is_made(key: &[u8; 16], id: &str) -> bool {
    Ksuid::parse(id).is_some_and(|id| checksum(key, id.as_bytes()) == id.as_bytes()[12..])
}

/// A contained resource, as far as it matters where ids stand.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    contained: Option<Slots<'a>>,
}

type Slots<'a> = BTreeMap<Cow<'a, str>, Option<Vec<Item<'a>>>>;

/// Where the ids stand in a `contained` that the server made, in their order, each with its name and a comma: they do not
/// count, sent or not (contract, section 13).
fn made_ids(key: &[u8; 16], contained: &[u8]) -> Vec<Range<usize>> {
    let mut made = Vec::new();
    // Most records have none.
    let text = match contained {
        b"" => return made,
        contained => std::str::from_utf8(contained).unwrap_or_default(),
    };
    if let Ok(slots) = serde_json::from_str::<Slots<'_>>(text) {
        gather(key, text, &slots, &mut made);
    }
    made.sort_unstable_by_key(|range| range.start);
    made
}

fn gather(key: &[u8; 16], text: &str, slots: &Slots<'_>, made: &mut Vec<Range<usize>>) {
    for item in slots.values().flatten().flatten() {
        if let Some(id) = item.id.map(RawValue::get)
            && is_made(key, id.trim_matches('"'))
        {
            let start = id.as_ptr() as usize - text.as_ptr() as usize;
            made.extend(member_at(text, start..start + id.len()));
        }
        if let Some(inside) = &item.contained {
            gather(key, text, inside, made);
        }
    }
}

/// The member `id` with the value at this place, and the comma that goes with it; `None` where its name is spelled in another
/// way.
fn member_at(text: &str, value: Range<usize>) -> Option<Range<usize>> {
    let before = text[..value.start].strip_suffix("\"id\":")?;
    Some(match before.strip_suffix(',') {
        Some(before) => before.len()..value.end,
        None => before.len()..value.end + usize::from(text[value.end..].starts_with(',')),
    })
}

/// False where a stored body is not the one that has this hash. Of one with contained resources that cannot be told: ids
/// that were made for them do not count.
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

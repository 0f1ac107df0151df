//! Ids that the server makes for contained resources, and knows again: they do not count in the hash of a body, sent or not
//! (contract, section 13).

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::json::range_in;
use crate::ksuid::Ksuid;
use crate::time::Timestamp;

/// An id for a contained resource: time, 8 bytes of randomness, and a keyed checksum of both. It is unique in its parent, and
/// need be nowhere else.
pub(super) fn made_id(key: &[u8; 16], now: Timestamp, random: [u8; 16]) -> Ksuid {
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
    contained: Option<&'a RawValue>,
}

/// Where the ids stand in a `contained` without white space between tokens that the server has made, in their order, each with
/// its name and a comma.
pub(super) fn members_of_made_ids(key: &[u8; 16], contained: &[u8]) -> Vec<Range<usize>> {
    let mut members = Vec::new();
    // Most records have none.
    if !contained.is_empty() {
        let text = std::str::from_utf8(contained).unwrap_or_default();
        gather(key, text, text, &mut members);
        members.sort_unstable_by_key(|range| range.start);
    }
    members
}

/// Level by level, for there may be more of them than `serde_json` goes down.
fn gather(key: &[u8; 16], text: &str, contained: &str, members: &mut Vec<Range<usize>>) {
    // There are none where it is of another shape, as imports once let in.
    let slots: BTreeMap<String, Option<Vec<Item<'_>>>> = serde_json::from_str(contained).unwrap_or_default();
    for item in slots.values().flatten().flatten() {
        if let Some(id) = item.id.map(RawValue::get)
            && is_made(key, id.trim_matches('"'))
        {
            members.extend(member(text, range_in(text, id)));
        }
        if let Some(inside) = item.contained {
            gather(key, text, inside.get(), members);
        }
    }
}

/// The member with the value at this place, and the comma that goes with it.
fn member(text: &str, value: Range<usize>) -> Option<Range<usize>> {
    // However its name is spelled, there is no quote in it.
    let start = text[..value.start].strip_suffix("\":")?.rfind('"')?;
    Some(match text[..start].strip_suffix(',') {
        Some(before) => before.len()..value.end,
        None => start..value.end + usize::from(text[value.end..].starts_with(',')),
    })
}

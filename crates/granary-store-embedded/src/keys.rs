//! Keys of the keyspaces. Numbers are big-endian so that keys sort as they count; ids come last or end with a zero
//! byte, which no id holds.

use std::ops::Bound;

use granary_core::decide::{BoundedEnd, Direction, RecordKey};
use granary_core::keys::ResourceId;
use granary_core::ksuid::Ksuid;
use granary_core::operation::{RecordId, TypeNumber};

/// Which queue a task stands in: the lane, or the tasks of writes applied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskClass {
    /// Bulk tasks and purges, in the order of acceptance.
    Lane = 0,
    /// Single writes and bundles.
    AtOnce = 1,
}

/// The place of a task among those of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskPlace {
    pub(crate) source: u32,
    pub(crate) class: TaskClass,
    pub(crate) sequence: u64,
}

impl TaskPlace {
    /// `tasks`: source, class, sequence.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Self::prefix(self.source, self.class);
        key.extend(self.sequence.to_be_bytes());
        key
    }

    /// All tasks of one class.
    pub(crate) fn prefix(source: u32, class: TaskClass) -> Vec<u8> {
        let mut key = source.to_be_bytes().to_vec();
        key.push(class as u8);
        key
    }

    /// The task of a key of `receipts` or `spool`.
    pub(crate) fn of_part(key: &[u8]) -> Option<Self> {
        let (source, rest) = key.split_first_chunk::<4>()?;
        let (class, rest) = rest.split_first()?;
        let class = [TaskClass::Lane, TaskClass::AtOnce]
            .into_iter()
            .find(|known| *known as u8 == *class)?;
        Some(Self {
            source: u32::from_be_bytes(*source),
            class,
            sequence: u64::from_be_bytes(*rest.first_chunk::<8>()?),
        })
    }

    /// `receipts`: the task, then the first operation of the chunk. `spool`: the task, then the number of the part.
    pub(crate) fn part(&self, number: u64) -> Vec<u8> {
        let mut key = self.key();
        key.extend(number.to_be_bytes());
        key
    }
}

/// The parts of a task in `spool`: what of it never changes,
pub(crate) const SPEC_PART: u64 = 0;
/// the operations of a small request with their bodies,
pub(crate) const INLINE_PART: u64 = 1;
/// and where it is a retry, of which task.
pub(crate) const LINEAGE_PART: u64 = 2;

/// `task_ids`: source, id.
pub(crate) fn task_id(source: u32, id: Ksuid) -> Vec<u8> {
    let mut key = source.to_be_bytes().to_vec();
    key.extend(id.as_bytes());
    key
}

/// What `removed` has of a source: tasks of the lane that were removed, in the order of their ids,
const REMOVED: u8 = 0;
/// and those of which something is still to go.
const HALF_REMOVED: u8 = 1;

/// `removed`: the tasks of a source that were removed.
pub(crate) fn all_removed(source: u32) -> Vec<u8> {
    [source.to_be_bytes().as_slice(), &[REMOVED]].concat()
}

/// One of them.
pub(crate) fn removed(source: u32, id: Ksuid) -> Vec<u8> {
    [all_removed(source).as_slice(), id.as_bytes()].concat()
}

/// `removed`: the tasks of the lane of a source of which something is still to go.
pub(crate) fn all_half_removed(source: u32) -> Vec<u8> {
    [source.to_be_bytes().as_slice(), &[HALF_REMOVED]].concat()
}

/// One of them.
pub(crate) fn half_removed(source: u32, sequence: u64) -> Vec<u8> {
    [all_half_removed(source).as_slice(), &sequence.to_be_bytes()].concat()
}

/// The last number of a key of `tasks`, `receipts` or `spool`.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// All records of a type, in `heads` or in `edges` and `edges_in`.
pub(crate) fn of_type(source: u32, number: TypeNumber) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + 2 * ResourceId::LEN_MAX + 1);
    key.extend(source.to_be_bytes());
    key.extend(number.to_be_bytes());
    key
}

/// `heads`: source, type, id.
pub(crate) fn resource(source: u32, number: TypeNumber, id: &ResourceId) -> Vec<u8> {
    let mut key = of_type(source, number);
    key.extend(id.as_bytes());
    key
}

/// `identifiers`: source, type, digest of the triple, id. All that have this triple.
pub(crate) fn identified(source: u32, number: TypeNumber, digest: &[u8; 16]) -> Vec<u8> {
    let mut key = of_type(source, number);
    key.extend(digest);
    key
}

/// One of them.
pub(crate) fn identified_resource(
    source: u32,
    number: TypeNumber,
    digest: &[u8; 16],
    id: &ResourceId,
) -> Vec<u8> {
    let mut key = identified(source, number, digest);
    key.extend(id.as_bytes());
    key
}

/// The id of a resource, from a key of `identifiers`.
pub(crate) fn identified_id(key: &[u8]) -> Option<ResourceId> {
    ResourceId::parse(std::str::from_utf8(key.get(24..)?).ok()?).ok()
}

/// The number of the type in a key that starts with a source and a type.
pub(crate) fn type_number(key: &[u8]) -> Option<TypeNumber> {
    Some(u32::from_be_bytes(*key.get(4..8)?.first_chunk()?))
}

/// All edges of a definition at the resource with this key, as [`edges_at`].
pub(crate) fn edges_of(source: u32, definition: TypeNumber, resource: &[u8]) -> Vec<u8> {
    let mut key = of_type(source, definition);
    key.extend(resource.get(8..).unwrap_or_default());
    key.push(0);
    key
}

/// `edges`: source, definition, from, to. `edges_in` has the same shape with both ends exchanged.
pub(crate) fn edge(source: u32, number: TypeNumber, near: &ResourceId, far: &ResourceId) -> Vec<u8> {
    let mut key = edges_at(source, number, near);
    key.extend(far.as_bytes());
    key
}

/// All edges of a definition that have `near` at the end by which the keyspace is sorted.
pub(crate) fn edges_at(source: u32, number: TypeNumber, near: &ResourceId) -> Vec<u8> {
    let mut key = resource(source, number, near);
    key.push(0);
    key
}

/// The key of a record, in `heads` or `edges` and in `bodies`. Profiles and definitions share one row of numbers, so
/// no two records have the same.
pub(crate) fn record(source: u32, record: &RecordKey<'_>) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    append_record(&mut key, source, record);
    key
}

fn append_record(buffer: &mut Vec<u8>, source: u32, record: &RecordKey<'_>) {
    let (number, near, far) = match *record {
        RecordKey::Resource { number, id } => (number, id, None),
        RecordKey::Relationship { number, from, to } => (number, from, Some(to)),
    };
    buffer.extend(source.to_be_bytes());
    buffer.extend(number.to_be_bytes());
    buffer.extend(near.as_bytes());
    if let Some(far) = far {
        buffer.push(0);
        buffer.extend(far.as_bytes());
    }
}

/// The keys of the records of a plan, in one buffer, and the order they sort in.
pub(crate) struct RecordKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    order: Vec<u32>,
}

impl RecordKeys {
    pub(crate) fn of(source: u32, records: &[RecordKey<'_>]) -> Self {
        let mut keys = Self {
            bytes: Vec::with_capacity(records.len() * 40),
            ends: Vec::with_capacity(records.len()),
            order: Vec::new(),
        };
        for record in records {
            append_record(&mut keys.bytes, source, record);
            keys.ends.push(keys.bytes.len());
        }
        // Nearly all differ in what stands beside their number, so that the keys themselves are seldom looked at.
        let starts = (0_u32..)
            .zip(0..records.len())
            .map(|(at, record)| (start_of(keys.get(record)), at));
        let mut starts: Vec<(u128, u32)> = starts.collect();
        starts.sort_unstable_by(|(a, a_at), (b, b_at)| {
            a.cmp(b)
                .then_with(|| keys.get(*a_at as usize).cmp(keys.get(*b_at as usize)))
        });
        keys.order = starts.into_iter().map(|(_, at)| at).collect();
        keys
    }

    /// The key of the record with this place in the plan.
    pub(crate) fn get(&self, record: usize) -> &[u8] {
        let start = record.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[record]]
    }

    /// The places of all records, in the order of their keys.
    pub(crate) fn in_order(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.order.iter().map(|at| *at as usize)
    }
}

/// What a key says behind its source, as far as a number holds it: sorts as the keys of one source do.
fn start_of(key: &[u8]) -> u128 {
    let mut start = [0; 16];
    let rest = key.get(4..).unwrap_or_default();
    let length = rest.len().min(start.len());
    start[..length].copy_from_slice(&rest[..length]);
    u128::from_be_bytes(start)
}

/// All edges at a bounded end; in `edges` for `From`, in `edges_in` for `To`.
pub(crate) fn bound(source: u32, end: &BoundedEnd<'_>) -> (Direction, Vec<u8>) {
    (end.direction, edges_at(source, end.number, end.id))
}

/// Before the first key behind all that start with `prefix`.
pub(crate) fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX);
    let Some(last) = kept else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

/// `counts`: source, segment.
pub(crate) fn count(source: u32, segment: u32) -> [u8; 8] {
    (u64::from(source) << 32 | u64::from(segment)).to_be_bytes()
}

/// The number of the segment in a key of `counts`.
pub(crate) fn counted_segment(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(4..)?.try_into().ok()?))
}

/// The id of a resource, from a key of `heads`.
pub(crate) fn resource_id(key: &[u8]) -> Option<RecordId> {
    let id = std::str::from_utf8(key.get(8..)?).ok()?;
    Some(RecordId::Resource(ResourceId::parse(id).ok()?))
}

/// Both ids in a key of `edges` (from, to) or `edges_in` (to, from).
pub(crate) fn edge_ends(key: &[u8]) -> Option<(ResourceId, ResourceId)> {
    let ids = std::str::from_utf8(key.get(8..)?).ok()?;
    let (near, far) = ids.split_once('\0')?;
    Some((ResourceId::parse(near).ok()?, ResourceId::parse(far).ok()?))
}

/// The key in `edges_in` of the edge with this key in `edges`.
pub(crate) fn edge_mirror(key: &[u8]) -> Option<Vec<u8>> {
    let (definition, ids) = key.split_at_checked(8)?;
    let middle = ids.iter().position(|byte| *byte == 0)?;
    Some([definition, &ids[middle + 1..], &[0], &ids[..middle]].concat())
}

/// The smallest key after all keys that start with `prefix` and are longer.
pub(crate) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_out_of_keys() {
        let (a, b) = (
            ResourceId::parse("ab").unwrap(),
            ResourceId::parse("c-d").unwrap(),
        );
        assert_eq!(
            resource_id(&resource(1, 2, &a)),
            Some(RecordId::Resource(a.clone()))
        );
        assert_eq!(edge_mirror(&edge(1, 2, &a, &b)), Some(edge(1, 2, &b, &a)));
        assert_eq!(edge_ends(&edge(1, 2, &a, &b)), Some((a, b)));
        assert_eq!(edge_ends(b"short"), None);
        assert_eq!(edge_mirror(b"short"), None);
    }

    #[test]
    fn the_keys_of_a_plan_are_those_of_its_records_and_in_order() {
        let ids: Vec<_> = [
            "bb",
            "bba",
            "a-long-id-with-a-tail",
            "a-long-id-with-a-tale",
            "aa",
            "z-1",
        ]
        .iter()
        .map(|id| ResourceId::parse(id).unwrap())
        .collect();
        let mut records: Vec<_> = ids
            .iter()
            .map(|id| RecordKey::Resource { number: 300, id })
            .collect();
        for (from, to) in ids.iter().zip(ids.iter().rev()) {
            records.push(RecordKey::Relationship { number: 2, from, to });
            records.push(RecordKey::Relationship {
                number: 2,
                from: to,
                to,
            });
        }
        let keys = RecordKeys::of(7, &records);
        for (at, key) in records.iter().enumerate() {
            assert_eq!(keys.get(at), record(7, key));
        }
        let ordered: Vec<_> = keys.in_order().map(|at| keys.get(at).to_vec()).collect();
        let mut sorted: Vec<_> = records.iter().map(|key| record(7, key)).collect();
        sorted.sort();
        assert_eq!(ordered, sorted);
    }

    #[test]
    fn an_id_that_starts_another_has_its_own_edges() {
        let (short, long) = (
            ResourceId::parse("ab").unwrap(),
            ResourceId::parse("ab-c").unwrap(),
        );
        assert!(!edge(1, 2, &long, &short).starts_with(&edges_at(1, 2, &short)));
    }
}

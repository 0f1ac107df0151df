//! What operations do to records (contract, section 6): pure, in order, over an overlay.
//!
//! A chunk is decided in two steps. [`Plan::of`] says which stored heads and edges the decision depends on; a store
//! reads them in one go ([`Current`]); [`Plan::decide`] then folds the operations in order over what was read, so that
//! each sees what the earlier ones did. Single writes, bundles and every store go through the same fold. Pure on
//! purpose: a task resumed after a crash must reach the same decisions.
//!
//! Bodies are not looked at: a decision names the operation whose body a record now has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::error::{ErrorObject, ErrorType};
use crate::keys::ResourceId;
use crate::meta::SentMeta;
use crate::operation::{Action, ContentHash, EdgeEnds, Operation, RecordId, TypeNumber, TypeRef};
use crate::time::Timestamp;

/// The highest version: it is a number of 31 bits in stores. A record that has it keeps it.
pub const VERSION_MAX: u32 = i32::MAX.unsigned_abs();

/// What is known of a stored record without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Starts at 1 and grows with each write that changes the record; starts again after a delete.
    pub version: u32,
    /// A number that no later write to the same record repeats.
    pub stamp: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The hash of its content.
    pub hash: ContentHash,
    /// The hash of its identifiers, where it has any.
    pub identifiers: Option<ContentHash>,
    /// True where a single write or a bundle wrote it last: a purge that was accepted before leaves it alone.
    pub at_once: bool,
}

/// What a caller expects of the record that the first operation of a write is on (`If-Match`, `If-None-Match: *`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It exists.
    Exists,
    /// It does not.
    Absent,
    /// It exists with one of these stamps.
    Stamp(Vec<u64>),
}

impl Guard {
    fn check(&self, id: &RecordId, current: Option<&Head>) -> Result<(), ErrorObject> {
        let (holds, found) = match (self, current) {
            (Self::Absent, None) | (Self::Exists, Some(_)) => (true, ""),
            (Self::Stamp(stamps), Some(head)) if stamps.contains(&head.stamp) => (true, ""),
            (Self::Absent, Some(_)) => (false, "exists"),
            (Self::Exists | Self::Stamp(_), None) => (false, "does not exist"),
            (Self::Stamp(_), Some(_)) => (false, "was changed"),
        };
        if holds {
            return Ok(());
        }
        let message = format!("record with id '{id}' {found}; read it and decide again");
        Err(ErrorObject::failed_precondition(message).with_code(412))
    }
}

/// What a decision reads, or writes: one record of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKey<'a> {
    /// A resource.
    Resource {
        /// The number of its profile.
        number: TypeNumber,
        /// Its id.
        id: &'a ResourceId,
    },
    /// An edge.
    Relationship {
        /// The number of its definition.
        number: TypeNumber,
        /// Where it starts.
        from: &'a ResourceId,
        /// Where it ends.
        to: &'a ResourceId,
    },
}

impl<'a> RecordKey<'a> {
    /// The key of the record with this id and type.
    pub fn of(number: TypeNumber, id: &'a RecordId) -> Self {
        match id {
            RecordId::Resource(id) => Self::Resource { number, id },
            RecordId::Relationship { from, to } => Self::Relationship { number, from, to },
        }
    }
}

/// Which end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// Where edges start.
    From,
    /// Where edges end.
    To,
}

/// A resource at an end of a relationship type where it may have at most one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BoundedEnd<'a> {
    /// The number of the definition.
    pub number: TypeNumber,
    /// At which end the resource stands.
    pub direction: Direction,
    /// The resource.
    pub id: &'a ResourceId,
}

/// What a store has read for a [`Plan`]: the answers stand in the order of the questions.
#[derive(Clone, Debug, Default)]
pub struct Current {
    /// For each of [`Plan::records`] its head, if it is stored.
    pub heads: Vec<Option<Head>>,
    /// For each of [`Plan::bounds`] the other ends of the edges it has, at most as many as were asked for.
    pub neighbours: Vec<Vec<ResourceId>>,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Applied; `unchanged` where an upsert met an equal record.
    Success {
        /// Nothing was written.
        unchanged: bool,
    },
    /// Nothing of it took effect.
    Failure(ErrorObject),
}

/// A record as it stands after a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Which of [`Plan::records`].
    pub record: usize,
    /// Its new head.
    pub head: Head,
    /// Which operation of the chunk holds its body.
    pub operation: usize,
    /// Where its identifiers are.
    pub identifiers: Identified,
}

/// Where the identifiers of a record that a chunk has written are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identified {
    /// Where they were: what is stored stays, if there are any.
    AsStored,
    /// Nowhere: what is stored goes.
    Nowhere,
    /// In the meta of the operation with this index; what is stored goes.
    In(usize),
}

/// A resource that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// Which of [`Plan::records`].
    pub record: usize,
    /// Every edge at it with a smaller stamp is gone.
    pub stamp: u64,
}

/// What a chunk does: to be written in one transaction with its receipts and the cursor.
///
/// A store applies `cascades`, then `deletes`, then `puts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// One for each operation, in order.
    pub verdicts: Vec<Verdict>,
    /// Resources that were deleted: every edge that was stored at either end of them goes.
    pub cascades: Vec<Cascade>,
    /// Records that are gone.
    pub deletes: Vec<usize>,
    /// Records that were written.
    pub puts: Vec<Put>,
    /// The first stamp that this chunk did not use.
    pub stamp_next: u64,
}

impl Decision {
    /// How many operations succeeded.
    pub fn success_count(&self) -> u64 {
        self.verdicts
            .iter()
            .filter(|v| matches!(v, Verdict::Success { .. }))
            .count() as u64
    }

    /// How many operations failed.
    pub fn failure_count(&self) -> u64 {
        self.verdicts.len() as u64 - self.success_count()
    }
}

/// The places in `records` and `bounds` that one operation depends on.
struct Slots {
    record: usize,
    ends: Option<[usize; 2]>,
    bounds: [Option<usize>; 2],
}

/// What a chunk of operations depends on.
pub struct Plan<'a> {
    operations: &'a [Operation],
    types: &'a [TypeRef],
    slots: Vec<Slots>,
    records: Vec<RecordKey<'a>>,
    bounds: Vec<(BoundedEnd<'a>, usize)>,
    at_once: bool,
    guard: Option<&'a Guard>,
    versions: Option<&'a [u32]>,
}

impl<'a> Plan<'a> {
    /// The plan of `operations`, whose `type_index` points into `types`.
    ///
    /// # Panics
    /// Where a `type_index` is out of range or names a type of the other kind: the operations were not checked.
    pub fn of(operations: &'a [Operation], types: &'a [TypeRef]) -> Self {
        let mut plan = Self {
            operations,
            types,
            slots: Vec::with_capacity(operations.len()),
            records: Vec::with_capacity(operations.len()),
            bounds: Vec::new(),
            at_once: false,
            guard: None,
            versions: None,
        };
        let mut record_places = HashMap::with_capacity(operations.len());
        let mut bound_places = HashMap::new();
        for operation in operations {
            let of_type = &types[operation.type_index as usize];
            let mut place = |key| {
                *record_places.entry(key).or_insert_with(|| {
                    plan.records.push(key);
                    plan.records.len() - 1
                })
            };
            let record = place(RecordKey::of(of_type.number, &operation.id));
            let (mut ends, mut bounds) = (None, [None, None]);
            if let RecordId::Relationship { from, to } = &operation.id {
                let edge = edge_of(of_type);
                if operation.action != Action::Delete {
                    ends = Some([
                        place(RecordKey::Resource {
                            number: edge.from.number,
                            id: from,
                        }),
                        place(RecordKey::Resource {
                            number: edge.to.number,
                            id: to,
                        }),
                    ]);
                }
                let at = [(Direction::From, &edge.from, from), (Direction::To, &edge.to, to)];
                for (bound, (direction, end, id)) in bounds.iter_mut().zip(at) {
                    if !end.at_most_one {
                        continue;
                    }
                    let key = BoundedEnd {
                        number: of_type.number,
                        direction,
                        id,
                    };
                    let place = *bound_places.entry(key).or_insert_with(|| {
                        // One more than the operations on edges that touch it: each can take away one at most.
                        plan.bounds.push((key, 1));
                        plan.bounds.len() - 1
                    });
                    plan.bounds[place].1 += 1;
                    *bound = Some(place);
                }
            }
            plan.slots.push(Slots { record, ends, bounds });
        }
        // A deleted resource takes an edge away from whatever bounded end it is at.
        let deleted = |o: &&Operation| o.action == Action::Delete && matches!(o.id, RecordId::Resource(_));
        let deletes_count = operations.iter().filter(deleted).count();
        plan.bounds
            .iter_mut()
            .for_each(|(_, count)| *count += deletes_count);
        plan
    }

    /// The same for a single write or a bundle, with what its caller expects.
    #[must_use]
    pub fn at_once(mut self, guard: Option<&'a Guard>) -> Self {
        self.at_once = true;
        self.guard = guard;
        self
    }

    /// The same, where what the operations write has these versions, one for each: records are put back that were there
    /// before, or elsewhere.
    #[must_use]
    pub fn with_versions(mut self, versions: Option<&'a [u32]>) -> Self {
        self.versions = versions;
        self
    }

    /// The records whose heads must be read; all that the chunk can change is among them, but for cascades.
    pub fn records(&self) -> &[RecordKey<'a>] {
        &self.records
    }

    /// Which of [`Plan::records`] the operation with this index is on.
    pub fn record_of(&self, operation: usize) -> usize {
        self.slots[operation].record
    }

    /// The ends whose edges must be read, each with how many of them suffice.
    pub fn bounds(&self) -> impl ExactSizeIterator<Item = (BoundedEnd<'a>, usize)> + '_ {
        self.bounds.iter().copied()
    }

    /// Folds the operations in order over what is stored. `now` is the time of the chunk and `stamp_next` the first
    /// stamp that was never used in this source.
    ///
    /// # Panics
    /// Where `current` does not answer this plan, or it has other versions than operations.
    pub fn decide(&self, current: Current, now: Timestamp, stamp_next: u64) -> Decision {
        assert_eq!(
            current.heads.len(),
            self.records.len(),
            "a head for each record of the plan"
        );
        assert_eq!(
            current.neighbours.len(),
            self.bounds.len(),
            "edges for each bound of the plan"
        );
        let mut overlay = Overlay::new(self, current, stamp_next);
        let verdicts = (0..self.operations.len())
            .map(|index| overlay.fold(index, now))
            .collect();
        overlay.finish(verdicts)
    }
}

fn edge_of(of_type: &TypeRef) -> &EdgeEnds {
    of_type
        .edge
        .as_ref()
        .expect("an operation on an edge is of a relationship type")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// As it was read.
    Stored,
    /// As the operation with this index left it.
    Operation(usize),
}

struct Overlay<'p, 'a> {
    plan: &'p Plan<'a>,
    heads: Vec<Option<Head>>,
    sources: Vec<Source>,
    identified: Vec<Identified>,
    neighbours: Vec<BTreeSet<ResourceId>>,
    /// Places of edges in `records`; empty for the chunks of most tasks.
    edges: Vec<usize>,
    cascades: BTreeMap<usize, u64>,
    stamp_next: u64,
}

impl<'p, 'a> Overlay<'p, 'a> {
    fn new(plan: &'p Plan<'a>, current: Current, stamp_next: u64) -> Self {
        let is_edge = |place: &usize| matches!(plan.records[*place], RecordKey::Relationship { .. });
        Self {
            plan,
            sources: vec![Source::Stored; current.heads.len()],
            identified: vec![Identified::AsStored; current.heads.len()],
            heads: current.heads,
            neighbours: current.neighbours.into_iter().map(BTreeSet::from_iter).collect(),
            edges: (0..plan.records.len()).filter(is_edge).collect(),
            cascades: BTreeMap::new(),
            stamp_next,
        }
    }

    fn fold(&mut self, index: usize, now: Timestamp) -> Verdict {
        match self.apply(index, now) {
            Ok(unchanged) => Verdict::Success { unchanged },
            Err(error) => Verdict::Failure(error),
        }
    }

    /// Applies one operation to the overlay; true where nothing had to change.
    fn apply(&mut self, index: usize, now: Timestamp) -> Result<bool, ErrorObject> {
        let operation = &self.plan.operations[index];
        let slots = &self.plan.slots[index];
        let current = self.heads[slots.record];
        if let (Some(guard), 0) = (self.plan.guard, index) {
            guard.check(&operation.id, current.as_ref())?;
        }
        let hash = match (operation.action, operation.hash) {
            (Action::Delete, _) => {
                if current.is_none() {
                    let message = format!("record with id '{}' does not exist", operation.id);
                    return Err(ErrorObject::not_found(message));
                }
                self.delete(index);
                return Ok(false);
            }
            (_, Some(hash)) => hash,
            (_, None) => panic!("a create or an upsert carries the hash of its content"),
        };
        if operation.action == Action::Create && current.is_some() {
            let message = format!("record with id '{}' already exists", operation.id);
            return Err(ErrorObject::new(ErrorType::AlreadyExists, message));
        }
        self.check_ends(index)?;
        let meta = operation.meta.as_deref();
        let identifiers = meta.and_then(|meta| meta.identifiers.as_ref());
        let sent_time = |of: fn(&SentMeta) -> Option<Timestamp>| meta.and_then(of);
        let (created_at, updated_at) = (
            sent_time(|meta| meta.created_at),
            sent_time(|meta| meta.updated_at),
        );
        let equal = |head: &Head| {
            head.hash == hash
                && created_at.is_none_or(|at| at == head.created_at)
                && updated_at.is_none_or(|at| at == head.updated_at)
                && identifiers.is_none_or(|sent| sent.hash == head.identifiers)
        };
        if current.as_ref().is_some_and(equal) {
            return Ok(true);
        }
        let created_at = created_at.or(current.map(|head| head.created_at)).unwrap_or(now);
        // A clock that was set back does not take a record back in time.
        let written_at = current
            .map_or(now, |head| now.max(head.updated_at))
            .max(created_at);
        let head = Head {
            version: match self.plan.versions {
                Some(versions) => versions[index],
                None => current.map_or(1, |head| VERSION_MAX.min(head.version + 1)),
            },
            stamp: self.stamp_next,
            created_at,
            updated_at: updated_at.unwrap_or(written_at),
            hash,
            identifiers: match identifiers {
                Some(sent) => sent.hash,
                None => current.and_then(|head| head.identifiers),
            },
            at_once: self.plan.at_once,
        };
        if identifiers.is_some() {
            self.identified[slots.record] = match head.identifiers {
                Some(_) => Identified::In(index),
                None => Identified::Nowhere,
            };
        }
        self.stamp_next += 1;
        self.heads[slots.record] = Some(head);
        self.sources[slots.record] = Source::Operation(index);
        if let RecordId::Relationship { from, to } = &operation.id {
            for (bound, other) in slots.bounds.into_iter().zip([to, from]) {
                if let Some(bound) = bound {
                    self.neighbours[bound].insert(other.clone());
                }
            }
        }
        Ok(false)
    }

    /// Both ends of an edge must exist, and have room for it.
    fn check_ends(&self, index: usize) -> Result<(), ErrorObject> {
        let operation = &self.plan.operations[index];
        let slots = &self.plan.slots[index];
        let (Some(places), RecordId::Relationship { from, to }) = (slots.ends, &operation.id) else {
            return Ok(());
        };
        let of_type = &self.plan.types[operation.type_index as usize];
        let edge = edge_of(of_type);
        let ends = [("from", &edge.from, from), ("to", &edge.to, to)];
        for (place, (name, end, id)) in places.into_iter().zip(ends) {
            if self.heads[place].is_none() {
                let message = format!(
                    "{name}: resource of type '{}' with id '{id}' does not exist",
                    end.profile
                );
                return Err(ErrorObject::not_found(message));
            }
        }
        // A bound is enforced where an edge is created; one that is stored may be replaced past it.
        if self.heads[slots.record].is_some() {
            return Ok(());
        }
        for ((bound, (name, end, id)), other) in slots.bounds.into_iter().zip(ends).zip([to, from]) {
            let taken = |bound: usize| {
                self.neighbours[bound]
                    .iter()
                    .find(|neighbour| *neighbour != other)
            };
            if let Some(neighbour) = bound.and_then(taken) {
                let message = format!(
                    "{name}: resource of type '{}' with id '{id}' has its one edge of type '{}' already, \
                     with '{neighbour}'; delete that edge first",
                    end.profile, of_type.key
                );
                return Err(ErrorObject::failed_precondition(message));
            }
        }
        Ok(())
    }

    fn delete(&mut self, index: usize) {
        let slots = &self.plan.slots[index];
        self.forget(slots.record, index);
        match &self.plan.operations[index].id {
            RecordId::Relationship { from, to } => {
                for (bound, other) in slots.bounds.into_iter().zip([to, from]) {
                    if let Some(bound) = bound {
                        self.neighbours[bound].remove(other);
                    }
                }
            }
            RecordId::Resource(_) => self.cascade(index),
        }
    }

    /// The record is gone, by the operation with this index.
    fn forget(&mut self, record: usize, index: usize) {
        self.heads[record] = None;
        self.sources[record] = Source::Operation(index);
        self.identified[record] = Identified::Nowhere;
    }

    /// The edges of a deleted resource go with it: those of the overlay here, the stored ones by the store.
    fn cascade(&mut self, index: usize) {
        let place = self.plan.slots[index].record;
        self.cascades.insert(place, self.stamp_next);
        let RecordKey::Resource { number, id } = self.plan.records[place] else {
            return;
        };
        let ends_of = |definition: TypeNumber| {
            self.plan
                .types
                .iter()
                .filter(move |t| t.number == definition)
                .find_map(|t| t.edge.as_ref())
        };
        for at in 0..self.edges.len() {
            let edge = self.edges[at];
            let RecordKey::Relationship {
                number: definition,
                from,
                to,
            } = self.plan.records[edge]
            else {
                continue;
            };
            let touches = ends_of(definition).is_some_and(|ends| {
                (ends.from.number == number && from == id) || (ends.to.number == number && to == id)
            });
            if touches {
                self.forget(edge, index);
            }
        }
        for ((bound, _), neighbours) in self.plan.bounds.iter().zip(&mut self.neighbours) {
            let Some(ends) = ends_of(bound.number) else {
                continue;
            };
            let (own, other) = match bound.direction {
                Direction::From => (&ends.from, &ends.to),
                Direction::To => (&ends.to, &ends.from),
            };
            if own.number == number && bound.id == id {
                neighbours.clear();
            } else if other.number == number {
                neighbours.remove(id);
            }
        }
    }

    fn finish(self, verdicts: Vec<Verdict>) -> Decision {
        let mut decision = Decision {
            verdicts,
            cascades: self
                .cascades
                .into_iter()
                .map(|(record, stamp)| Cascade { record, stamp })
                .collect(),
            stamp_next: self.stamp_next,
            ..Decision::default()
        };
        for (record, (head, source)) in self.heads.into_iter().zip(self.sources).enumerate() {
            match (head, source) {
                (_, Source::Stored) => {}
                (Some(head), Source::Operation(operation)) => {
                    decision.puts.push(Put {
                        record,
                        head,
                        operation,
                        identifiers: self.identified[record],
                    });
                }
                (None, Source::Operation(_)) => decision.deletes.push(record),
            }
        }
        decision
    }
}

#[cfg(test)]
mod tests;

//! Records: heads and edges, their bodies, identifiers, both directions of edges, and what is counted of segments.

use std::collections::BTreeMap;

use fjall::Keyspace;
use granary_core::decide::RecordKey;
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_store::{CheckReport, Result, StoreError};

use super::{Checking, Source};
use crate::engine;
use crate::keys;
use crate::marks::Marks;
use crate::rows::{self, CountRow, HeadRow, IdentifiersRow, MarkRow, Place};
use crate::segment::{Segment, body_at};

/// Bodies in segments that are looked at together, in the order of their places: some 60 MB.
const PLACES_MAX: usize = 500_000;

/// A body in a segment that a head points to.
struct Pointed {
    /// Segment, block, offset.
    place: (u32, u32, u32),
    hash: [u8; 16],
    key: Box<[u8]>,
}

/// What was seen of a source so far.
#[derive(Default)]
struct Seen {
    pointed: Vec<Pointed>,
    /// Heads that point into each segment.
    counted: BTreeMap<u32, u64>,
}

impl Checking<'_> {
    pub(super) fn records(&mut self, source: &Source) {
        let keyspaces = self.keyspaces;
        let prefix = source.number.to_be_bytes();
        let mut marks = Marks::default();
        self.walk("marks", &keyspaces.marks, &prefix, |_, key, value| {
            marks.insert(key.to_vec(), rows::decode::<MarkRow>(value, "marks")?);
            Ok(())
        });
        let mut seen = Seen::default();
        for (name, keyspace) in [("heads", &keyspaces.heads), ("edges", &keyspaces.edges)] {
            self.walk(name, keyspace, &prefix, |checking, key, value| {
                checking.head(source, &marks, key, value, &mut seen)
            });
        }
        self.bodies_in_segments(source, &mut seen.pointed);
        self.walk("edges_in", &keyspaces.edges_in, &prefix, |checking, key, _| {
            checking.report.looked_at("edges by their end", 1);
            let edge = keys::edge_mirror(key).ok_or_else(bad_key)?;
            match keyspaces.edges.contains_key(edge).map_err(engine)? {
                true => Ok(()),
                false => Err(disagrees("names an edge that is not in edges")),
            }
        });
        self.walk(
            "bodies",
            &keyspaces.bodies,
            &prefix,
            |checking, key, _| match checking.head_at(source, key)?.map(|head| head.place) {
                Some(Place::Bodies) => Ok(()),
                _ => Err(disagrees("is a body that no record points to")),
            },
        );
        self.walk(
            "meta",
            &keyspaces.meta,
            &prefix,
            |checking, key, _| match checking.head_at(source, key)?.and_then(|head| head.identifiers) {
                Some(_) => Ok(()),
                None => Err(disagrees("has identifiers of a record that has none")),
            },
        );
        self.walk(
            "identifiers",
            &keyspaces.identifiers,
            &prefix,
            |checking, key, value| {
                checking.report.looked_at("identifiers", 1);
                let number = keys::type_number(key).ok_or_else(bad_key)?;
                let id = keys::identified_id(key).ok_or_else(bad_key)?;
                let row = keyspaces
                    .meta
                    .get(keys::resource(source.number, number, &id))
                    .map_err(engine)?;
                let row: Option<IdentifiersRow> = row.map(|row| rows::decode(&row, "meta")).transpose()?;
                let has_it = |row: IdentifiersRow| {
                    row.triples
                        .iter()
                        .any(|triple| triple.to_string().as_bytes() == value)
                };
                match row.is_some_and(has_it) {
                    true => Ok(()),
                    false => Err(disagrees("finds a record that does not have this identifier")),
                }
            },
        );
        self.walk("counts", &keyspaces.counts, &prefix, |checking, key, value| {
            let segment = keys::counted_segment(key).ok_or_else(bad_key)?;
            let row: CountRow = rows::decode(value, "counts")?;
            let live = seen.counted.get(&segment).copied().unwrap_or_default();
            if row.live != live {
                let what = format!(
                    "source '{}': segment {segment} is counted with {} bodies that records point to, and has {live}",
                    source.key, row.live
                );
                checking.report.found(what, CheckReport::HARMLESS);
            }
            Ok(())
        });
    }

    /// The head of the record with this key, whatever its kind.
    fn head_at(&self, source: &Source, key: &[u8]) -> Result<Option<HeadRow>> {
        let number = keys::type_number(key).ok_or_else(bad_key)?;
        let of_type = source.types.get(&number).map(TypeRef::target_type);
        let row = self.keyspace_of(of_type).get(key).map_err(engine)?;
        row.map(|row| rows::decode(&row, "heads")).transpose()
    }

    fn keyspace_of(&self, target: Option<TargetType>) -> &Keyspace {
        match target {
            Some(TargetType::Relationship) => &self.keyspaces.edges,
            _ => &self.keyspaces.heads,
        }
    }

    /// One head, with all that belongs to it but a body in a segment.
    fn head(
        &mut self,
        source: &Source,
        marks: &Marks,
        key: &[u8],
        value: &[u8],
        seen: &mut Seen,
    ) -> Result<()> {
        let number = keys::type_number(key).ok_or_else(bad_key)?;
        let row: HeadRow = rows::decode(value, "heads")?;
        let of_type = source.types.get(&number);
        let of_type = of_type.ok_or_else(|| disagrees("is of a type that is not defined"))?;
        let id = match of_type.target_type() {
            TargetType::Resource => keys::resource_id(key).ok_or_else(bad_key)?,
            TargetType::Relationship => {
                let (from, to) = keys::edge_ends(key).ok_or_else(bad_key)?;
                RecordId::Relationship { from, to }
            }
        };
        let what = match of_type.target_type() {
            TargetType::Resource => "resources",
            TargetType::Relationship => "relationships",
        };
        self.report.looked_at(what, 1);
        let head = row.head();
        match row.place {
            Place::Nowhere => {
                if !(self.rules.body_fits)(&self.hash_key, &[], &head.hash) {
                    self.wrong_body(source, key, "is missing");
                }
            }
            Place::Bodies => {
                let body = self.keyspaces.bodies.get(key).map_err(engine)?;
                match body {
                    Some(body) if (self.rules.body_fits)(&self.hash_key, &body, &head.hash) => {}
                    Some(_) => self.wrong_body(source, key, "is not the one that was written"),
                    None => self.wrong_body(source, key, "is missing in bodies"),
                }
            }
            Place::Segment {
                segment,
                block,
                offset,
            } => {
                *seen.counted.entry(segment).or_default() += 1;
                seen.pointed.push(Pointed {
                    place: (segment, block, offset),
                    hash: head.hash.0,
                    key: key.into(),
                });
                if seen.pointed.len() >= PLACES_MAX {
                    self.bodies_in_segments(source, &mut seen.pointed);
                }
            }
        }
        if head.identifiers.is_some() {
            self.identifiers_of(source, key, &id)?;
        }
        if let RecordId::Relationship { from, to } = &id {
            let mirror = keys::edge_mirror(key).ok_or_else(bad_key)?;
            if !self.keyspaces.edges_in.contains_key(mirror).map_err(engine)? {
                return Err(disagrees("is an edge that is not in edges_in"));
            }
            let types = std::slice::from_ref(of_type);
            let hidden = marks.hide_edge(source.number, types, &RecordKey::of(number, &id), row.stamp);
            let Some(ends) = of_type.edge.as_ref().filter(|_| !hidden) else {
                return Ok(());
            };
            for (end, id) in [(&ends.from, from), (&ends.to, to)] {
                let resource = keys::resource(source.number, end.number, id);
                if !self.keyspaces.heads.contains_key(resource).map_err(engine)? {
                    return Err(disagrees(&format!(
                        "is an edge without its end, '{}' '{id}'",
                        end.profile
                    )));
                }
            }
        }
        Ok(())
    }

    /// Each identifier of a record finds it.
    fn identifiers_of(&mut self, source: &Source, key: &[u8], id: &RecordId) -> Result<()> {
        let row = self.keyspaces.meta.get(key).map_err(engine)?;
        let row = row.ok_or_else(|| disagrees("has identifiers that are not in meta"))?;
        let row: IdentifiersRow = rows::decode(&row, "meta")?;
        let RecordId::Resource(id) = id else { return Ok(()) };
        let number = keys::type_number(key).ok_or_else(bad_key)?;
        for triple in &row.triples {
            let digest = triple.digest(&self.hash_key);
            let index = keys::identified_resource(source.number, number, &digest, id);
            let found = self.keyspaces.identifiers.get(index).map_err(engine)?;
            if found.is_none_or(|found| *found != *triple.to_string().as_bytes()) {
                return Err(disagrees("is not found by one of its identifiers"));
            }
        }
        Ok(())
    }

    /// The bodies that heads point to are at their places, and those that were written.
    fn bodies_in_segments(&mut self, source: &Source, pointed: &mut Vec<Pointed>) {
        pointed.sort_unstable_by_key(|pointed| pointed.place);
        let mut open: Option<(u32, Segment)> = None;
        let same_block =
            |one: &Pointed, other: &Pointed| (one.place.0, one.place.1) == (other.place.0, other.place.1);
        for of_block in pointed.chunk_by(same_block) {
            let (number, block, _) = of_block[0].place;
            if open.as_ref().is_none_or(|(open, _)| *open != number) {
                open = Some((number, Segment::open(&self.folder.segments, number)));
            }
            let Some((_, segment)) = &open else { continue };
            let bytes = segment.bodies(block);
            for pointed in of_block {
                let hash = granary_core::operation::ContentHash(pointed.hash);
                match bytes.as_ref().map(|bytes| body_at(bytes, pointed.place.2)) {
                    Ok(Some(body)) if (self.rules.body_fits)(&self.hash_key, body, &hash) => {}
                    Ok(Some(_)) => self.wrong_body(source, &pointed.key, "is not the one that was written"),
                    Ok(None) | Err(_) => {
                        let why = format!("cannot be read in segment {number}");
                        self.wrong_body(source, &pointed.key, &why);
                    }
                }
            }
        }
        pointed.clear();
    }

    fn wrong_body(&mut self, source: &Source, key: &[u8], why: &str) {
        let number = keys::type_number(key).unwrap_or_default();
        let of_type = source
            .types
            .get(&number)
            .map_or("?", |of_type| of_type.key.as_str());
        let id = super::shown(key.get(8..).unwrap_or_default()).replace("\\x00", ".");
        let what = format!("source '{}': the body of '{of_type}' '{id}' {why}", source.key);
        self.report.found(what, CheckReport::WRITE_AGAIN);
    }
}

fn disagrees(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

fn bad_key() -> StoreError {
    disagrees("is no key")
}

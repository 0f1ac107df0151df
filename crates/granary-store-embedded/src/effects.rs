//! What a decision writes: heads, bodies, identifiers, edges in both directions, and what goes with a deleted resource.

use std::collections::BTreeMap;

use fjall::OwnedWriteBatch;
use granary_core::decide::{Cascade, Decision, Identified, Plan, Put, RecordKey};
use granary_core::keys::ResourceId;
use granary_core::meta::{Identifiers, SentMeta};
use granary_core::operation::{Operation, TypeNumber, TypeRef};
use granary_store::{CheckedBatch, Result, StoreError};

use crate::counts::Deltas;
use crate::keys::{self, RecordKeys};
use crate::marks::Marks;
use crate::redo::Run;
use crate::rows::{self, HeadBytes, HeadRow, IdentifiersRow, MarkRow, Place};
use crate::runs::Of;
use crate::{Inner, Keyspaces, engine};

/// Edges that the deletes of a single write or a bundle remove with their ends.
pub(crate) const CASCADE_MAX: usize = 4_096;

/// Operations that are decided together, and where their bodies are.
pub(crate) enum Chunk {
    /// In segments, where they stay: a place for each operation.
    Placed(Vec<Operation>, Vec<Place>),
    /// At hand, to be put into `bodies`.
    Held(CheckedBatch),
}

impl Chunk {
    pub(crate) fn operations(&self) -> &[Operation] {
        match self {
            Self::Placed(operations, _) => operations,
            Self::Held(batch) => &batch.operations,
        }
    }

    /// What the operation with this index says of identifiers.
    pub(crate) fn identifiers(&self, operation: usize) -> Option<&Identifiers> {
        let meta: Option<&SentMeta> = self.operations()[operation].meta.as_deref();
        meta.and_then(|meta| meta.identifiers.as_ref())
    }
}

/// What a chunk is decided on and written to.
pub(crate) struct Ground<'a> {
    pub(crate) source: u32,
    pub(crate) edge_types: &'a [TypeRef],
    pub(crate) marks: &'a Marks,
    /// The purge of the lane that the chunk is of.
    pub(crate) purge: Option<u64>,
    /// Edges that its deletes remove with their ends; a resource with more than are left of it is marked.
    pub(crate) cascade_max: usize,
}

impl Ground<'_> {
    /// True where a mark hides an edge with this stamp; nothing hides a resource.
    pub(crate) fn hides(&self, key: &RecordKey<'_>, stamp: u64) -> bool {
        self.marks.hide_edge(self.source, self.edge_types, key, stamp)
    }
}

/// What was read for a plan.
pub(crate) struct Read<'p, 'a> {
    pub(crate) plan: &'p Plan<'a>,
    /// The keys of its records.
    pub(crate) keys: RecordKeys,
    /// Their rows, those that marks hide included.
    pub(crate) stored: Vec<Option<HeadRow>>,
}

/// What becomes of a record: it is written, or removed.
type Decided<'d> = Option<&'d Put>;

/// What a batch does not hold yet, and what went beside the records that the chunk names.
#[derive(Default)]
pub(crate) struct Effects {
    /// The heads of resources, to go with the batch.
    pub(crate) heads: Run,
    /// What it changes of the counts of segments.
    pub(crate) counts: Deltas,
    /// The edges, to go with the batch.
    pub(crate) edges: Run,
    /// Edges that were removed with their ends.
    pub(crate) relationships: u64,
    /// Resources whose edges are still to be removed.
    pub(crate) marks: Vec<(Vec<u8>, MarkRow)>,
}

/// Rows that a batch writes, `None` where it removes them. A batch must not both remove and put one key.
#[derive(Default)]
struct Rows<'a> {
    edges: BTreeMap<Vec<u8>, Option<HeadRow>>,
    bodies: BTreeMap<Vec<u8>, Option<&'a [u8]>>,
    meta: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    identifiers: BTreeMap<Vec<u8>, Option<String>>,
}

impl Effects {
    /// Adds heads and edges to the batch.
    pub(crate) fn append_to(&self, batch: &mut OwnedWriteBatch, keyspaces: &Keyspaces) -> Result<()> {
        self.heads.append_to(batch, keyspaces, Of::Heads)?;
        self.edges.append_to(batch, keyspaces, Of::Edges)
    }
}

/// Edges in the order of their keys.
fn edges(rows: &BTreeMap<Vec<u8>, Option<HeadRow>>) -> Run {
    let mut edges = Run::default();
    for (key, row) in rows {
        match row {
            Some(row) => edges.push(key, Some(&HeadBytes::of(row))),
            None => edges.push(key, None),
        }
    }
    edges
}

impl Inner {
    /// Adds what was decided to the batch, but for the heads of resources and the edges.
    pub(crate) fn write_effects(
        &self,
        batch: &mut OwnedWriteBatch,
        ground: &Ground<'_>,
        read: &Read<'_, '_>,
        decision: &Decision,
        chunk: &Chunk,
    ) -> Result<Effects> {
        let (mut rows, mut effects) = (Rows::default(), Effects::default());
        for cascade in &decision.cascades {
            if let RecordKey::Resource { number, id } = read.plan.records()[cascade.record] {
                self.cascade(ground, number, id, cascade, &mut rows, &mut effects)?;
            }
        }
        // In the order of their keys, so that each goes into the tree beside the one before.
        let mut decided: Vec<Option<Decided<'_>>> = vec![None; read.stored.len()];
        decision
            .deletes
            .iter()
            .for_each(|record| decided[*record] = Some(None));
        decision
            .puts
            .iter()
            .for_each(|put| decided[put.record] = Some(Some(put)));
        for record in read.keys.in_order() {
            match decided[record] {
                Some(Some(put)) => self.put(ground, read, put, chunk, &mut rows, &mut effects)?,
                Some(None) => self.delete(ground, read, record, &mut rows, &mut effects)?,
                None => {}
            }
        }
        effects.edges = edges(&rows.edges);
        self.write_rows(batch, rows);
        for (resource, mark) in &effects.marks {
            batch.insert(&self.keyspaces.marks, resource.as_slice(), rows::encode(mark));
        }
        Ok(effects)
    }

    /// Removes a record.
    fn delete(
        &self,
        ground: &Ground<'_>,
        read: &Read<'_, '_>,
        record: usize,
        rows: &mut Rows<'_>,
        effects: &mut Effects,
    ) -> Result<()> {
        let Some(old) = &read.stored[record] else {
            return Ok(());
        };
        let key = read.keys.get(record);
        // An edge may have gone with one of its ends, and is counted then.
        let gone = match &read.plan.records()[record] {
            RecordKey::Resource { .. } => {
                effects.heads.push(key, None);
                false
            }
            RecordKey::Relationship { .. } => rows.edges.insert(key.to_vec(), None).is_some(),
        };
        if !gone {
            effects.counts.pointed_to(old.place);
        }
        if old.place == Place::Bodies {
            rows.bodies.insert(key.to_vec(), None);
        }
        if old.identifiers.is_some() {
            self.unidentify(ground.source, &read.plan.records()[record], rows)?;
        }
        Ok(())
    }

    /// Writes a record as it is now.
    fn put<'a>(
        &self,
        ground: &Ground<'_>,
        read: &Read<'_, '_>,
        put: &Put,
        chunk: &'a Chunk,
        rows: &mut Rows<'a>,
        effects: &mut Effects,
    ) -> Result<()> {
        let (record, key) = (&read.plan.records()[put.record], read.keys.get(put.record));
        let old = &read.stored[put.record];
        let place = match chunk {
            Chunk::Placed(_, places) => places[put.operation],
            Chunk::Held(held) if held.body(put.operation).is_empty() => Place::Nowhere,
            Chunk::Held(held) => {
                rows.bodies.insert(key.to_vec(), Some(held.body(put.operation)));
                Place::Bodies
            }
        };
        if place != Place::Bodies && old.is_some_and(|old| old.place == Place::Bodies) {
            rows.bodies.insert(key.to_vec(), None);
        }
        let stay = put.identifiers == Identified::AsStored && put.head.identifiers.is_some();
        if !stay && old.is_some_and(|old| old.identifiers.is_some()) {
            self.unidentify(ground.source, record, rows)?;
        }
        if let Identified::In(operation) = put.identifiers
            && let Some(sent) = chunk.identifiers(operation)
        {
            self.identify(ground.source, record, sent, rows);
        }
        let row = HeadRow::new(&put.head, place);
        let gone = match record {
            RecordKey::Resource { .. } => {
                effects.heads.push(key, Some(&HeadBytes::of(&row)));
                false
            }
            RecordKey::Relationship { .. } => rows.edges.insert(key.to_vec(), Some(row)).is_some(),
        };
        effects.counts.points_to(place);
        if let Some(old) = old.filter(|_| !gone) {
            effects.counts.pointed_to(old.place);
        }
        Ok(())
    }

    fn write_rows(&self, batch: &mut OwnedWriteBatch, rows: Rows<'_>) {
        let keyspaces = &self.keyspaces;
        for (key, body) in rows.bodies {
            match body {
                Some(body) => batch.insert(&keyspaces.bodies, key, body),
                None => batch.remove(&keyspaces.bodies, key),
            }
        }
        for (key, row) in rows.meta {
            match row {
                Some(row) => batch.insert(&keyspaces.meta, key, row),
                None => batch.remove(&keyspaces.meta, key),
            }
        }
        for (key, triple) in rows.identifiers {
            match triple {
                Some(triple) => batch.insert(&keyspaces.identifiers, key, triple),
                None => batch.remove(&keyspaces.identifiers, key),
            }
        }
    }

    /// Takes the identifiers of a record away that are stored.
    fn unidentify(&self, source: u32, record: &RecordKey<'_>, rows: &mut Rows<'_>) -> Result<()> {
        let key = keys::record(source, record);
        let row = self.keyspaces.meta.get(&key).map_err(engine)?;
        let row = row.ok_or_else(|| StoreError::Damaged("the identifiers of a record are missing".into()))?;
        let row: IdentifiersRow = rows::decode(&row, "meta")?;
        if let RecordKey::Resource { number, id } = record {
            for triple in &row.triples {
                let digest = triple.digest(&self.hash_key);
                rows.identifiers
                    .insert(keys::identified_resource(source, *number, &digest, id), None);
            }
        }
        rows.meta.insert(key, None);
        Ok(())
    }

    fn identify(&self, source: u32, record: &RecordKey<'_>, sent: &Identifiers, rows: &mut Rows<'_>) {
        if let RecordKey::Resource { number, id } = record {
            for triple in &sent.triples {
                let digest = triple.digest(&self.hash_key);
                let key = keys::identified_resource(source, *number, &digest, id);
                rows.identifiers.insert(key, Some(triple.to_string()));
            }
        }
        let row = IdentifiersRow {
            json: sent.json.clone(),
            triples: sent.triples.clone(),
        };
        rows.meta
            .insert(keys::record(source, record), Some(rows::encode(&row)));
    }

    /// Removes the stored edges of a deleted resource, or marks it where they are too many for this chunk.
    fn cascade(
        &self,
        ground: &Ground<'_>,
        number: TypeNumber,
        id: &ResourceId,
        cascade: &Cascade,
        rows: &mut Rows<'_>,
        effects: &mut Effects,
    ) -> Result<()> {
        let resource = keys::resource(ground.source, number, id);
        let older = ground.marks.of(&resource);
        let mark = MarkRow {
            stamp: cascade.stamp,
            // A purge that marked it before counts what is still there.
            purge: ground.purge.or(older.and_then(|older| older.purge)),
        };
        // Behind an older mark there may be any number of edges that are gone.
        if older.is_some() {
            effects.marks.push((resource, mark));
            return Ok(());
        }
        let most = ground.cascade_max.saturating_sub(effects.relationships as usize);
        let mut gone = BTreeMap::new();
        let mut looked_at = 0;
        for of_type in ground.edge_types {
            let Some(ends) = &of_type.edge else { continue };
            let prefix = keys::edges_at(ground.source, of_type.number, id);
            for inward in [false, true] {
                let end = if inward { &ends.to } else { &ends.from };
                if end.number != number {
                    continue;
                }
                let keyspace = if inward {
                    &self.keyspaces.edges_in
                } else {
                    &self.keyspaces.edges
                };
                for row in keyspace.prefix(&prefix) {
                    if looked_at == most {
                        effects.marks.push((resource, mark));
                        return Ok(());
                    }
                    looked_at += 1;
                    let (near, far) = edge_ends(&row.key().map_err(engine)?)?;
                    let (from, to) = if inward { (far, near) } else { (near, far) };
                    let key = keys::edge(ground.source, of_type.number, &from, &to);
                    let row = self.keyspaces.edges.get(&key).map_err(engine)?;
                    let row = row.ok_or_else(|| {
                        StoreError::Damaged("edges_in names an edge that is not in edges".into())
                    })?;
                    let row: HeadRow = rows::decode(&row, "edges")?;
                    if !ground.marks.hide(ground.source, ends, &from, &to, row.stamp) {
                        gone.insert(key, row);
                    }
                }
            }
        }
        for (key, row) in gone {
            if row.place == Place::Bodies {
                rows.bodies.insert(key.clone(), None);
            }
            if row.identifiers.is_some() {
                rows.meta.insert(key.clone(), None);
            }
            // Between two resources of one chunk it goes once.
            if rows.edges.insert(key, None).is_none() {
                effects.relationships += 1;
                effects.counts.pointed_to(row.place);
            }
        }
        Ok(())
    }
}

pub(crate) fn edge_ends(key: &[u8]) -> Result<(ResourceId, ResourceId)> {
    keys::edge_ends(key).ok_or_else(|| StoreError::Damaged("a key of edges".into()))
}

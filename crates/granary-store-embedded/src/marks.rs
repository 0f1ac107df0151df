//! Cascade marks: a resource with more edges than one chunk may remove is deleted with a mark in their place. From then
//! on an edge older than the mark of one of its ends exists for no reader, count or decision; the lane removes such
//! edges in chunks, before anything else it does, and then the mark. So marks are few.

use std::collections::BTreeMap;

use fjall::{Readable, Snapshot};
use granary_core::decide::RecordKey;
use granary_core::keys::ResourceId;
use granary_core::operation::{EdgeEnds, TypeRef};
use granary_core::time::Timestamp;
use granary_store::{Result, Step, StoreError, TaskProgress};

use crate::catalog::{SourceState, Writer};
use crate::counts::Deltas;
use crate::effects::edge_ends;
use crate::keys;
use crate::rows::{self, HeadRow, MarkRow, Place};
use crate::{Inner, engine};

/// The marks of a source at one moment, by the keys of the resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(BTreeMap<Vec<u8>, MarkRow>);

impl Marks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, resource: &[u8]) -> Option<&MarkRow> {
        self.0.get(resource)
    }

    pub(crate) fn insert(&mut self, resource: Vec<u8>, mark: MarkRow) {
        self.0.insert(resource, mark);
    }

    /// True where an edge with this stamp went with one of its ends.
    pub(crate) fn hide(
        &self,
        source: u32,
        ends: &EdgeEnds,
        from: &ResourceId,
        to: &ResourceId,
        stamp: u64,
    ) -> bool {
        let is_older = |number, id| {
            let mark = self.0.get(&keys::resource(source, number, id));
            mark.is_some_and(|mark| stamp < mark.stamp)
        };
        !self.0.is_empty() && (is_older(ends.from.number, from) || is_older(ends.to.number, to))
    }

    /// The same for the edge with this key; a resource is never hidden.
    pub(crate) fn hide_edge(
        &self,
        source: u32,
        edge_types: &[TypeRef],
        key: &RecordKey<'_>,
        stamp: u64,
    ) -> bool {
        let RecordKey::Relationship { number, from, to } = *key else {
            return false;
        };
        if self.0.is_empty() {
            return false;
        }
        let of_type = edge_types.iter().find(|of_type| of_type.number == number);
        let ends = of_type.and_then(|of_type| of_type.edge.as_ref());
        ends.is_some_and(|ends| self.hide(source, ends, from, to, stamp))
    }
}

/// How far the removal of the edges under one mark is. In memory alone: after a start it begins again.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    resource: Vec<u8>,
    /// Which of the ranges that hold its edges,
    range: usize,
    /// and the last key there that was looked at.
    after: Option<Vec<u8>>,
}

impl Sweep {
    pub(crate) fn is_of(&self, resource: &[u8]) -> bool {
        self.resource == resource
    }
}

/// What one chunk of a sweep does.
#[derive(Default)]
struct Swept {
    batch_edges: BTreeMap<Vec<u8>, Option<HeadRow>>,
    looked_at: usize,
}

impl Inner {
    pub(crate) fn marks(&self, now: &Snapshot, source: u32) -> Result<Marks> {
        let mut marks = Marks::default();
        for row in now.prefix(&self.keyspaces.marks, source.to_be_bytes()) {
            let (key, value) = row.into_inner().map_err(engine)?;
            marks.insert(key.to_vec(), rows::decode(&value, "marks")?);
        }
        Ok(marks)
    }

    /// Removes some of the edges under the marks, and each mark with the last of its own: one batch, in which so many
    /// edges are looked at.
    pub(crate) fn sweep(
        &self,
        state: &SourceState,
        writer: &mut Writer,
        rows_max: usize,
        now: Timestamp,
    ) -> Result<Step> {
        let source = state.source.number;
        let edge_types = state.edge_types();
        let mut swept = Swept::default();
        let mut done = Vec::new();
        let mut under_way = writer.sweep.take();
        let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
        for (resource, mark) in &writer.marks.0 {
            let mut sweep = match under_way.take() {
                Some(sweep) if sweep.is_of(resource) => sweep,
                _ => Sweep {
                    resource: resource.clone(),
                    range: 0,
                    after: None,
                },
            };
            let before = swept.batch_edges.len();
            let is_done = self.sweep_ranges(&mut sweep, source, &edge_types, mark, rows_max, &mut swept)?;
            if let Some(sequence) = mark.purge {
                *counted.entry(sequence).or_default() += (swept.batch_edges.len() - before) as u64;
            }
            if !is_done {
                under_way = Some(sweep);
                break;
            }
            done.push(resource.clone());
        }
        let mut batch = self.db.batch();
        let mut counts = Deltas::default();
        for (key, row) in &swept.batch_edges {
            let (from, to) = edge_ends(key)?;
            let number =
                keys::type_number(key).ok_or_else(|| StoreError::Damaged("a key of edges".into()))?;
            batch.remove(&self.keyspaces.edges, key.as_slice());
            batch.remove(&self.keyspaces.edges_in, keys::edge(source, number, &to, &from));
            let Some(row) = row else { continue };
            counts.pointed_to(row.place);
            if row.place == Place::Bodies {
                batch.remove(&self.keyspaces.bodies, key.as_slice());
            }
            if row.identifiers.is_some() {
                batch.remove(&self.keyspaces.meta, key.as_slice());
            }
        }
        for resource in &done {
            batch.remove(&self.keyspaces.marks, resource.as_slice());
        }
        let latest = self.db.snapshot();
        for (sequence, removed) in counted {
            // Also of a purge that was cancelled: these edges went with what it had deleted.
            let place = state.lane_task(sequence);
            let Some(row) = latest.get(&self.keyspaces.tasks, place.key()).map_err(engine)? else {
                // It is kept no longer.
                continue;
            };
            let mut task: TaskProgress = rows::decode(&row, "tasks")?;
            if let Some(purge) = &mut task.purge {
                purge.deleted.relationships += removed;
                batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(&task));
            }
        }
        let counts = writer.counts.after(&counts, now);
        self.write_counts(&mut batch, source, &counts);
        // As every batch of the lane it takes the name of a run away.
        batch.insert(
            &self.keyspaces.lanes,
            source.to_be_bytes(),
            rows::encode(&writer.lane),
        );
        self.commit(batch)?;
        writer.counts.take(counts);
        self.sync.committed();
        for resource in &done {
            writer.marks.0.remove(resource);
        }
        writer.sweep = under_way;
        Ok(Step::Tidied)
    }

    /// Looks at the next edges of a marked resource; true once all were looked at.
    fn sweep_ranges(
        &self,
        sweep: &mut Sweep,
        source: u32,
        edge_types: &[TypeRef],
        mark: &MarkRow,
        rows_max: usize,
        swept: &mut Swept,
    ) -> Result<bool> {
        let damaged = || StoreError::Damaged("a key of marks".into());
        let number = keys::type_number(&sweep.resource).ok_or_else(damaged)?;
        let ranges = edge_types.iter().filter_map(|of_type| {
            let ends = of_type.edge.as_ref()?;
            let at = |inward| (of_type.number, inward);
            let ranges = [(&ends.from, at(false)), (&ends.to, at(true))];
            Some(
                ranges
                    .into_iter()
                    .filter(|(end, _)| end.number == number)
                    .map(|(_, range)| range),
            )
        });
        let ranges: Vec<(u32, bool)> = ranges.flatten().collect();
        while let Some((definition, inward)) = ranges.get(sweep.range).copied() {
            let keyspace = if inward {
                &self.keyspaces.edges_in
            } else {
                &self.keyspaces.edges
            };
            let prefix = keys::edges_of(source, definition, &sweep.resource);
            let start = sweep.after.take().map_or_else(|| prefix.clone(), keys::after);
            let rows = keyspace.range(start..);
            for row in rows {
                let (key, _) = row.into_inner().map_err(engine)?;
                if !key.starts_with(&prefix) {
                    break;
                }
                if swept.looked_at == rows_max.max(1) {
                    return Ok(false);
                }
                swept.looked_at += 1;
                sweep.after = Some(key.to_vec());
                let (near, far) = edge_ends(&key)?;
                let (from, to) = if inward { (far, near) } else { (near, far) };
                let edge = keys::edge(source, definition, &from, &to);
                if swept.batch_edges.contains_key(&edge) {
                    continue;
                }
                let row = self.keyspaces.edges.get(&edge).map_err(engine)?;
                let row: Option<HeadRow> = row.map(|row| rows::decode(&row, "edges")).transpose()?;
                if row.is_none_or(|row| row.stamp < mark.stamp) {
                    swept.batch_edges.insert(edge, row);
                }
            }
            sweep.range += 1;
            sweep.after = None;
        }
        Ok(true)
    }
}

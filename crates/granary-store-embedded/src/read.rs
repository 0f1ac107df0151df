//! Reading: records with their bodies, tasks, receipts. Clients see the snapshot that the last sync published.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fjall::{Readable, Snapshot};
use granary_core::decide::RecordKey;
use granary_core::keys::ResourceId;
use granary_core::ksuid::Ksuid;
use granary_core::meta::{SentMeta, Triple};
use granary_core::operation::{Operation, RecordId, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::task::{TaskId, TaskKind};
use granary_store::{
    EdgeFilter, ReceiptsChunk, Record, Result, Source, StoreError, StoredTask, TaskFilter, TaskProgress,
    take_page,
};

use crate::catalog::SourceState;
use crate::keys::{self, INLINE_PART, LINEAGE_PART, SPEC_PART, TaskClass, TaskPlace};
use crate::marks::Marks;
use crate::rows::{self, HeadRow, IdentifiersRow, InlineRow, LineageRow, Place, SpecRow, Spool};
use crate::segment::{OPERATIONS_PER_BLOCK, Segment, body_at};
use crate::{Inner, engine, lock};

/// Segments that are kept open for reading.
pub(crate) const SEGMENTS_OPEN_MAX: usize = 64;

/// The last blocks of bodies that were opened: a list reads many bodies of one block. Each block has one place where
/// it can be.
pub(crate) struct BlockCache {
    places: Vec<Mutex<Option<CachedBlock>>>,
}

struct CachedBlock {
    segment: u32,
    block: u32,
    bytes: Bytes,
}

impl BlockCache {
    const PLACES: usize = 64;
    /// Larger blocks hold one large body; they are not kept.
    const BLOCK_BYTES_MAX: usize = 64 * 1024;

    pub(crate) fn new() -> Self {
        Self {
            places: (0..Self::PLACES).map(|_| Mutex::new(None)).collect(),
        }
    }

    pub(crate) fn get(
        &self,
        segment: u32,
        block: u32,
        open: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Bytes> {
        let mixed = (u64::from(segment) << 32 | u64::from(block)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = &self.places[(mixed >> 58) as usize % Self::PLACES];
        if let Some(cached) = lock(place).as_ref()
            && (cached.segment, cached.block) == (segment, block)
        {
            return Ok(cached.bytes.clone());
        }
        let bytes = Bytes::from(open()?);
        if bytes.len() <= Self::BLOCK_BYTES_MAX {
            *lock(place) = Some(CachedBlock {
                segment,
                block,
                bytes: bytes.clone(),
            });
        }
        Ok(bytes)
    }
}

impl Inner {
    pub(crate) fn segment(&self, number: u32) -> Result<Arc<Segment>> {
        let open = self
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&number)
            .cloned();
        if let Some(segment) = open {
            return Ok(segment);
        }
        let segment = Arc::new(Segment::open(&self.folder.segments, number));
        if !segment.is_whole() {
            // What kept it from being opened may pass.
            return Ok(segment);
        }
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if !segment.is_there(&self.folder.segments) {
            // Removed since it was opened: kept open it would still take its space.
            return Ok(segment);
        }
        if segments.len() >= SEGMENTS_OPEN_MAX
            && let Some(other) = segments.keys().next().copied()
        {
            segments.remove(&other);
        }
        segments.insert(number, Arc::clone(&segment));
        Ok(segment)
    }

    pub(crate) fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        let state = self.state_of(source)?;
        let now = self.sync.published();
        let shown = Shown::of(self, &state, &now)?;
        let record = |(number, id): &(TypeNumber, RecordId)| {
            let place = RecordKey::of(*number, id);
            let key = keys::record(source.number, &place);
            let keyspace = match id {
                RecordId::Resource(_) => &self.keyspaces.heads,
                RecordId::Relationship { .. } => &self.keyspaces.edges,
            };
            let Some(row) = now.get(keyspace, &key).map_err(engine)? else {
                return Ok(None);
            };
            let row: HeadRow = rows::decode(&row, "heads")?;
            match shown.hides(&place, row.stamp) {
                true => Ok(None),
                false => self.with_body(&now, &key, id.clone(), &row).map(Some),
            }
        };
        wanted.iter().map(record).collect()
    }

    /// The resources of a type that have an identifier.
    pub(crate) fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.state_of(source)?;
        let now = self.sync.published();
        let digest = identifier.digest(&self.hash_key);
        let prefix = keys::identified(source.number, number, &digest);
        let start = after.map_or(prefix.clone(), |id| {
            keys::after(keys::identified_resource(source.number, number, &digest, id))
        });
        let notation = identifier.to_string();
        let rows = now.range(&self.keyspaces.identifiers, start..);
        let found = rows.map(|row| row.into_inner().map_err(engine));
        let found = found.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        let records = found.filter_map(|row| {
            let record = row.and_then(|(key, value)| {
                // Two triples may have one digest.
                if *value != *notation.as_bytes() {
                    return Ok(None);
                }
                let damaged = || StoreError::Damaged("a row of identifiers".into());
                let id = keys::identified_id(&key).ok_or_else(damaged)?;
                let key = keys::resource(source.number, number, &id);
                let row = now
                    .get(&self.keyspaces.heads, &key)
                    .map_err(engine)?
                    .ok_or_else(damaged)?;
                let row = rows::decode(&row, "heads")?;
                self.with_body(&now, &key, RecordId::Resource(id), &row).map(Some)
            });
            record.transpose()
        });
        take_page(records, limit)
    }

    /// The identifiers of the record with this key.
    pub(crate) fn identifiers(&self, now: &Snapshot, key: &[u8], has_any: bool) -> Result<Bytes> {
        if !has_any {
            return Ok(Bytes::new());
        }
        let row = now.get(&self.keyspaces.meta, key).map_err(engine)?;
        let row = row.ok_or_else(|| StoreError::Damaged("the identifiers of a record are missing".into()))?;
        let row: IdentifiersRow = rows::decode(&row, "meta")?;
        Ok(Bytes::copy_from_slice(row.json.as_bytes()))
    }

    /// The meta of a spooled operation.
    pub(crate) fn meta_at(&self, place: Place) -> Result<Option<Box<SentMeta>>> {
        let Place::Segment {
            segment,
            block,
            offset,
        } = place
        else {
            return Ok(None);
        };
        let bytes = self
            .blocks
            .get(segment, block, || self.segment(segment)?.bodies(block))?;
        let meta =
            body_at(&bytes, offset).ok_or_else(|| StoreError::Damaged("the meta of an operation".into()))?;
        Ok(Some(Box::new(rows::decode(meta, "meta")?)))
    }

    pub(crate) fn with_body(
        &self,
        now: &Snapshot,
        key: &[u8],
        id: RecordId,
        row: &HeadRow,
    ) -> Result<Record> {
        let missing = || StoreError::Damaged(format!("the body of record '{id}' is not at its place"));
        let body = match row.place {
            Place::Nowhere => Bytes::new(),
            Place::Bodies => {
                let body = now
                    .get(&self.keyspaces.bodies, key)
                    .map_err(engine)?
                    .ok_or_else(missing)?;
                Bytes::copy_from_slice(&body)
            }
            Place::Segment {
                segment,
                block,
                offset,
            } => {
                let bytes = self
                    .blocks
                    .get(segment, block, || self.segment(segment)?.bodies(block))?;
                bytes.slice_ref(body_at(&bytes, offset).ok_or_else(missing)?)
            }
        };
        Ok(Record {
            id,
            head: row.head(),
            body,
            identifiers: self.identifiers(now, key, row.identifiers.is_some())?,
        })
    }

    pub(crate) fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.state_of(source)?;
        self.resources_at(&self.sync.published(), source.number, number, after, limit)
    }

    /// The same of a moment.
    pub(crate) fn resources_at(
        &self,
        now: &Snapshot,
        source: u32,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let prefix = keys::of_type(source, number);
        let start = after.map_or(prefix.clone(), |id| {
            keys::after(keys::resource(source, number, id))
        });
        let rows = now
            .range(&self.keyspaces.heads, start..)
            .map(|row| row.into_inner().map_err(engine));
        let of_type = rows.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        let records = of_type.map(|row| {
            let (key, value) = row?;
            let id = keys::resource_id(&key).ok_or_else(|| StoreError::Damaged("a key of heads".into()))?;
            self.with_body(now, &key, id, &rows::decode(&value, "heads")?)
        });
        take_page(records, limit)
    }

    pub(crate) fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(ResourceId, ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let state = self.state_of(source)?;
        let now = self.sync.published();
        let shown = Shown::of(self, &state, &now)?;
        self.relationships_at(&now, &shown, number, filter, after, limit)
    }

    /// The same of a moment.
    pub(crate) fn relationships_at(
        &self,
        now: &Snapshot,
        shown: &Shown,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(ResourceId, ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let source = shown.source;
        // With `to` alone the edges are found by their other end; their order by `from` is the same.
        let inward = filter.from.is_none() && filter.to.is_some();
        let keyspace = if inward {
            &self.keyspaces.edges_in
        } else {
            &self.keyspaces.edges
        };
        let (near, far) = if inward {
            (&filter.to, &filter.from)
        } else {
            (&filter.from, &filter.to)
        };
        let prefix = match (near, far) {
            (Some(near), Some(far)) => keys::edge(source, number, near, far),
            (Some(near), None) => keys::edges_at(source, number, near),
            (None, _) => keys::of_type(source, number),
        };
        let start = match (after, &filter.to) {
            (None, _) => prefix.clone(),
            // All end at `end`: the place of another end comes before or after this one of the same `from`.
            (Some((from, to)), Some(end)) if inward => {
                let same = keys::edge(source, number, end, &from);
                if to < *end { same } else { keys::after(same) }
            }
            (Some((from, to)), _) => keys::after(keys::edge(source, number, &from, &to)).max(prefix.clone()),
        };
        let rows = now
            .range(keyspace, start..)
            .map(|row| row.into_inner().map_err(engine));
        let of_type = rows.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        let records = of_type.filter_map(|row| {
            let found = row.and_then(|(key, value)| {
                let (near, far) =
                    keys::edge_ends(&key).ok_or_else(|| StoreError::Damaged("a key of edges".into()))?;
                let (from, to) = if inward { (far, near) } else { (near, far) };
                if !filter.admits(&from, &to) {
                    return Ok(None);
                }
                let key = keys::edge(source, number, &from, &to);
                let missing = || StoreError::Damaged("edges_in names an edge that is not there".into());
                let value = match inward {
                    false => value,
                    true => now
                        .get(&self.keyspaces.edges, &key)
                        .map_err(engine)?
                        .ok_or_else(missing)?,
                };
                let row: HeadRow = rows::decode(&value, "edges")?;
                let id = RecordId::Relationship { from, to };
                if shown.hides(&RecordKey::of(number, &id), row.stamp) {
                    return Ok(None);
                }
                self.with_body(now, &key, id, &row).map(Some)
            });
            found.transpose()
        });
        take_page(records, limit)
    }

    pub(crate) fn task_row(&self, now: &Snapshot, place: &TaskPlace) -> Result<TaskProgress> {
        let row = now.get(&self.keyspaces.tasks, place.key()).map_err(engine)?;
        rows::decode(
            &row.ok_or_else(|| StoreError::Damaged("a task is missing".into()))?,
            "tasks",
        )
    }

    /// Fails where a task was removed since it was read. What it holds is there for as long as the snapshot is held.
    pub(crate) fn see_task(&self, now: &Snapshot, place: &TaskPlace, task: &StoredTask) -> Result<()> {
        match now.get(&self.keyspaces.tasks, place.key()).map_err(engine)? {
            Some(_) => Ok(()),
            None => Err(StoreError::task_gone(task.task.id)),
        }
    }

    pub(crate) fn spec(&self, now: &Snapshot, place: &TaskPlace) -> Result<SpecRow> {
        let row = now
            .get(&self.keyspaces.spool, place.part(SPEC_PART))
            .map_err(engine)?;
        rows::decode(
            &row.ok_or_else(|| StoreError::Damaged("the spool of a task is missing".into()))?,
            "spool",
        )
    }

    pub(crate) fn inline(&self, now: &Snapshot, place: &TaskPlace) -> Result<InlineRow> {
        let row = now
            .get(&self.keyspaces.spool, place.part(INLINE_PART))
            .map_err(engine)?;
        rows::decode(
            &row.ok_or_else(|| StoreError::Damaged("the operations of a task are missing".into()))?,
            "spool",
        )
    }

    pub(crate) fn task_at(&self, now: &Snapshot, place: &TaskPlace) -> Result<StoredTask> {
        let row = self.task_row(now, place)?;
        let types = self.spec(now, place)?.types.into();
        let stored = row.stored(place.source, place.sequence, types);
        Ok(stored.retrying(self.lineage(now, place)?))
    }

    /// The task that this one is a retry of.
    pub(crate) fn lineage(&self, now: &Snapshot, place: &TaskPlace) -> Result<Option<TaskId>> {
        if place.class != TaskClass::Lane {
            return Ok(None);
        }
        let row = now
            .get(&self.keyspaces.spool, place.part(LINEAGE_PART))
            .map_err(engine)?;
        let row: Option<LineageRow> = row.map(|row| rows::decode(&row, "spool")).transpose()?;
        Ok(row.map(|row| row.retry_of))
    }

    pub(crate) fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        self.state_of(source)?;
        let now = self.sync.published();
        let place = self.task_place(&now, source.number, id)?;
        place.map(|place| self.task_at(&now, &place)).transpose()
    }

    pub(crate) fn task_place(&self, now: &Snapshot, source: u32, id: Ksuid) -> Result<Option<TaskPlace>> {
        let key = keys::task_id(source, id);
        let Some(place) = now.get(&self.keyspaces.task_ids, key).map_err(engine)? else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged("a row of task_ids".into());
        let sequence = keys::last_number(&place).ok_or_else(damaged)?;
        let class = match place.get(4) {
            Some(0) => TaskClass::Lane,
            Some(1) => TaskClass::AtOnce,
            _ => return Err(damaged()),
        };
        Ok(Some(TaskPlace {
            source,
            class,
            sequence,
        }))
    }

    pub(crate) fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        self.state_of(source)?;
        let now = self.sync.published();
        let class = filter.kind.map_or(TaskClass::Lane, class_of);
        let place = |sequence| TaskPlace {
            source: source.number,
            class,
            sequence,
        };
        let range = (
            Bound::Included(place(0).key()),
            Bound::Excluded(place(before.unwrap_or(u64::MAX)).key()),
        );
        let mut tasks = Vec::new();
        for row in now.range(&self.keyspaces.tasks, range).rev() {
            if tasks.len() == limit {
                break;
            }
            let (key, _) = row.into_inner().map_err(engine)?;
            let sequence =
                keys::last_number(&key).ok_or_else(|| StoreError::Damaged("a key of tasks".into()))?;
            let task = self.task_at(&now, &place(sequence))?;
            if filter.admits(&task.task) {
                tasks.push(task);
            }
        }
        Ok(tasks)
    }

    pub(crate) fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        if self.source_numbered(task.source).is_none() {
            return Err(StoreError::task_gone(task.task.id));
        }
        let now = self.sync.published();
        let place = TaskPlace {
            source: task.source,
            class: class_of(task.task.id.kind),
            sequence: task.sequence,
        };
        self.see_task(&now, &place, task)?;
        if task.task.deleted.is_some() {
            return Ok(Vec::new());
        }
        let end = task.task.counts.total.min(from.saturating_add(limit as u64));
        if from >= end {
            return Ok(Vec::new());
        }
        let operations = self.operations(&now, &place, from, end)?;
        let chunks = self.chunks(&now, &place, from, end.min(task.cursor))?;
        let receipt = |(index, operation): (u64, &Operation)| {
            if index >= task.cursor {
                return Ok(task.pending_receipt(index, operation));
            }
            let chunk = chunks.range(..=index).next_back();
            let decided = chunk.map(|(first, chunk)| chunk.decided((index - first) as u32));
            let Some(decided) = decided.transpose()?.flatten() else {
                return Err(StoreError::Damaged(format!(
                    "operation {index} of {} has no receipt",
                    task.task.id
                )));
            };
            Ok(task.decided_receipt(index, operation, decided.at, decided.unchanged, decided.error))
        };
        (from..end).zip(&operations).map(receipt).collect()
    }

    /// The operations of a task in this range.
    fn operations(&self, now: &Snapshot, place: &TaskPlace, from: u64, end: u64) -> Result<Vec<Operation>> {
        let count = (end - from) as usize;
        let segments = match self.spec(now, place)?.spool {
            Spool::Inline => {
                let all = self.inline(now, place)?.operations;
                return Ok(all.into_iter().skip(from as usize).take(count).collect());
            }
            Spool::Segments(segments) => segments,
        };
        let mut operations = Vec::with_capacity(count);
        while operations.len() < count {
            let index = from + operations.len() as u64;
            let at = segments.partition_point(|(_, first)| *first <= index) - 1;
            let (number, first) = segments[at];
            let rows = self
                .segment(number)?
                .operations((index - first) / OPERATIONS_PER_BLOCK)?;
            let room = count - operations.len();
            let rest = rows
                .into_iter()
                .skip(((index - first) % OPERATIONS_PER_BLOCK) as usize);
            operations.extend(rest.take(room).map(|row| row.operation));
        }
        Ok(operations)
    }

    /// The receipts of the operations of a task in this range, each chunk by its first operation.
    fn chunks(
        &self,
        now: &Snapshot,
        place: &TaskPlace,
        from: u64,
        end: u64,
    ) -> Result<BTreeMap<u64, ReceiptsChunk>> {
        let mut chunks = BTreeMap::new();
        let damaged = || StoreError::Damaged("a row of receipts".into());
        if from >= end {
            return Ok(chunks);
        }
        // The chunk that holds `from` starts at or before it.
        let first = now
            .range(&self.keyspaces.receipts, place.part(0)..=place.part(from))
            .next_back();
        let first = first.ok_or_else(damaged)?.key().map_err(engine)?;
        for row in now.range(&self.keyspaces.receipts, first.to_vec()..place.part(end)) {
            let (key, value) = row.into_inner().map_err(engine)?;
            let start = keys::last_number(&key).ok_or_else(damaged)?;
            chunks.insert(start, ReceiptsChunk::decompressed(&value)?);
        }
        Ok(chunks)
    }
}

/// Which edges of a source exist for readers of a snapshot.
pub(crate) struct Shown {
    pub(crate) source: u32,
    pub(crate) edge_types: Arc<[TypeRef]>,
    pub(crate) marks: Marks,
}

impl Shown {
    fn of(inner: &Inner, state: &SourceState, now: &Snapshot) -> Result<Self> {
        Ok(Self {
            source: state.source.number,
            edge_types: state.edge_types(),
            marks: inner.marks(now, state.source.number)?,
        })
    }

    fn hides(&self, key: &RecordKey<'_>, stamp: u64) -> bool {
        self.marks.hide_edge(self.source, &self.edge_types, key, stamp)
    }
}

pub(crate) fn class_of(kind: TaskKind) -> TaskClass {
    match kind {
        TaskKind::Bulk | TaskKind::Purge => TaskClass::Lane,
        TaskKind::Single | TaskKind::Bundle => TaskClass::AtOnce,
    }
}

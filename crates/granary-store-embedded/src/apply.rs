//! Writing: what is read for a decision, and the one batch that moves effects, receipts and cursor together.

use std::collections::BTreeMap;

use fjall::{Keyspace, OwnedWriteBatch};
use granary_core::decide::{Cascade, Current, Decision, Direction, Plan, RecordKey, Verdict};
use granary_core::keys::ResourceId;
use granary_core::operation::{Operation, TypeNumber, TypeRef};
use granary_core::time::Timestamp;
use granary_store::{Budget, CheckedBatch, Lane, Record, Result, Step, StoreError, Write, Written};

use crate::catalog::Writer;
use crate::keys::{self, TaskClass, TaskPlace};
use crate::rows::{self, HeadRow, InlineRow, LaneRow, Place, ReceiptsRow, SpecRow, Spool, TaskRow};
use crate::segment::OPERATIONS_PER_BLOCK;
use crate::{Inner, engine};

/// Operations that are decided together, and where their bodies are.
enum Chunk {
    /// In segments, where they stay: a place for each operation.
    Placed(Vec<Operation>, Vec<Place>),
    /// At hand, to be put into `bodies`.
    Held(CheckedBatch),
}

impl Chunk {
    fn operations(&self) -> &[Operation] {
        match self {
            Self::Placed(operations, _) => operations,
            Self::Held(batch) => &batch.operations,
        }
    }
}

/// Rows of edges that a batch writes, `None` where it removes them. A batch must not both remove and put one key.
type EdgeRows = BTreeMap<Vec<u8>, Option<HeadRow>>;
/// The same for `bodies`.
type BodyRows<'a> = BTreeMap<Vec<u8>, Option<&'a [u8]>>;

impl Inner {
    pub(crate) fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        let Ok(state) = self.state_of(&lane.source) else {
            return Ok(Step::Lost);
        };
        let mut writer = match self.writer_of(&state) {
            // It went while this waited for its lock.
            Err(StoreError::Refused(_)) => return Ok(Step::Lost),
            writer => writer?,
        };
        if !self.holds(lane) {
            return Ok(Step::Lost);
        }
        let Some(sequence) = writer.queue.front().copied() else {
            return Ok(Step::Idle);
        };
        let place = state.lane_task(sequence);
        let latest = self.db.snapshot();
        let mut task: TaskRow = self.task_row(&latest, &place)?;
        let spec = self.spec(&latest, &place)?;
        let chunk = self.next_operations(&latest, &place, &task, &spec, budget)?;
        let count = chunk.operations().len() as u64;

        let plan = Plan::of(chunk.operations(), &spec.types);
        let (current, stored) = self.current(lane.source.number, &plan)?;
        let decision = plan.decide(current, now, writer.lane.stamp_next);
        let mut batch = self.db.batch();
        self.write_effects(
            &mut batch,
            &writer,
            lane.source.number,
            &plan,
            &stored,
            &decision,
            &chunk,
        )?;
        self.write_receipts(&mut batch, &place, task.cursor, &decision.verdicts, now);
        task.advance(count, decision.failure_count(), now);
        batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(&task));
        let ended = task.completed_at.is_some();
        let mut row = LaneRow {
            stamp_next: decision.stamp_next,
            ..writer.lane.clone()
        };
        if ended {
            row.lane_head = sequence + 1;
        }
        batch.insert(
            &self.keyspaces.lanes,
            lane.source.number.to_be_bytes(),
            rows::encode(&row),
        );
        self.commit(batch)?;

        writer.lane = row;
        self.sync.committed();
        if ended {
            writer.queue.pop_front();
            self.spooled
                .fetch_sub(spec.bytes, std::sync::atomic::Ordering::Relaxed);
            self.sync.hasten();
        }
        Ok(Step::Applied(count))
    }

    pub(crate) fn write(&self, write: Write, now: Timestamp) -> Result<Written> {
        let state = self.state_of(&write.source)?;
        let source = write.source.number;
        let mut writer = self.writer_of(&state)?;
        if state.definitions().revision != write.definitions_revision {
            return Err(StoreError::DefinitionsChanged);
        }
        let chunk = Chunk::Held(write.batch);
        let plan = Plan::of(chunk.operations(), &write.types).at_once(write.guard.as_ref());
        let (current, stored) = self.current(source, &plan)?;
        let decision = plan.decide(current, now, writer.lane.stamp_next);
        if decision.failure_count() > 0 {
            // Refused by what may not be durable yet: nothing is shown before it is.
            let decided_on = self.sync.last_commit();
            drop(writer);
            self.sync.wait(decided_on)?;
            return Ok(Written::Refused(decision.verdicts));
        }
        let place = TaskPlace {
            source,
            class: TaskClass::AtOnce,
            sequence: writer.lane.at_once_next,
        };
        let total = chunk.operations().len() as u64;
        let mut task = TaskRow::new(write.task_id, write.target_type, total, now);
        task.advance(total, 0, now);
        let (types, operations) = only_used(&write.types, chunk.operations());
        let spec = SpecRow {
            types_used: (0..types.len() as u32).collect(),
            types,
            spool: Spool::Inline,
            bytes: 0,
        };
        // The bodies are in `bodies`; what receipts need is here.
        let operations = InlineRow {
            body_ends: vec![0; operations.len()],
            operations,
            bodies: Vec::new(),
        };

        let mut batch = self.db.batch();
        self.write_effects(&mut batch, &writer, source, &plan, &stored, &decision, &chunk)?;
        self.write_receipts(&mut batch, &place, 0, &decision.verdicts, now);
        self.write_task(&mut batch, &place, &task, &spec, Some(&operations));
        let row = LaneRow {
            stamp_next: decision.stamp_next,
            at_once_next: place.sequence + 1,
            ..writer.lane.clone()
        };
        batch.insert(&self.keyspaces.lanes, source.to_be_bytes(), rows::encode(&row));
        let written = self.written(source, &plan, &stored, &decision, &chunk)?;
        self.commit(batch)?;
        writer.lane = row;
        let commit = self.sync.committed();
        drop(writer);
        self.sync.wait(commit)?;
        Ok(Written::Persisted {
            records: written,
            verdicts: decision.verdicts,
        })
    }

    /// The rows of a new task.
    pub(crate) fn write_task(
        &self,
        batch: &mut OwnedWriteBatch,
        place: &TaskPlace,
        task: &TaskRow,
        spec: &SpecRow,
        operations: Option<&InlineRow>,
    ) {
        let id = keys::task_id(place.source, granary_core::ksuid::Ksuid::from_bytes(task.ksuid));
        batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(task));
        batch.insert(&self.keyspaces.task_ids, id, place.key());
        batch.insert(&self.keyspaces.spool, place.part(0), rows::encode(spec));
        if let Some(operations) = operations {
            batch.insert(&self.keyspaces.spool, place.part(1), rows::encode(operations));
        }
    }

    /// The operations of a task from its cursor on, within the budget.
    fn next_operations(
        &self,
        latest: &fjall::Snapshot,
        place: &TaskPlace,
        task: &TaskRow,
        spec: &SpecRow,
        budget: Budget,
    ) -> Result<Chunk> {
        let most = budget.operations.max(1) as u64;
        let segments = match &spec.spool {
            Spool::Inline => return self.next_inline(latest, place, task.cursor as usize, budget),
            Spool::Segments(segments) => segments,
        };
        let (mut operations, mut places) = (Vec::new(), Vec::new());
        let at = segments.partition_point(|(_, first)| *first <= task.cursor) - 1;
        let (number, first) = segments[at];
        let segment = self.segment(number)?;
        let mut next = task.cursor - first;
        let count = segment.count()?;
        while next < count && (operations.len() as u64) < most {
            let rows = segment.operations(next / OPERATIONS_PER_BLOCK)?;
            let room = (most - operations.len() as u64) as usize;
            for row in rows
                .into_iter()
                .skip((next % OPERATIONS_PER_BLOCK) as usize)
                .take(room)
            {
                operations.push(row.operation);
                places.push(row.place);
                next += 1;
            }
        }
        Ok(Chunk::Placed(operations, places))
    }

    fn next_inline(
        &self,
        latest: &fjall::Snapshot,
        place: &TaskPlace,
        cursor: usize,
        budget: Budget,
    ) -> Result<Chunk> {
        let InlineRow {
            operations,
            body_ends,
            bodies,
        } = self.inline(latest, place)?;
        let whole = CheckedBatch {
            operations,
            bodies,
            body_ends,
        };
        let mut chunk = CheckedBatch::default();
        for index in cursor..whole.operations.len() {
            let body = whole.body(index);
            let is_over = (chunk.bodies.len() + body.len()) as u64 > budget.bytes;
            if index > cursor && (is_over || chunk.operations.len() >= budget.operations) {
                break;
            }
            chunk.bodies.extend_from_slice(body);
            chunk.push(whole.operations[index].clone());
        }
        Ok(Chunk::Held(chunk))
    }

    /// Reads what a plan asks for, with the rows of its records.
    fn current(&self, source: u32, plan: &Plan<'_>) -> Result<(Current, Vec<Option<HeadRow>>)> {
        let keyspaces = &self.keyspaces;
        // In the order of the keys, so that neighbours share a block.
        let mut wanted: Vec<(Vec<u8>, usize)> = plan
            .records()
            .iter()
            .enumerate()
            .map(|(at, key)| (keys::record(source, key), at))
            .collect();
        wanted.sort_unstable();
        let mut stored = vec![None; wanted.len()];
        for (key, at) in wanted {
            let keyspace = self.keyspace_of(&plan.records()[at]);
            if let Some(row) = keyspace.get(key).map_err(engine)? {
                stored[at] = Some(rows::decode::<HeadRow>(&row, "heads")?);
            }
        }
        let mut neighbours = Vec::with_capacity(plan.bounds().len());
        for (end, count) in plan.bounds() {
            let (direction, prefix) = keys::bound(source, &end);
            let keyspace = match direction {
                Direction::From => &keyspaces.edges,
                Direction::To => &keyspaces.edges_in,
            };
            let others: Result<Vec<ResourceId>> = keyspace
                .prefix(prefix)
                .take(count)
                .map(|row| Ok(edge_ends(&row.key().map_err(engine)?)?.1))
                .collect();
            neighbours.push(others?);
        }
        let heads = stored.iter().map(|row| row.map(|row| row.head())).collect();
        Ok((Current { heads, neighbours }, stored))
    }

    fn keyspace_of(&self, key: &RecordKey<'_>) -> &Keyspace {
        match key {
            RecordKey::Resource { .. } => &self.keyspaces.heads,
            RecordKey::Relationship { .. } => &self.keyspaces.edges,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place where all that a batch is made of comes together"
    )]
    fn write_effects(
        &self,
        batch: &mut OwnedWriteBatch,
        writer: &Writer,
        source: u32,
        plan: &Plan<'_>,
        stored: &[Option<HeadRow>],
        decision: &Decision,
        chunk: &Chunk,
    ) -> Result<()> {
        let keyspaces = &self.keyspaces;
        let (mut edges, mut bodies) = (EdgeRows::new(), BodyRows::new());
        for Cascade { record, .. } in &decision.cascades {
            let RecordKey::Resource { number, id } = plan.records()[*record] else {
                continue;
            };
            self.cascade(writer, source, number, id, &mut edges, &mut bodies)?;
        }
        let mut put_row = |batch: &mut OwnedWriteBatch, record: usize, row: Option<HeadRow>| {
            let key = keys::record(source, &plan.records()[record]);
            match (plan.records()[record], row) {
                (RecordKey::Resource { .. }, Some(row)) => {
                    batch.insert(&keyspaces.heads, key, rows::encode(&row));
                }
                (RecordKey::Resource { .. }, None) => batch.remove(&keyspaces.heads, key),
                (RecordKey::Relationship { .. }, row) => {
                    edges.insert(key, row);
                }
            }
        };
        for record in &decision.deletes {
            if let Some(old) = &stored[*record] {
                put_row(batch, *record, None);
                if old.place == Place::Bodies {
                    bodies.insert(keys::record(source, &plan.records()[*record]), None);
                }
            }
        }
        for put in &decision.puts {
            let place = match chunk {
                Chunk::Placed(_, places) => places[put.operation],
                Chunk::Held(held) if held.body(put.operation).is_empty() => Place::Nowhere,
                Chunk::Held(held) => {
                    let key = keys::record(source, &plan.records()[put.record]);
                    bodies.insert(key, Some(held.body(put.operation)));
                    Place::Bodies
                }
            };
            put_row(batch, put.record, Some(HeadRow::new(&put.head, place)));
            if place != Place::Bodies && stored[put.record].is_some_and(|old| old.place == Place::Bodies) {
                bodies.insert(keys::record(source, &plan.records()[put.record]), None);
            }
        }
        for (key, body) in bodies {
            match body {
                Some(body) => batch.insert(&keyspaces.bodies, key, body),
                None => batch.remove(&keyspaces.bodies, key),
            }
        }
        for (key, row) in edges {
            let (from, to) = edge_ends(&key)?;
            let number = u32::from_be_bytes([key[4], key[5], key[6], key[7]]);
            let mirror = keys::edge(source, number, &to, &from);
            match row {
                Some(row) => {
                    batch.insert(&keyspaces.edges, key, rows::encode(&row));
                    batch.insert(&keyspaces.edges_in, mirror, []);
                }
                None => {
                    batch.remove(&keyspaces.edges, key);
                    batch.remove(&keyspaces.edges_in, mirror);
                }
            }
        }
        Ok(())
    }

    /// Marks every stored edge of a deleted resource as removed.
    fn cascade(
        &self,
        writer: &Writer,
        source: u32,
        number: TypeNumber,
        id: &ResourceId,
        edges: &mut EdgeRows,
        bodies: &mut BodyRows<'_>,
    ) -> Result<()> {
        let mut gone = Vec::new();
        for of_type in &writer.edge_types {
            let Some(ends) = &of_type.edge else { continue };
            let prefix = keys::edges_at(source, of_type.number, id);
            if ends.from.number == number {
                for row in self.keyspaces.edges.prefix(&prefix) {
                    gone.push(row.key().map_err(engine)?.to_vec());
                }
            }
            if ends.to.number == number {
                for row in self.keyspaces.edges_in.prefix(&prefix) {
                    let (to, from) = edge_ends(&row.key().map_err(engine)?)?;
                    gone.push(keys::edge(source, of_type.number, &from, &to));
                }
            }
        }
        for key in gone {
            let row = self.keyspaces.edges.get(&key).map_err(engine)?;
            let row =
                row.ok_or_else(|| StoreError::Damaged("edges_in names an edge that is not in edges".into()))?;
            if rows::decode::<HeadRow>(&row, "edges")?.place == Place::Bodies {
                bodies.insert(key.clone(), None);
            }
            edges.insert(key, None);
        }
        Ok(())
    }

    /// The records of a write as they stand after the whole of it, in the order of its operations.
    fn written(
        &self,
        source: u32,
        plan: &Plan<'_>,
        stored: &[Option<HeadRow>],
        decision: &Decision,
        chunk: &Chunk,
    ) -> Result<Vec<Option<Record>>> {
        let Chunk::Held(held) = chunk else {
            return Ok(Vec::new());
        };
        let record = |(index, operation): (usize, &Operation)| {
            let at = plan.record_of(index);
            let id = operation.id.clone();
            if let Some(put) = decision.puts.iter().find(|put| put.record == at) {
                let body = bytes::Bytes::copy_from_slice(held.body(put.operation));
                let head = put.head;
                return Ok(Some(Record { id, head, body }));
            }
            match &stored[at] {
                Some(row) if !decision.deletes.contains(&at) => {
                    // An equal upsert: what is stored stays, down to what an equal body may differ in.
                    let key = keys::record(source, &plan.records()[at]);
                    Ok(Some(self.with_body(&self.db.snapshot(), &key, id, row)?))
                }
                _ => Ok(None),
            }
        };
        held.operations.iter().enumerate().map(record).collect()
    }

    fn write_receipts(
        &self,
        batch: &mut OwnedWriteBatch,
        place: &TaskPlace,
        first: u64,
        verdicts: &[Verdict],
        now: Timestamp,
    ) {
        let mut row = ReceiptsRow {
            count: verdicts.len() as u32,
            at: now.millis(),
            unchanged: Vec::new(),
            failures: Vec::new(),
        };
        for (at, verdict) in verdicts.iter().enumerate() {
            match verdict {
                Verdict::Success { unchanged: false } => {}
                Verdict::Success { unchanged: true } => row.unchanged.push(at as u32),
                Verdict::Failure(error) => {
                    let error = serde_json::to_string(error).expect("an error object is always JSON");
                    row.failures.push((at as u32, error));
                }
            }
        }
        batch.insert(&self.keyspaces.receipts, place.part(first), row.compressed());
    }
}

fn edge_ends(key: &[u8]) -> Result<(ResourceId, ResourceId)> {
    keys::edge_ends(key).ok_or_else(|| StoreError::Damaged("a key of edges".into()))
}

/// The types that the operations name, and the operations with their indexes into these.
fn only_used(types: &[TypeRef], operations: &[Operation]) -> (Vec<TypeRef>, Vec<Operation>) {
    let mut used: Vec<u32> = operations.iter().map(|operation| operation.type_index).collect();
    used.sort_unstable();
    used.dedup();
    let place = |index: u32| used.partition_point(|used| *used < index) as u32;
    let renumbered = operations.iter().map(|o| Operation {
        type_index: place(o.type_index),
        ..o.clone()
    });
    (
        used.iter().map(|index| types[*index as usize].clone()).collect(),
        renumbered.collect(),
    )
}

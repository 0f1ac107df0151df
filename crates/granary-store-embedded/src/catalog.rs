//! Sources and their definitions: rows in `catalog`, all of them held in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::{TypeNumber, TypeRef};
use granary_core::schema::{AcceptedDefinition, DefinitionKind, Schema, StoredDefinition};
use granary_core::time::Timestamp;
use granary_store::{Definitions, KeptDefinition, Result, Source, StoreError, Stored, names_known};

use crate::counts::Counts;
use crate::keys::{self, TaskClass, TaskPlace};
use crate::marks::{Marks, Sweep};
use crate::rows::{self, DefinitionRow, LaneRow, MarkRow, SourceRow, StoreRow};
use crate::space::DeadSource;
use crate::writes::Waiting;
use crate::{Inner, Keyspaces, engine, lock};

/// The row of the store itself.
pub(crate) const STORE_KEY: [u8; 1] = [0];
const SOURCE_KIND: u8 = 1;
const DEFINITION_KIND: u8 = 2;
/// The number of a source that was deleted and whose space is not free yet.
pub(crate) const DEAD_KIND: u8 = 3;

pub(crate) fn source_key(source: u32) -> Vec<u8> {
    let mut key = vec![SOURCE_KIND];
    key.extend(source.to_be_bytes());
    key
}

pub(crate) fn dead_key(source: u32) -> Vec<u8> {
    let mut key = vec![DEAD_KIND];
    key.extend(source.to_be_bytes());
    key
}

/// All definitions of a source.
pub(crate) fn definitions_of(source: u32) -> Vec<u8> {
    let mut key = vec![DEFINITION_KIND];
    key.extend(source.to_be_bytes());
    key
}

fn definition_key(source: u32, number: TypeNumber) -> Vec<u8> {
    let mut key = definitions_of(source);
    key.extend(number.to_be_bytes());
    key
}

/// A source in memory.
pub(crate) struct SourceState {
    pub(crate) source: Source,
    /// Every write of the source holds this.
    pub(crate) writer: Mutex<Writer>,
    /// Single writes and bundles that wait for it.
    pub(crate) waiting: Waiting,
    /// The definitions that are durable; changed only under `writer`.
    defined: RwLock<Defined>,
}

#[derive(Clone)]
struct Defined {
    definitions: Arc<Definitions>,
    /// The relationship types, for cascades.
    edge_types: Arc<[TypeRef]>,
}

impl Defined {
    fn new(definitions: Definitions) -> Result<Self> {
        Ok(Self {
            edge_types: edge_types(&definitions)?,
            definitions: Arc::new(definitions),
        })
    }
}

/// What the writes of a source go on from.
pub(crate) struct Writer {
    pub(crate) row: SourceRow,
    pub(crate) lane: LaneRow,
    /// The tasks of the lane that have not ended.
    pub(crate) queue: VecDeque<u64>,
    /// Deleted resources whose edges are not removed yet.
    pub(crate) marks: Marks,
    /// What its heads point to.
    pub(crate) counts: Counts,
    /// How far the removal under the first of them is.
    pub(crate) sweep: Option<Sweep>,
    /// The task and the cursor of a chunk that was begun and has neither ended nor failed: it panicked.
    pub(crate) trying: Option<(u64, u64)>,
    /// Single writes came since the last chunk began.
    pub(crate) was_beside_writes: bool,
    /// The source was deleted while somebody waited for this lock.
    pub(crate) deleted: bool,
}

impl Writer {
    /// Takes note of the resources that a commit has marked.
    pub(crate) fn mark(&mut self, marks: Vec<(Vec<u8>, MarkRow)>) {
        for (resource, mark) in marks {
            // What was looked at under an older mark is looked at again.
            self.sweep.take_if(|sweep| sweep.is_of(&resource));
            self.marks.insert(resource, mark);
        }
    }
}

impl SourceState {
    fn new(
        number: u32,
        row: SourceRow,
        lane: LaneRow,
        counts: Counts,
        definitions: Definitions,
    ) -> Result<Self> {
        let writer = Writer {
            queue: VecDeque::new(),
            marks: Marks::default(),
            counts,
            sweep: None,
            trying: None,
            was_beside_writes: false,
            deleted: false,
            row,
            lane,
        };
        let source = writer.row.source(number);
        Ok(Self {
            source,
            writer: Mutex::new(writer),
            waiting: Waiting::default(),
            defined: RwLock::new(Defined::new(definitions)?),
        })
    }

    pub(crate) fn definitions(&self) -> Arc<Definitions> {
        Arc::clone(
            &self
                .defined
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .definitions,
        )
    }

    /// The relationship types that are defined.
    pub(crate) fn edge_types(&self) -> Arc<[TypeRef]> {
        Arc::clone(
            &self
                .defined
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .edge_types,
        )
    }

    pub(crate) fn lane_task(&self, sequence: u64) -> TaskPlace {
        TaskPlace {
            source: self.source.number,
            class: TaskClass::Lane,
            sequence,
        }
    }
}

pub(crate) fn edge_types(definitions: &Definitions) -> Result<Arc<[TypeRef]>> {
    let schema =
        Schema::compile(&definitions.list).map_err(|error| StoreError::Damaged(error.to_string()))?;
    Ok(schema
        .types()
        .iter()
        .filter(|t| t.edge.is_some())
        .cloned()
        .collect())
}

/// The number of the source that a key of `catalog` is of.
fn number_in(key: &[u8]) -> Result<u32> {
    let number = key.get(1..).and_then(|number| number.try_into().ok());
    let damaged = || StoreError::Damaged("a key of catalog".into());
    number.map(u32::from_be_bytes).ok_or_else(damaged)
}

/// The numbers of all sources.
pub(crate) fn source_numbers(keyspaces: &Keyspaces) -> Result<Vec<u32>> {
    let rows = keyspaces.catalog.prefix([SOURCE_KIND]);
    rows.map(|row| number_in(&row.key().map_err(engine)?)).collect()
}

/// The row of a lane as it is stored.
pub(crate) fn lane_row(keyspaces: &Keyspaces, source: u32) -> Result<LaneRow> {
    let row = keyspaces.lanes.get(source.to_be_bytes()).map_err(engine)?;
    let row = row.ok_or_else(|| StoreError::Damaged(format!("source {source} has no lane")))?;
    rows::decode(&row, "lanes")
}

/// All sources with their definitions and lanes.
pub(crate) fn load(keyspaces: &Keyspaces) -> Result<BTreeMap<Key, Arc<SourceState>>> {
    let mut sources = BTreeMap::new();
    for row in keyspaces.catalog.prefix([SOURCE_KIND]) {
        let (key, value) = row.into_inner().map_err(engine)?;
        let number = number_in(&key)?;
        let row: SourceRow = rows::decode(&value, "catalog")?;
        // The run that it may name is in.
        let lane = LaneRow {
            redo: None,
            ..lane_row(keyspaces, number)?
        };
        let mut definitions = Definitions {
            revision: row.definitions_revision,
            list: Vec::new(),
        };
        for definition in keyspaces.catalog.prefix(definitions_of(number)) {
            let definition: DefinitionRow = rows::decode(&definition.value().map_err(engine)?, "catalog")?;
            definitions.list.push(definition.into());
        }
        sort(&mut definitions.list);
        let state = SourceState::new(number, row, lane, Counts::load(keyspaces, number)?, definitions)?;
        sources.insert(state.source.key.clone(), Arc::new(state));
    }
    Ok(sources)
}

pub(crate) fn sort(definitions: &mut [StoredDefinition]) {
    definitions.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
}

impl Inner {
    pub(crate) fn sources(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<SourceState>>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source, if it is still the same one.
    pub(crate) fn state_of(&self, source: &Source) -> Result<Arc<SourceState>> {
        match self.sources().get(&source.key) {
            Some(state) if state.source.number == source.number => Ok(Arc::clone(state)),
            _ => Err(StoreError::source_gone(source.key.as_str())),
        }
    }

    /// The source with this number, if it is there.
    pub(crate) fn source_numbered(&self, number: u32) -> Option<Source> {
        let sources = self.sources();
        let state = sources.values().find(|state| state.source.number == number)?;
        Some(state.source.clone())
    }

    pub(crate) fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        self.check_open()?;
        // Held throughout: two that create the same source do it one after the other.
        let mut next_source = lock(&self.next_source);
        if let Some(state) = self.sources().get(key) {
            return Ok((state.source.clone(), Stored::Replaced));
        }
        let number = *next_source;
        let row = SourceRow {
            key: key.clone(),
            created_at: now.millis(),
            next_number: 1,
            definitions_revision: 0,
        };
        let lane = LaneRow {
            stamp_next: 1,
            lane_next: 0,
            lane_head: 0,
            at_once_next: 0,
            redo: None,
        };
        let mut batch = self.db.batch();
        let store = StoreRow {
            hash_key: self.hash_key,
            next_source: number + 1,
        };
        batch.insert(&self.keyspaces.catalog, STORE_KEY, rows::encode(&store));
        batch.insert(&self.keyspaces.catalog, source_key(number), rows::encode(&row));
        batch.insert(&self.keyspaces.lanes, number.to_be_bytes(), rows::encode(&lane));
        self.commit(batch)?;
        *next_source = number + 1;
        self.sync.wait(self.sync.committed())?;
        let state = Arc::new(SourceState::new(
            number,
            row,
            lane,
            Counts::default(),
            Definitions::default(),
        )?);
        let source = state.source.clone();
        self.sources
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), state);
        Ok((source, Stored::Created))
    }

    pub(crate) fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        let state = self.state_of(source)?;
        let mut writer = self.writer_of(&state)?;
        let holds = self.held_by(&state, &writer).filter(|_| !purge);
        if let Some(holds) = holds {
            return self.refused(writer, StoreError::source_holds(&source.key, holds));
        }
        let latest = self.db.snapshot();
        let mut waiting = 0;
        for sequence in &writer.queue {
            waiting += self.spec(&latest, &state.lane_task(*sequence))?.bytes;
        }
        let mut batch = self.db.batch();
        batch.remove(&self.keyspaces.catalog, source_key(source.number));
        batch.insert(&self.keyspaces.catalog, dead_key(source.number), []);
        self.commit(batch)?;
        self.sync.wait(self.sync.committed())?;
        writer.deleted = true;
        writer.queue.clear();
        self.spooled
            .fetch_sub(waiting, std::sync::atomic::Ordering::Relaxed);
        self.sources
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&source.key);
        drop(writer);
        lock(&self.dead).push_back(DeadSource::new(source.number));
        Ok(())
    }

    /// What a source holds, if anything.
    fn held_by(&self, state: &SourceState, writer: &Writer) -> Option<&'static str> {
        let prefix = state.source.number.to_be_bytes();
        let any = |keyspace: &fjall::Keyspace| keyspace.prefix(prefix).next().is_some();
        if !writer.queue.is_empty() {
            Some("tasks that have not ended")
        } else if any(&self.keyspaces.heads) || (any(&self.keyspaces.edges) && writer.marks.is_empty()) {
            Some("records")
        } else if !state.definitions().list.is_empty() {
            Some("definitions")
        } else {
            None
        }
    }

    pub(crate) fn restore_definitions(&self, source: &Source, kept: &[KeptDefinition]) -> Result<()> {
        let state = self.state_of(source)?;
        let mut writer = self.writer_of(&state)?;
        let holds = self.held_by(&state, &writer);
        if let Some(holds) = holds {
            return self.refused(writer, StoreError::source_must_be_empty(&source.key, holds));
        }
        // From here until they are shown no vocabulary that they name goes.
        let _held = self.terminology.hold();
        let (mut row, mut batch) = (writer.row.clone(), self.db.batch());
        let mut definitions = state.definitions().as_ref().clone();
        for kept in kept {
            names_known(&kept.accepted, &self.terminology.heads())?;
            self.limits.admit_definition(definitions.list.len())?;
            let stored = kept.numbered(row.next_number);
            let key = definition_key(source.number, stored.number);
            batch.insert(
                &self.keyspaces.catalog,
                key,
                rows::encode(&DefinitionRow::from(&stored)),
            );
            row.next_number += 1;
            definitions.list.push(stored);
        }
        sort(&mut definitions.list);
        self.commit_definitions(batch, &state, &mut writer, row, definitions)
    }

    pub(crate) fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        let state = self.state_of(source)?;
        let mut writer = self.writer_of(&state)?;
        let mut definitions = state.definitions().as_ref().clone();
        if definitions.revision != seen {
            return Err(StoreError::DefinitionsChanged);
        }
        // From here until it is shown no vocabulary that it names goes.
        let bound = !definition.vocabularies().is_empty();
        let _held = bound.then(|| self.terminology.hold());
        names_known(definition, &self.terminology.heads())?;
        let same = |d: &StoredDefinition| d.kind == definition.kind() && d.key == *definition.key();
        let mut stored = StoredDefinition {
            kind: definition.kind(),
            key: definition.key().clone(),
            number: writer.row.next_number,
            revision: 1,
            json: definition.json().into(),
            created_at: now,
            updated_at: now,
        };
        let mut row = writer.row.clone();
        let did = match definitions.list.iter().position(same) {
            None => {
                self.limits.admit_definition(definitions.list.len())?;
                row.next_number += 1;
                definitions.list.push(stored.clone());
                sort(&mut definitions.list);
                Stored::Created
            }
            Some(place) => {
                let current = &definitions.list[place];
                if let Some(refusal) = definition.refused_while_records_exist(current)
                    && self.in_use(&state, &writer, current.number)?.is_some()
                {
                    return self.refused(writer, StoreError::Refused(refusal));
                }
                stored.number = current.number;
                stored.revision = current.revision + 1;
                stored.created_at = current.created_at;
                definitions.list[place] = stored.clone();
                Stored::Replaced
            }
        };
        let mut batch = self.db.batch();
        let key = definition_key(source.number, stored.number);
        batch.insert(
            &self.keyspaces.catalog,
            key,
            rows::encode(&DefinitionRow::from(&stored)),
        );
        self.commit_definitions(batch, &state, &mut writer, row, definitions)?;
        Ok((stored, did))
    }

    pub(crate) fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        let state = self.state_of(source)?;
        let mut writer = self.writer_of(&state)?;
        let mut definitions = state.definitions().as_ref().clone();
        if definitions.revision != seen {
            return Err(StoreError::DefinitionsChanged);
        }
        let same = |d: &StoredDefinition| d.kind == kind && d.key == *key;
        let Some(place) = definitions.list.iter().position(same) else {
            return Err(StoreError::Refused(ErrorObject::not_found(format!(
                "'{key}' does not exist"
            ))));
        };
        let number = definitions.list.remove(place).number;
        if let Some(why) = self.in_use(&state, &writer, number)? {
            let refusal = StoreError::precondition(format!("'{key}' is in use: {why}"));
            return self.refused(writer, refusal);
        }
        let mut batch = self.db.batch();
        batch.remove(&self.keyspaces.catalog, definition_key(source.number, number));
        let row = writer.row.clone();
        self.commit_definitions(batch, &state, &mut writer, row, definitions)
    }

    /// Refuses by what is stored and may not be durable yet: nothing is shown before it is.
    fn refused<T>(&self, writer: MutexGuard<'_, Writer>, refusal: StoreError) -> Result<T> {
        let decided_on = self.sync.last_commit();
        drop(writer);
        self.sync.wait(decided_on)?;
        Err(refusal)
    }

    /// Commits a change of the definitions, and shows it when it is durable.
    fn commit_definitions(
        &self,
        mut batch: fjall::OwnedWriteBatch,
        state: &SourceState,
        writer: &mut Writer,
        mut row: SourceRow,
        mut definitions: Definitions,
    ) -> Result<()> {
        definitions.revision += 1;
        row.definitions_revision = definitions.revision;
        let defined = Defined::new(definitions)?;
        batch.insert(
            &self.keyspaces.catalog,
            source_key(state.source.number),
            rows::encode(&row),
        );
        self.commit(batch)?;
        self.sync.wait(self.sync.committed())?;
        writer.row = row;
        // The ranges that hold the edges of a resource are others now.
        writer.sweep = None;
        *state.defined.write().unwrap_or_else(PoisonError::into_inner) = defined;
        Ok(())
    }

    /// Why the type with this number cannot go, if it cannot.
    fn in_use(&self, state: &SourceState, writer: &Writer, number: TypeNumber) -> Result<Option<String>> {
        let prefix = keys::of_type(state.source.number, number);
        if self.keyspaces.heads.prefix(&prefix).next().is_some() {
            return Ok(Some("records of it exist; delete them first".into()));
        }
        if self.keyspaces.edges.prefix(&prefix).next().is_some() {
            return Ok(Some(match writer.marks.is_empty() {
                true => "records of it exist; delete them first".into(),
                // They may be gone already, with a resource that had very many.
                false => "edges are being removed; try again in a moment".into(),
            }));
        }
        let now = self.db.snapshot();
        for sequence in &writer.queue {
            let place = state.lane_task(*sequence);
            let spec = self.spec(&now, &place)?;
            let names = |index: &u32| {
                let of_type = &spec.types[*index as usize];
                let at_end = |edge: &granary_core::operation::EdgeEnds| {
                    edge.from.number == number || edge.to.number == number
                };
                of_type.number == number || of_type.edge.as_ref().is_some_and(at_end)
            };
            if spec.types_used.iter().any(names) {
                let task = self.task_at(&now, &place)?;
                return Ok(Some(format!("task {} has not ended; wait for it", task.task.id)));
            }
        }
        Ok(None)
    }

    /// The lock of a source's writes, if the store takes writes and the source is there.
    pub(crate) fn writer_of<'a>(&self, state: &'a SourceState) -> Result<std::sync::MutexGuard<'a, Writer>> {
        let writer = lock(&state.writer);
        self.check_takes_writes(state, &writer)?;
        Ok(writer)
    }

    /// Fails where the source is gone or the store takes no writes.
    pub(crate) fn check_takes_writes(&self, state: &SourceState, writer: &Writer) -> Result<()> {
        self.check_open()?;
        if writer.deleted {
            return Err(StoreError::source_gone(state.source.key.as_str()));
        }
        Ok(())
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is closed".into()));
        }
        self.sync.check()
    }
}

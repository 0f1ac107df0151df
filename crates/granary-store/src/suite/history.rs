//! Random histories: bulk tasks cut into chunks of any size, single writes and bundles between them, definitions that
//! change, reopens; over so few ids that everything meets everything.
//!
//! Three voices must agree: the store that is tested, the reference store, which cuts its chunks elsewhere, and
//! `decide` alone, driven one operation at a time over a plain map. They must show the same records (id, version,
//! stamp, times, body), edges from both ends, tasks, counts and receipts.
//!
//! A history follows from its seed. A failure prints the seed; [`one_history`] plays it again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use granary_core::decide::{Current, Direction, Head, Plan, RecordKey, Verdict};
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::operation::{Operation, RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::DefinitionKind;
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use rand::rngs::Xoshiro256PlusPlus as Random;
use rand::{RngExt as _, SeedableRng as _};

use super::Fixture;
use super::world::*;
use crate::memory::MemoryStore;
use crate::{EdgeFilter, Step, Store, StoreLimits, StoredTask, TaskFilter, Write, Written};

/// One is where another starts, so that a slip in a key would mix them up.
const IDS: [&str; 4] = ["aa", "aaa", "aa-", "bb"];
const RESOURCES: [&str; 2] = ["person", "place"];
const EDGES: [&str; 2] = ["knows", "livesIn"];
/// More operations than any task of a history holds.
const ALL: usize = 1_000;

/// Plays the histories with these seeds, all in one store, each in a source of its own.
pub async fn histories<F: Fixture>(fixture: &F, seeds: std::ops::Range<u64>) {
    let keeps = fixture.reopen(fixture.fresh().await).await.is_some();
    let mut store = fixture.fresh().await;
    for seed in seeds {
        store = play(fixture, store, seed, keeps).await;
    }
}

/// Plays the history with this seed.
pub async fn one_history<F: Fixture>(fixture: &F, seed: u64) {
    histories(fixture, seed..seed + 1).await;
}

/// Prints the seed of a history that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        use std::io::Write;
        if std::thread::panicking() {
            // The panic itself is reported either way.
            let _ = writeln!(std::io::stderr(), "the history with seed {} fails", self.0);
        }
    }
}

async fn play<F: Fixture>(fixture: &F, store: F::Store, seed: u64, keeps: bool) -> F::Store {
    let _seed = Seed(seed);
    let mut random = Random::seed_from_u64(seed);
    let mut history = History::begin(store, seed).await;
    for _ in 0..random.random_range(4..12) {
        match random.random_range(0..100) {
            0..30 => history.accept(&mut random).await,
            30..60 => history.chunk(&mut random).await,
            60..85 => history.write(&mut random).await,
            85..90 => history.change_a_bound(&mut random).await,
            90..94 if keeps => {
                history.subject.settle().await;
                let subject = history.subject.reopened(fixture).await;
                history.subject = subject.expect("a store that keeps something still does");
            }
            _ => history.compare(&mut random).await,
        }
    }
    while !history.model.queue.is_empty() {
        history.chunk(&mut random).await;
    }
    history.compare(&mut random).await;
    assert_eq!(history.subject.store.spooled_bytes(), 0, "all tasks have ended");
    history.subject.store
}

struct History<S> {
    subject: World<S>,
    reference: World<MemoryStore>,
    model: Model,
    serial: u64,
}

impl<S: Store> History<S> {
    async fn begin(store: S, seed: u64) -> Self {
        let limits = StoreLimits::from(&Limits::default());
        let name = format!("history-{seed}");
        let mut history = Self {
            subject: World::bare_named(store, &name).await,
            reference: World::bare_named(MemoryStore::new(limits), &name).await,
            model: Model::default(),
            serial: 0,
        };
        for profile in RESOURCES {
            history.define(DefinitionKind::Profile, profile, PROFILE).await;
        }
        let knows = relationship("knows", ("person", false), ("person", false));
        let lives_in = relationship("livesIn", ("person", true), ("place", false));
        for (name, json) in [("knows", knows), ("livesIn", lives_in)] {
            history
                .define(DefinitionKind::RelationshipDefinition, name, &json)
                .await;
        }
        history
    }

    async fn define(&mut self, kind: DefinitionKind, name: &str, json: &str) {
        self.subject.define(kind, name, json).await;
        self.reference.define(kind, name, json).await;
        assert_eq!(self.subject.types, self.reference.types, "the same numbers");
        assert_eq!(self.subject.revision, self.reference.revision);
        self.model.types = Arc::clone(&self.reference.types);
    }

    /// A bound is given up or comes back; what is stored past it stays.
    async fn change_a_bound(&mut self, random: &mut Random) {
        let bounded = random.random_bool(0.6);
        let json = relationship("livesIn", ("person", bounded), ("place", false));
        self.define(DefinitionKind::RelationshipDefinition, "livesIn", &json)
            .await;
    }

    fn task_id(&mut self, kind: TaskKind) -> TaskId {
        self.serial += 1;
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&self.serial.to_be_bytes());
        TaskId {
            kind,
            ksuid: Ksuid::from_bytes(bytes),
        }
    }

    async fn accept(&mut self, random: &mut Random) {
        let target = match random.random_bool(0.5) {
            true => TargetType::Resource,
            false => TargetType::Relationship,
        };
        let large = random.random_bool(0.15);
        let count = random.random_range(1..25);
        let ops: Vec<Op> = (0..count).map(|_| any_op(random, target, large)).collect();
        let (id, now) = (self.task_id(TaskKind::Bulk), self.reference.now());
        let pushes = random.random_range(1..=count);
        let subject = accept(&self.subject, id, target, &ops, pushes, now).await;
        let reference = accept(&self.reference, id, target, &ops, count, now).await;
        assert_eq!(subject.task, reference.task);
        self.model.queue.push_back(self.model.tasks.len());
        self.model.tasks.push(ModelTask {
            id,
            batch: self.reference.batch(&ops),
            types: Arc::clone(&self.reference.types),
            decided: Vec::new(),
        });
    }

    async fn chunk(&mut self, random: &mut Random) {
        let lane = self.subject.claim().await;
        let Some(of_reference) = self.reference.claim().await else {
            assert!(lane.is_none(), "no work was accepted");
            return;
        };
        let lane = lane.expect("work was accepted and is not done");
        assert_eq!(lane.source, self.subject.source);
        for _ in 0..random.random_range(1..3) {
            let (now, most) = (self.reference.now(), [1, 2, 3, 7, ALL][random.random_range(0..5)]);
            let step = self.subject.store.apply_chunk(&lane, operations(most), now).await;
            let Step::Applied(count) = step.expect("a chunk is applied") else {
                assert!(self.model.queue.is_empty(), "there is more to apply");
                break;
            };
            let mut left = count;
            while left > 0 {
                let part = random.random_range(1..=left);
                let step = self
                    .reference
                    .store
                    .apply_chunk(&of_reference, operations(part as usize), now);
                assert_eq!(step.await.expect("a chunk is applied"), Step::Applied(part));
                left -= part;
            }
            self.model.advance(count, now);
        }
        self.subject.store.release_lane(lane).await;
        self.reference.store.release_lane(of_reference).await;
    }

    async fn write(&mut self, random: &mut Random) {
        let single = random.random_bool(0.6);
        let count = if single { 1 } else { random.random_range(2..6) };
        let mut ops: Vec<Op> = (0..count)
            .map(|_| {
                let target = match random.random_bool(0.5) {
                    true => TargetType::Resource,
                    false => TargetType::Relationship,
                };
                any_op(random, target, false)
            })
            .collect();
        if random.random_bool(0.5) {
            ops.sort_by_key(|op| matches!(op.id, RecordId::Relationship { .. }));
        }
        let kind = if single {
            TaskKind::Single
        } else {
            TaskKind::Bundle
        };
        let (id, now) = (self.task_id(kind), self.reference.now());
        let subject = write(&self.subject, id, &ops, now).await;
        let reference = write(&self.reference, id, &ops, now).await;
        let verdicts = self.model.write(&self.reference.batch(&ops), now);
        assert_eq!(subject, reference, "{ops:?}");
        match reference {
            Written::Refused(refused) => assert_eq!(refused, verdicts, "{ops:?}"),
            Written::Persisted { .. } => {
                let failed = |verdict: &&Verdict| matches!(verdict, Verdict::Failure(_));
                assert_eq!(verdicts.iter().find(failed), None, "{ops:?}");
            }
        }
    }

    async fn compare(&self, random: &mut Random) {
        self.subject.settle().await;
        let page = random.random_range(1..6);
        let mut records = BTreeMap::new();
        for name in RESOURCES {
            let subject = self.subject.resources(name, page).await;
            assert_eq!(subject, self.reference.resources(name, ALL).await, "{name}");
            records.extend(
                subject
                    .into_iter()
                    .map(|record| ((name, record.id.clone()), record)),
            );
        }
        for name in EDGES {
            let subject = self.subject.edges(name, &EdgeFilter::default(), page).await;
            for filter in filters() {
                let subject = self.subject.edges(name, &filter, page).await;
                let reference = self.reference.edges(name, &filter, ALL).await;
                assert_eq!(subject, reference, "{name} {filter:?}");
            }
            records.extend(
                subject
                    .into_iter()
                    .map(|record| ((name, record.id.clone()), record)),
            );
        }
        assert_eq!(records.len(), self.model.records.len());
        for ((number, id), (head, body)) in &self.model.records {
            let of_type = self.model.types.iter().find(|of_type| of_type.number == *number);
            let name = of_type.map(|of_type| of_type.key.as_str()).unwrap_or_default();
            let record = records.get(&(name, id.clone())).expect("it is stored");
            assert_eq!(
                (&record.head, record.body.as_ref()),
                (head, body.as_slice()),
                "{id}"
            );
        }
        self.compare_tasks(random).await;
    }

    async fn compare_tasks(&self, random: &mut Random) {
        for kind in [None, Some(TaskKind::Single), Some(TaskKind::Bundle)] {
            let subject = tasks(&self.subject, kind, random.random_range(1..6)).await;
            let reference = tasks(&self.reference, kind, ALL).await;
            assert_eq!(subject.len(), reference.len());
            for (subject, reference) in subject.iter().zip(&reference) {
                assert_eq!(
                    (&subject.task, subject.cursor),
                    (&reference.task, reference.cursor)
                );
                let (from, limit) = (random.random_range(0..6), random.random_range(1..10));
                for (from, limit) in [(0, ALL), (from, limit)] {
                    let found = self.subject.store.receipts(subject, from, limit).await;
                    let expected = self.reference.store.receipts(reference, from, limit).await;
                    let found = found.expect("receipts are read");
                    assert_eq!(found, expected.expect("receipts are read"), "{}", subject.task.id);
                }
                let receipts = self.reference.receipts(reference).await;
                if let Some(task) = self.model.tasks.iter().find(|task| task.id == reference.task.id) {
                    task.compare(&receipts);
                }
            }
        }
    }
}

/// Every edge, and those of each id at either end.
fn filters() -> Vec<EdgeFilter> {
    let mut filters = vec![EdgeFilter::default()];
    for id in IDS.map(rid) {
        for (from, to) in [(Some(id.clone()), None), (None, Some(id.clone()))] {
            filters.push(EdgeFilter { from, to });
        }
    }
    filters
}

fn any_op(random: &mut Random, target: TargetType, large: bool) -> Op {
    let mut id = || IDS[random.random_range(0..IDS.len())];
    let (one, other) = (id(), id());
    let name = random.random_range(0..2);
    let op = match (target, random.random_range(0..10)) {
        (TargetType::Resource, 0..4) => create(RESOURCES[name], one, 0),
        (TargetType::Resource, 4..8) => upsert(RESOURCES[name], one, 0),
        (TargetType::Resource, _) => return delete(RESOURCES[name], one),
        (TargetType::Relationship, 0..4) => join(EDGES[name], one, other, 0),
        (TargetType::Relationship, 4..8) => rejoin(EDGES[name], one, other, 0),
        (TargetType::Relationship, _) => return part(EDGES[name], one, other),
    };
    match random.random_range(0..6) {
        0 | 1 => op,
        2 => op.with_equal_body(b"other bytes that count as equal".to_vec()),
        3 => op.with_body(body(1)),
        4 if large => op.with_body(noise(40_000, 1)),
        4 => op.with_body(noise(300, 1)),
        _ => op.with_body(Vec::new()),
    }
}

async fn accept<S: Store>(
    world: &World<S>,
    id: TaskId,
    target: TargetType,
    ops: &[Op],
    push: usize,
    now: Timestamp,
) -> StoredTask {
    let types = Arc::clone(&world.types);
    let upload = world.store.begin_upload(&world.source, id, target, types).await;
    let mut upload = upload.expect("it begins");
    for part in ops.chunks(push) {
        upload.push(world.batch(part)).await.expect("it is spooled");
    }
    upload.accept(world.revision, now).await.expect("accepted")
}

async fn write<S: Store>(world: &World<S>, id: TaskId, ops: &[Op], now: Timestamp) -> Written {
    let write = Write {
        source: world.source.clone(),
        task_id: id,
        target_type: (id.kind == TaskKind::Single).then(|| ops[0].id.target_type()),
        types: Arc::clone(&world.types),
        batch: world.batch(ops),
        definitions_revision: world.revision,
        guard: None,
    };
    world.store.write(write, now).await.expect("a write is decided")
}

async fn tasks<S: Store>(world: &World<S>, kind: Option<TaskKind>, page: usize) -> Vec<StoredTask> {
    let filter = TaskFilter {
        kind,
        ..TaskFilter::default()
    };
    let mut all: Vec<StoredTask> = Vec::new();
    loop {
        let before = all.last().map(|task| task.sequence);
        let next = world.store.tasks(&world.source, &filter, before, page).await;
        let next = next.expect("tasks are listed");
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// The third voice: `decide` one operation at a time over a map.
#[derive(Default)]
struct Model {
    types: Arc<[TypeRef]>,
    records: BTreeMap<(TypeNumber, RecordId), (Head, Vec<u8>)>,
    stamp: u64,
    tasks: Vec<ModelTask>,
    /// Places in `tasks` of those that have not ended.
    queue: VecDeque<usize>,
}

struct ModelTask {
    id: TaskId,
    batch: crate::CheckedBatch,
    types: Arc<[TypeRef]>,
    decided: Vec<(Verdict, Timestamp)>,
}

impl ModelTask {
    fn compare(&self, receipts: &[Receipt]) {
        assert_eq!(receipts.len(), self.batch.operations.len());
        let (done, pending) = receipts.split_at(self.decided.len());
        for (receipt, (verdict, at)) in done.iter().zip(&self.decided) {
            assert_eq!(receipt.completed_at, Some(*at), "{receipt:?}");
            match verdict {
                Verdict::Failure(error) => assert_eq!(receipt.error.as_ref(), Some(error)),
                success => assert_eq!(
                    codes(std::slice::from_ref(receipt)),
                    verdict_codes(std::slice::from_ref(success))
                ),
            }
        }
        assert!(codes(pending).iter().all(|code| *code == 102));
    }
}

impl Model {
    /// Applies so many operations of the first task that has not ended.
    fn advance(&mut self, count: u64, now: Timestamp) {
        let at = *self
            .queue
            .front()
            .expect("a chunk is of a task that was accepted");
        for _ in 0..count {
            let task = &self.tasks[at];
            let index = task.decided.len();
            let operation = task.batch.operations[index].clone();
            let body = task.batch.body(index).to_vec();
            let types = Arc::clone(&task.types);
            let verdict = self.apply(&operation, &body, &types, now);
            self.tasks[at].decided.push((verdict, now));
        }
        if self.tasks[at].decided.len() == self.tasks[at].batch.operations.len() {
            self.queue.pop_front();
        }
    }

    /// All operations of a write, or none.
    fn write(&mut self, batch: &crate::CheckedBatch, now: Timestamp) -> Vec<Verdict> {
        let before = (self.records.clone(), self.stamp);
        let types = Arc::clone(&self.types);
        let operations = batch.operations.iter().enumerate();
        let verdicts: Vec<Verdict> = operations
            .map(|(index, operation)| self.apply(operation, batch.body(index), &types, now))
            .collect();
        if verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Failure(_)))
        {
            (self.records, self.stamp) = before;
        }
        verdicts
    }

    fn apply(&mut self, operation: &Operation, body: &[u8], types: &[TypeRef], now: Timestamp) -> Verdict {
        let alone = std::slice::from_ref(operation);
        let plan = Plan::of(alone, types);
        let heads = plan.records().iter().map(|key| self.head(key)).collect();
        let neighbours = plan.bounds().map(|(end, count)| {
            let edges = self.records.keys().filter(|(number, _)| *number == end.number);
            let other = edges.filter_map(|(_, id)| match (id, end.direction) {
                (RecordId::Relationship { from, to }, Direction::From) => (from == end.id).then_some(to),
                (RecordId::Relationship { from, to }, Direction::To) => (to == end.id).then_some(from),
                (RecordId::Resource(_), _) => None,
            });
            other.take(count).cloned().collect()
        });
        let neighbours = neighbours.collect();
        let current = Current { heads, neighbours };
        let decision = plan.decide(current, now, self.stamp + 1);
        self.stamp = decision.stamp_next - 1;
        for place in &decision.cascades {
            self.cascade(&plan.records()[place.record]);
        }
        for place in &decision.deletes {
            self.records.remove(&owned(&plan.records()[*place]));
        }
        for put in &decision.puts {
            let key = owned(&plan.records()[put.record]);
            self.records.insert(key, (put.head, body.to_vec()));
        }
        decision
            .verdicts
            .into_iter()
            .next()
            .expect("one for the operation")
    }

    fn head(&self, key: &RecordKey<'_>) -> Option<Head> {
        self.records.get(&owned(key)).map(|(head, _)| *head)
    }

    fn cascade(&mut self, deleted: &RecordKey<'_>) {
        let RecordKey::Resource { number, id } = *deleted else {
            return;
        };
        let types = Arc::clone(&self.types);
        self.records.retain(|(of_type, record), _| {
            let of_type = types.iter().find(|known| known.number == *of_type);
            let ends = of_type.and_then(|of_type| of_type.edge.as_ref());
            let (RecordId::Relationship { from, to }, Some(ends)) = (record, ends) else {
                return true;
            };
            !(ends.from.number == number && from == id || ends.to.number == number && to == id)
        });
    }
}

fn owned(key: &RecordKey<'_>) -> (TypeNumber, RecordId) {
    match *key {
        RecordKey::Resource { number, id } => (number, RecordId::Resource(id.clone())),
        RecordKey::Relationship { number, from, to } => {
            let (from, to) = (from.clone(), to.clone());
            (number, RecordId::Relationship { from, to })
        }
    }
}

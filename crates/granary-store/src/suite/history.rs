//! Random histories: bulk tasks cut into chunks of any size, single writes and bundles between them, definitions that
//! change, reopens; over so few ids that everything meets everything.
//!
//! Three voices must agree: the store that is tested, the reference store, which cuts its chunks elsewhere, and
//! `decide` alone, driven one operation at a time over a plain map. They must show the same records (id, version,
//! stamp, times, body), edges from both ends, tasks, counts and receipts. Stamps are a store's own numbers: they must
//! stand in the same order, and one for one.
//!
//! A history follows from its seed. A failure prints the seed; [`one_history`] plays it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_core::decide::{Guard, Verdict};
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_core::schema::DefinitionKind;
use granary_core::task::{Task, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use rand::rngs::Xoshiro256PlusPlus as Random;
use rand::{RngExt as _, SeedableRng as _};

use super::Fixture;
use super::model::{Model, ModelTask};
use super::world::*;
use crate::memory::MemoryStore;
use crate::{
    EdgeFilter, Lane, Purge, Record, Source, Step, Store, StoreLimits, StoredTask, TaskFilter, Write, Written,
};

/// One is where another starts, so that a slip in a key would mix them up.
const IDS: [&str; 4] = ["aa", "aaa", "aa-", "bb"];
const RESOURCES: [&str; 2] = ["person", "place"];
const EDGES: [&str; 2] = ["knows", "livesIn"];
const NOTATIONS: [&str; 2] = ["tax:1:official", "tax:2:official"];
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
        fixture.tend(&history.subject.store).await;
        match random.random_range(0..100) {
            0..30 => history.accept(&mut random).await,
            30..60 => history.chunk(&mut random).await,
            60..80 => history.write(&mut random).await,
            80..83 => history.purge(&mut random).await,
            83..86 => history.cancel(&mut random).await,
            86..90 => history.change_a_bound(&mut random).await,
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
        fixture.tend(&history.subject.store).await;
    }
    history.compare(&mut random).await;
    // What is hidden is removed.
    history.subject.apply_all(operations(2)).await;
    history.compare(&mut random).await;
    assert_eq!(history.subject.spooled().await, 0, "all tasks have ended");
    history.subject.store
}

struct History<S> {
    subject: World<S>,
    reference: World<MemoryStore>,
    model: Model,
    stamps: Stamps,
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
            stamps: Stamps::default(),
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
            purges: None,
            cancelled: false,
        });
    }

    async fn purge(&mut self, random: &mut Random) {
        let name = [RESOURCES[0], EDGES[0], EDGES[1]][random.random_range(0..3)];
        let (id, now) = (self.task_id(TaskKind::Purge), self.reference.now());
        let purge = |source: &Source, of_type: &TypeRef| Purge {
            source: source.clone(),
            task_id: id,
            of_type: of_type.clone(),
            definitions_revision: self.reference.revision,
            idempotent: None,
        };
        let of_type = self.reference.types[self.reference.type_index(name) as usize].clone();
        let (subject, reference) = (&self.subject, &self.reference);
        let subject = subject
            .store
            .accept_purge(purge(&subject.source, &of_type), now)
            .await;
        let reference = reference
            .store
            .accept_purge(purge(&reference.source, &of_type), now)
            .await;
        let (subject, reference) = (subject.expect("accepted"), reference.expect("accepted"));
        assert_eq!(subject.task, reference.task);
        self.model.queue.push_back(self.model.tasks.len());
        self.model.tasks.push(ModelTask {
            id,
            batch: crate::CheckedBatch::default(),
            types: Arc::clone(&self.reference.types),
            decided: Vec::new(),
            purges: Some((of_type.number, self.model.stamp + 1)),
            cancelled: false,
        });
    }

    async fn cancel(&mut self, random: &mut Random) {
        if self.model.queue.is_empty() {
            return;
        }
        let at = random.random_range(0..self.model.queue.len());
        let place = self.model.queue.remove(at).expect("it is in the queue");
        self.model.tasks[place].cancelled = true;
        let (id, now) = (self.model.tasks[place].id.ksuid, self.reference.now());
        let (subject, reference) = (&self.subject, &self.reference);
        let subject = subject
            .store
            .cancel(&subject.source, id, now)
            .await
            .expect("it has not ended");
        let reference = reference
            .store
            .cancel(&reference.source, id, now)
            .await
            .expect("it has not ended");
        assert_eq!(comparable(&subject.task), comparable(&reference.task));
    }

    /// The next records of a purge, in both stores: what it finds is decided by what it has not looked at yet.
    async fn purge_chunk(&mut self, lane: &Lane, of_reference: &Lane, most: usize) {
        let now = self.reference.now();
        let id = self.model.tasks[self.model.queue[0]].id.ksuid;
        loop {
            let step = self.subject.store.apply_chunk(lane, operations(most), now).await;
            let count = match step.expect("a chunk is applied") {
                Step::Tidied => continue,
                Step::Applied(count) => count,
                other => panic!("there is more to do: {other:?}"),
            };
            if count > 0 {
                let budget = operations(count as usize);
                let step = self.reference.store.apply_chunk(of_reference, budget, now).await;
                assert_eq!(step.expect("a chunk is applied"), Step::Applied(count));
                self.model.purge(count, now);
            }
            self.subject.settle().await;
            let found = self.subject.store.task(&self.subject.source, id).await;
            let ended = found
                .expect("a task is read")
                .expect("it is there")
                .task
                .completed_at
                .is_some();
            if ended {
                let step = self.reference.store.apply_chunk(of_reference, WHOLE, now).await;
                assert_eq!(
                    step.expect("a chunk is applied"),
                    Step::Applied(0),
                    "nothing is left to purge"
                );
                self.model.queue.pop_front();
            }
            if ended || count > 0 {
                return;
            }
        }
    }

    async fn chunk(&mut self, random: &mut Random) {
        let lane = self.subject.claim().await;
        let Some(of_reference) = self.reference.claim().await else {
            assert!(self.model.queue.is_empty(), "work was accepted and is not done");
            if let Some(lane) = lane {
                self.subject.drain(&lane, operations(1)).await;
                self.subject.store.release_lane(lane).await;
            }
            return;
        };
        let lane = lane.expect("work was accepted and is not done");
        assert_eq!(lane.source, self.subject.source);
        for _ in 0..random.random_range(1..3) {
            let most = [1, 2, 3, 7, ALL][random.random_range(0..5)];
            if self.model.is_purging() {
                self.purge_chunk(&lane, &of_reference, most).await;
                continue;
            }
            let now = self.reference.now();
            let step = self.subject.store.apply_chunk(&lane, operations(most), now).await;
            let count = match step.expect("a chunk is applied") {
                Step::Tidied => continue,
                Step::Applied(count) => count,
                _ => {
                    assert!(self.model.queue.is_empty(), "there is more to apply");
                    break;
                }
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
        let guard = match random.random_range(0..12) {
            0 => Some(Guard::Exists),
            1 => Some(Guard::Absent),
            2 => Some(Guard::Stamp(
                (0..8)
                    .map(|_| random.random_range(1..self.model.stamp + 2))
                    .collect(),
            )),
            _ => None,
        };
        let of_subject = match &guard {
            Some(Guard::Stamp(stamps)) => {
                self.learn_stamps().await;
                Some(Guard::Stamp(self.stamps.of_subject(stamps)))
            }
            other => other.clone(),
        };
        let mut subject = write(&self.subject, id, &ops, of_subject, now).await;
        let reference = write(&self.reference, id, &ops, guard.clone(), now).await;
        if let (Written::Persisted { records, .. }, Written::Persisted { records: others, .. }) =
            (&mut subject, &reference)
        {
            self.stamps
                .translate(records.iter_mut().flatten(), others.iter().flatten());
        }
        let verdicts = self.model.write(&self.reference.batch(&ops), guard.as_ref(), now);
        assert_eq!(subject, reference, "{ops:?}");
        match reference {
            Written::Refused(refused) => assert_eq!(refused, verdicts, "{ops:?}"),
            Written::Persisted { .. } => {
                let failed = |verdict: &&Verdict| matches!(verdict, Verdict::Failure(_));
                assert_eq!(verdicts.iter().find(failed), None, "{ops:?}");
            }
        }
    }

    /// Learns the stamps of all that is stored.
    async fn learn_stamps(&mut self) {
        self.subject.settle().await;
        for name in RESOURCES {
            let mut subject = self.subject.resources(name, ALL).await;
            let reference = self.reference.resources(name, ALL).await;
            self.stamps.translate(&mut subject, &reference);
        }
        for name in EDGES {
            let mut subject = self.subject.edges(name, &EdgeFilter::default(), ALL).await;
            let reference = self.reference.edges(name, &EdgeFilter::default(), ALL).await;
            self.stamps.translate(&mut subject, &reference);
        }
    }

    async fn compare(&mut self, random: &mut Random) {
        self.subject.settle().await;
        let page = random.random_range(1..6);
        let mut records = BTreeMap::new();
        for name in RESOURCES {
            let mut subject = self.subject.resources(name, page).await;
            let reference = self.reference.resources(name, ALL).await;
            self.stamps.translate(&mut subject, &reference);
            assert_eq!(subject, reference, "{name}");
            for notation in NOTATIONS {
                let found = self.subject.identified(name, notation, page).await;
                let expected = self.reference.identified(name, notation, ALL).await;
                assert_eq!(found, expected, "{notation}");
            }
            records.extend(
                subject
                    .into_iter()
                    .map(|record| ((name, record.id.clone()), record)),
            );
        }
        for name in EDGES {
            let mut subject = self.subject.edges(name, &EdgeFilter::default(), page).await;
            let all = self.reference.edges(name, &EdgeFilter::default(), ALL).await;
            self.stamps.translate(&mut subject, &all);
            for filter in filters() {
                let mut subject = self.subject.edges(name, &filter, page).await;
                let reference = self.reference.edges(name, &filter, ALL).await;
                self.stamps.translate(&mut subject, &reference);
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
        for kind in [
            None,
            Some(TaskKind::Single),
            Some(TaskKind::Bundle),
            Some(TaskKind::Purge),
        ] {
            let subject = tasks(&self.subject, kind, random.random_range(1..6)).await;
            let reference = tasks(&self.reference, kind, ALL).await;
            assert_eq!(subject.len(), reference.len());
            for (subject, reference) in subject.iter().zip(&reference) {
                assert_eq!(
                    (comparable(&subject.task), subject.cursor),
                    (comparable(&reference.task), reference.cursor)
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

/// Which stamp of the store that is tested stands for which of the reference store.
#[derive(Default)]
struct Stamps(BTreeMap<u64, u64>);

impl Stamps {
    /// Writes the stamps of the reference into records of the store that is tested.
    fn translate<'a>(
        &mut self,
        subject: impl IntoIterator<Item = &'a mut Record>,
        reference: impl IntoIterator<Item = &'a Record>,
    ) {
        for (record, expected) in subject.into_iter().zip(reference) {
            if record.id != expected.id {
                // The comparison that follows says so.
                return;
            }
            let (stamp, own) = (expected.head.stamp, record.head.stamp);
            let known = *self.0.entry(stamp).or_insert(own);
            let before = self.0.range(..stamp).next_back();
            let after = self.0.range(stamp + 1..).next();
            assert_eq!(known, own, "another state of {} has the stamp {own}", record.id);
            assert!(
                before.is_none_or(|(_, before)| *before < own),
                "{own} is not above {before:?}"
            );
            assert!(
                after.is_none_or(|(_, after)| own < *after),
                "{own} is not below {after:?}"
            );
            record.head.stamp = stamp;
        }
    }

    /// The stamps of the store that is tested that stand for these; one that nothing has where there is none.
    fn of_subject(&self, stamps: &[u64]) -> Vec<u64> {
        let own = |stamp| self.0.get(stamp).copied().unwrap_or(u64::MAX >> 1);
        stamps.iter().map(own).collect()
    }
}

/// A task but for the edges that a purge has not counted yet: it does when they are removed, and has when it succeeds.
fn comparable(task: &Task) -> Task {
    let mut task = task.clone();
    if task.status != TaskStatus::Success
        && let Some(deleted) = &mut task.deleted
    {
        deleted.relationships = 0;
    }
    task
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
    let op = match random.random_range(0..12) {
        0 => op.identified_by(&NOTATIONS[..1]),
        1 => op.identified_by(&NOTATIONS),
        2 => op.identified_by(&[]),
        3 => op.imported(random.random_range(0..3), None),
        4 => op.imported(1, Some(random.random_range(1..4))),
        _ => op,
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

async fn write<S: Store>(
    world: &World<S>,
    id: TaskId,
    ops: &[Op],
    guard: Option<Guard>,
    now: Timestamp,
) -> Written {
    let write = Write {
        source: world.source.clone(),
        task_id: id,
        target_type: (id.kind == TaskKind::Single).then(|| ops[0].id.target_type()),
        types: Arc::clone(&world.types),
        batch: world.batch(ops),
        definitions_revision: world.revision,
        versions: None,
        idempotent: None,
        guard,
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

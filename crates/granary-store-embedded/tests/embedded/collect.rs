//! Collection: every history again while all that can be moved is moved, what is collected and what is not, and what
//! happens beside it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_core::time::Timestamp;
use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{EdgeFilter, Record, Step, Store, StoreLimits};
use granary_store_embedded::{CollectStep, Collection, EmbeddedStore};

use crate::crash::Killed;
use crate::folder::segment_file;
use crate::{OnDisk, limits};

/// Collects each segment of a task that has ended, also one that is all alive, when it is asked to.
pub(crate) fn everything() -> Collection {
    Collection {
        look_every: None,
        dead_kept: Duration::ZERO,
        failures_kept: Duration::ZERO,
        total_percent: 0,
        dead_bytes_min: 0,
        live_percent: 10_000,
        window_heads_max: 7,
        batch_heads_max: 3,
        ..Collection::default()
    }
}

/// The same all the time.
fn everything_always() -> Collection {
    Collection {
        look_every: Some(Duration::from_millis(1)),
        ..everything()
    }
}

fn collecting(collection: Collection) -> OnDisk {
    OnDisk {
        collection,
        ..OnDisk::in_memory()
    }
}

/// Stores that collect between any two steps of a history.
struct Tended<F> {
    inner: F,
    rounds: AtomicU64,
}

impl<F> Tended<F> {
    fn new(inner: F) -> Self {
        Self {
            inner,
            rounds: AtomicU64::new(0),
        }
    }
}

impl<F: Fixture<Store = EmbeddedStore>> Fixture for Tended<F> {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        self.inner.with_limits(limits).await
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        self.inner.reopen(store).await
    }

    async fn tend(&self, store: &EmbeddedStore) {
        let before = store.collection_figures().rounds;
        let figures = store.collect().await.unwrap();
        self.rounds.fetch_add(figures.rounds - before, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_with_collection_between_steps_agree_with_the_reference() {
    let fixture = Tended::new(collecting(everything()));
    histories(&fixture, 40_000..40_150).await;
    assert!(fixture.rounds.into_inner() > 100, "it was collected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_with_collection_and_kills_agree_with_the_reference() {
    let mut by_runs = collecting(everything());
    (by_runs.runs.operations, by_runs.runs.heads_min) = (1, 1);
    let fixture = Tended::new(Killed(by_runs));
    histories(&fixture, 50_000..50_060).await;
    assert!(fixture.rounds.into_inner() > 40, "it was collected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_with_collection_all_the_time_agree_with_the_reference() {
    histories(&collecting(everything_always()), 60_000..60_100).await;
}

/// The bytes of the files of one kind in the folder of a store.
pub(crate) fn bytes_of(folder: &Path, kind: &str) -> u64 {
    let files = fs::read_dir(folder.join("segments")).unwrap();
    let of_kind = files
        .map(|file| file.unwrap())
        .filter(|file| file.path().extension().is_some_and(|found| found == kind));
    of_kind.map(|file| file.metadata().unwrap().len()).sum()
}

/// Upserts of so many people, with bodies that tell which and when.
fn upserts(ids: std::ops::Range<u64>, round: u64) -> Vec<Op> {
    let op = |at: u64| upsert("person", &format!("id-{at:04}"), 0).with_body(of(at, round));
    ids.map(op).collect()
}

fn of(at: u64, round: u64) -> Vec<u8> {
    [
        format!("{at} {round} ").into_bytes(),
        noise(300, at * 1_000 + round),
    ]
    .concat()
}

/// All people with their bodies.
async fn people<S: Store>(world: &World<S>) -> Vec<(String, Vec<u8>)> {
    let all = world.resources("person", 1_000).await;
    all.into_iter()
        .map(|record| (record.id.to_string(), record.body.to_vec()))
        .collect()
}

fn expected(ids: std::ops::Range<u64>, round: u64) -> Vec<(String, Vec<u8>)> {
    ids.map(|at| (format!("id-{at:04}"), of(at, round))).collect()
}

/// The usual thresholds, for stores as small as those of tests, on the day on which a world begins.
fn usual() -> Collection {
    Collection {
        dead_bytes_min: 0,
        clock: Some(Arc::new(|| Timestamp::from_millis(BEGIN))),
        window_heads_max: 300,
        batch_heads_max: 70,
        ..Collection::by_hand()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_overwritten_leaves_the_disk_and_all_else_stays() {
    let fixture = collecting(usual());
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let mut tasks = Vec::new();
    for round in 0..6 {
        // Each overwrites a part of those before.
        tasks.push(world.bulk(&upserts(round * 100..1_000, round)).await);
        let before = people(&world).await;
        world.store.collect().await.unwrap();
        world.settle().await;
        assert_eq!(people(&world).await, before);
        let figures = world.store.collection_figures();
        assert!(figures.bytes_total <= 2 * figures.bytes_live, "{figures:?}");
        assert_eq!(figures.bytes_total, bytes_of(&folder, "bodies"));
    }
    let figures = world.store.collection_figures();
    assert!(
        figures.rounds > 1 && figures.bytes_freed > figures.bytes_rewritten,
        "{figures:?}"
    );
    // What tells of the tasks is not touched, and what is counted is what is there after a reopen.
    let all = people(&world).await;
    let world = world.reopened(&fixture).await.unwrap();
    assert_eq!(people(&world).await, all);
    assert_eq!(world.store.collect().await.unwrap().rounds, 0);
    let again = world.store.collection_figures();
    assert_eq!(
        (again.bytes_total, again.bytes_live),
        (figures.bytes_total, figures.bytes_live)
    );
    for task in tasks {
        let receipts = world.receipts(&world.task(&task).await).await;
        assert!(codes(&receipts).iter().all(|code| *code == 200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_for_little() {
    let fixture = collecting(usual());
    let world = World::new(fixture.fresh().await).await;
    let of_few = collecting(Collection {
        dead_bytes_min: 1 << 40,
        ..usual()
    });
    let few = World::new(of_few.fresh().await).await;
    world.bulk(&upserts(0..1_000, 0)).await;
    world.bulk(&upserts(0..900, 1)).await;
    few.bulk(&upserts(0..1_000, 0)).await;
    few.bulk(&upserts(0..1_000, 1)).await;
    for world in [world, few] {
        let figures = world.store.collect().await.unwrap();
        assert_eq!((figures.rounds, figures.bytes_freed), (0, 0));
        assert!(figures.bytes_live > 0 && figures.oldest_dead_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_segment_has_the_number_of_one_that_is_gone() {
    let fixture = collecting(everything());
    let mut world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let mut given = std::collections::BTreeSet::new();
    for round in 0..4 {
        world.bulk(&upserts(0..300, round)).await;
        world.store.collect().await.unwrap();
        let path = segment_file(&folder, "bodies");
        assert!(given.insert(path.clone()), "{}", path.display());
        // All that was moved goes with its records, and the newest numbers with it.
        world.accept_purge("person").await;
        world.apply_all(WHOLE).await;
        world.store.collect().await.unwrap();
        assert_eq!(bytes_of(&folder, "bodies"), 0);
        world = world.reopened(&fixture).await.unwrap();
    }
}

/// A clock that is moved by hand.
fn by_clock(collection: Collection) -> (Arc<AtomicI64>, Collection) {
    let clock = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&clock);
    let now = move || Timestamp::from_millis(BEGIN + read.load(Ordering::Relaxed));
    let collection = Collection {
        clock: Some(Arc::new(now)),
        ..collection
    };
    (clock, collection)
}

/// When a world begins.
const BEGIN: i64 = 1_750_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dead_byte_stays_for_longer_than_its_days() {
    let (clock, collection) = by_clock(usual());
    let fixture = collecting(collection);
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    // A single body that is overwritten by a single write, one of identifiers, and equal ones, dead from the start.
    world.bulk(&upserts(0..1_000, 0)).await;
    let mut named = upserts(1_000..2_000, 0);
    named[0] = named[0].clone().identified_by(&["tax:1:official"]);
    world.bulk(&named).await;
    world.bulk(&upserts(0..500, 0)).await;
    world.put(&[upsert("person", "id-0003", 7)]).await;
    let sizes = |folder: &Path| bytes_of(folder, "bodies");
    let before = sizes(&folder);
    for day in [0, 10, 29] {
        clock.store(day * DAY, Ordering::Relaxed);
        assert_eq!(world.store.collect().await.unwrap().rounds, 0, "after {day} days");
    }
    // Since when they are dead is kept.
    let world = world.reopened(&fixture).await.unwrap();
    clock.store(31 * DAY, Ordering::Relaxed);
    let figures = world.store.collect().await.unwrap();
    assert!(
        figures.rounds > 0 && figures.oldest_dead_at.is_none(),
        "{figures:?}"
    );
    assert!(sizes(&folder) < before * 9 / 10);
    let mut all = expected(0..2_000, 0);
    all[3].1 = body(7).to_vec();
    assert_eq!(people(&world).await, all);
    assert_eq!(
        world.identified("person", "tax:1:official", 10).await,
        ["id-1000"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_of_tasks_that_have_not_ended_are_left_alone() {
    let fixture = collecting(everything());
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let half = world.accept(&upserts(0..1_000, 0)).await;
    let waiting = world.accept(&upserts(500..1_000, 1)).await;
    let before = bytes_of(&folder, "bodies");
    let lane = world.claim().await.unwrap();
    assert_eq!(world.step(&lane, operations(400)).await, Step::Applied(400));
    world.settle().await;
    assert_eq!(world.store.collect().await.unwrap().rounds, 0);
    // One that was cancelled has ended.
    world.cancel(&waiting).await.unwrap();
    assert!(world.store.collect().await.unwrap().rounds > 0);
    assert!(bytes_of(&folder, "bodies") < before);
    world.drain(&lane, operations(400)).await;
    world.settle().await;
    assert_eq!(world.task(&half).await.task.counts.success, 1_000);
    assert!(world.store.collect().await.unwrap().rounds > 1);
    assert_eq!(people(&world).await, expected(0..1_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_what_failed_stay_for_their_time() {
    let (clock, collection) = by_clock(Collection {
        dead_kept: Duration::ZERO,
        ..usual()
    });
    clock.store(DAY / 24, Ordering::Relaxed);
    let fixture = collecting(collection);
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let first = world.bulk(&upserts(0..500, 0)).await;
    let mut ops = upserts(0..500, 1);
    ops[9] = create("person", "id-0001", 0).with_body(of(9, 9));
    let second = world.bulk(&ops).await;
    let read_back = async |task| {
        let sent = world.store.operations(task, &[9]).await.unwrap().remove(0);
        (sent.operation.id, sent.body.map(|body| body.to_vec()))
    };
    assert_eq!(read_back(&first).await.1, Some(of(9, 0)));
    for (day, rounds) in [(1, 1), (6, 1), (8, 2), (9, 2)] {
        clock.store(day * DAY, Ordering::Relaxed);
        let before = bytes_of(&folder, "bodies");
        let figures = world.store.collect().await.unwrap();
        assert_eq!(figures.rounds, rounds, "after {day} days");
        let is_less = bytes_of(&folder, "bodies") < before;
        assert_eq!(is_less, day == 1 || day == 8, "after {day} days");
        // What is gone says so, and which record it was on.
        assert_eq!(read_back(&first).await, (resource("id-0009"), None));
        let kept = (day < 8).then(|| of(9, 9));
        assert_eq!(read_back(&second).await, (resource("id-0001"), kept));
    }
    let mut all = expected(0..500, 1);
    all[9].1 = of(9, 0);
    assert_eq!(people(&world).await, all);
}

/// A store that does this at a step of a round, with a handle to itself.
fn opened_with(
    fixture: &OnDisk,
    collection: Collection,
    at: impl Fn(CollectStep) + Send + Sync + 'static,
) -> (tempfile::TempDir, EmbeddedStore) {
    let folder = fixture.new_folder();
    let collection = Collection {
        observer: Some(Arc::new(at)),
        ..collection
    };
    let store = EmbeddedStore::open_with(folder.path(), limits(), fixture.runs.clone(), collection).unwrap();
    (folder, store)
}

/// Steps of a round, each told once, and waited for until it may go on.
type Handshake = (
    std::sync::mpsc::Sender<CollectStep>,
    Mutex<std::sync::mpsc::Receiver<()>>,
);

fn tell(handshake: &Handshake, step: CollectStep) {
    // Once the test has ended nobody listens, and nobody is waited for.
    if handshake.0.send(step).is_ok() {
        _ = handshake.1.lock().unwrap().recv();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_its_body_is_moved_stays_written() {
    for at in [CollectStep::Found, CollectStep::Synced, CollectStep::Pointed] {
        let (told, steps) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        let handshake = (told, Mutex::new(may_go_on));
        let fixture = OnDisk::in_memory();
        // In one window, by small batches.
        let collection = Collection {
            window_heads_max: 1_000,
            batch_heads_max: 50,
            ..everything()
        };
        let (folder, store) = opened_with(&fixture, collection.clone(), move |step| tell(&handshake, step));
        let world = World::new(store.clone()).await;
        world.bulk(&upserts(0..300, 0)).await;
        world.bulk(&edges()).await;
        let round = tokio::spawn(async move { store.collect().await });
        let mut written = false;
        while !round.is_finished() {
            let Ok(step) = steps.recv_timeout(Duration::from_millis(20)) else {
                continue;
            };
            if step == at && !written {
                written = true;
                world.put(&[upsert("person", "id-0002", 2)]).await;
                world.put(&[delete("person", "id-0100")]).await;
                world.put(&[delete("person", "id-0200")]).await;
                world.put(&[create("person", "id-0200", 3)]).await;
                world.put(&[rejoin("knows", "id-0001", "id-0002", 4)]).await;
                world.bulk(&upserts(250..260, 5)).await;
            }
            go_on.send(()).unwrap();
        }
        assert!(written, "{at:?} came");
        drop((steps, go_on));
        round.await.unwrap().unwrap();
        let check = async |world: &World<EmbeddedStore>| {
            let mut all = expected(0..300, 0);
            all[2].1 = body(2).to_vec();
            all[200].1 = body(3).to_vec();
            for at in 250..260 {
                all[at as usize].1 = of(at, 5);
            }
            all.remove(100);
            assert_eq!(people(world).await, all, "written at {at:?}");
            let knows = world.edges("knows", &EdgeFilter::default(), 1_000).await;
            let of_edge = |record: Record| (record.id.to_string(), record.body.to_vec());
            let mut edges: Vec<_> = edges()
                .into_iter()
                .map(|op| (op.id.to_string(), op.body))
                .filter(|(id, _)| !id.contains("id-0100") && !id.contains("id-0200"))
                .collect();
            for (id, edge) in &mut edges {
                if id == "id-0001.id-0002" {
                    *edge = body(4).to_vec();
                }
            }
            let found: Vec<_> = knows.into_iter().map(of_edge).collect();
            assert_eq!(found, edges, "written at {at:?}");
        };
        check(&world).await;
        world.store.close().await.unwrap();
        drop(world);
        let world = World::found(
            EmbeddedStore::open_with(folder.path(), limits(), fixture.runs.clone(), everything()).unwrap(),
        )
        .await;
        check(&world).await;
        world.store.collect().await.unwrap();
        world.settle().await;
        check(&world).await;
    }
}

/// Edges whose bodies are in a segment.
fn edges() -> Vec<Op> {
    let edge = |at: u64| {
        let (from, to) = (format!("id-{at:04}"), format!("id-{:04}", at + 1));
        join("knows", &from, &to, 0).with_body(noise(400, at))
    };
    (0..290).map(edge).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_rounds_see_every_body() {
    let fixture = collecting(everything_always());
    let world = Arc::new(World::new(fixture.fresh().await).await);
    world.bulk(&upserts(0..400, 0)).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|reader: u64| {
            let (world, done) = (Arc::clone(&world), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let found = match reader {
                        0 => people(&world).await,
                        _ => {
                            let id = format!("id-{:04}", (reads * 37) % 400);
                            let body = world.body("person", &id).await;
                            vec![(id, body.expect("it is there"))]
                        }
                    };
                    for (id, body) in found {
                        let at: u64 = id.trim_start_matches("id-").parse().unwrap();
                        let text = String::from_utf8_lossy(&body[..20]).into_owned();
                        let round = text.split(' ').nth(1).unwrap().parse().unwrap();
                        assert_eq!(body, of(at, round));
                    }
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    let mut round = 0;
    while world.store.collection_figures().rounds < 25 {
        round += 1;
        world.bulk(&upserts((round * 53) % 200..400, round)).await;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 10, "it read meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_source_keeps_its_own() {
    let fixture = collecting(everything());
    let world = World::new(fixture.fresh().await).await;
    let mut other = World::bare_named(world.store.clone(), "meadow").await;
    other.define_types().await;
    world.bulk(&upserts(0..300, 0)).await;
    other.bulk(&upserts(0..300, 1)).await;
    world.bulk(&upserts(0..200, 2)).await;
    assert!(world.store.collect().await.unwrap().rounds >= 3);
    let mut mine = expected(0..200, 2);
    mine.extend(expected(200..300, 0));
    assert_eq!(people(&world).await, mine);
    assert_eq!(people(&other).await, expected(0..300, 1));
    // What was moved of a deleted source goes with it, and nothing else.
    world.store.delete_source(&world.source, true).await.unwrap();
    while world.store.free_space(50).await.unwrap() {}
    assert_eq!(people(&other).await, expected(0..300, 1));
    let (folder, _) = fixture.folder(&world.store);
    let figures = world.store.collect().await.unwrap();
    assert_eq!(bytes_of(&folder, "bodies"), figures.bytes_total);
    drop(world);
    let other = other.reopened(&fixture).await.unwrap();
    assert_eq!(people(&other).await, expected(0..300, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_deleted_in_a_round_takes_all_with_it() {
    for at in [
        CollectStep::Found,
        CollectStep::Copied,
        CollectStep::Synced,
        CollectStep::Named,
        CollectStep::Pointed,
        CollectStep::Retired,
        CollectStep::Unread,
    ] {
        let (told, steps) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        let handshake = (told, Mutex::new(may_go_on));
        let fixture = OnDisk::in_memory();
        let (folder, store) = opened_with(&fixture, everything(), move |step| tell(&handshake, step));
        let other = {
            let mut other = World::bare_named(store.clone(), "meadow").await;
            other.define_types().await;
            other
        };
        let world = World::new(store.clone()).await;
        world.bulk(&upserts(0..300, 0)).await;
        let round = tokio::spawn(async move { store.collect().await });
        let mut deleted = false;
        while !round.is_finished() {
            let Ok(step) = steps.recv_timeout(Duration::from_millis(20)) else {
                continue;
            };
            if step == at && !deleted {
                deleted = true;
                world.store.delete_source(&world.source, true).await.unwrap();
                // Some of it at once, the rest when the round has ended.
                world.store.free_space(2).await.unwrap();
            }
            go_on.send(()).unwrap();
        }
        assert!(deleted, "{at:?} came");
        drop((steps, go_on));
        round.await.unwrap().unwrap();
        while world.store.free_space(50).await.unwrap() {}
        let left = fs::read_dir(folder.path().join("segments")).unwrap().count();
        assert_eq!(left, 0, "deleted at {at:?}");
        other.bulk(&upserts(0..300, 1)).await;
        assert_eq!(people(&other).await, expected(0..300, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_segment_is_told_and_left_alone() {
    let fixture = collecting(everything());
    let world = World::new(fixture.fresh().await).await;
    world.bulk(&upserts(0..300, 0)).await;
    world.bulk(&upserts(300..600, 0)).await;
    let (folder, _) = fixture.folder(&world.store);
    let path = segment_file(&folder, "bodies");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&path, &bad).unwrap();
    let figures = world.store.collect().await.unwrap();
    assert_eq!(figures.segments_damaged, 1);
    assert!(path.exists() && figures.bytes_rewritten > 0);
    assert!(world.store.collect().await.unwrap().rounds <= figures.rounds + 1);
    let number = world.number("person");
    let (mut damaged, mut read) = (0, 0);
    for (id, body) in expected(0..600, 0) {
        match world.store.record(&world.source, number, &resource(&id)).await {
            Ok(record) => {
                assert_eq!(record.unwrap().body, body);
                read += 1;
            }
            Err(_) => damaged += 1,
        }
    }
    assert!(
        damaged > 0 && damaged < 100 && read > 500,
        "{damaged} are damaged"
    );
    // A copy of the file is put back, and all is well.
    fs::write(&path, &good).unwrap();
    let world = world.reopened(&fixture).await.unwrap();
    assert_eq!(world.store.collect().await.unwrap().segments_damaged, 0);
    world.settle().await;
    assert!(!path.exists());
    assert_eq!(people(&world).await, expected(0..600, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_round_that_broke_off_has_moved_is_seen_by_the_next() {
    let breaks = AtomicBool::new(true);
    let fixture = collecting(Collection {
        observer: Some(Arc::new(move |step| {
            if step == CollectStep::Pointed && breaks.swap(false, Ordering::Relaxed) {
                // Without the time that a report of a panic takes: a sync would come in between.
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        })),
        ..everything()
    });
    let store = fixture.with_limits(limits()).await;
    let world = World::new(store.clone()).await;
    world.bulk(&upserts(0..400, 0)).await;
    let broken = tokio::spawn({
        let store = store.clone();
        async move { store.collect().await }
    });
    assert!(broken.await.unwrap_err().is_panic());
    // Some heads point to the segment of the broken round, which no sync has covered yet, and it is a victim itself.
    store.collect().await.unwrap();
    assert_eq!(people(&world).await, expected(0..400, 0));
}

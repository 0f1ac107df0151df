//! The workers.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::receipt::ReceiptStatus;
use granary_core::task::TaskStatus;
use granary_engine::{Engine, EngineOptions, HandClock};
use granary_store::{Budget, Lane, Result, StoreError};
use tokio::sync::Notify;

use crate::faulty_store::FaultyStore;
use crate::world::{World, bulk_of, create, options};

type Chunks = Arc<Mutex<Vec<(String, usize)>>>;

/// A store with a hook before each chunk, that notes each chunk, and makes it last a while on the clock.
struct Hooked {
    store: Arc<FaultyStore>,
    /// Source and budget of each chunk.
    chunks: Chunks,
    /// How often a worker has looked for a lane to claim.
    looks: Arc<AtomicU64>,
    clock: Arc<OnceLock<Arc<HandClock>>>,
}

impl Hooked {
    fn new(
        chunk_time: Duration,
        before_chunk: impl Fn(&Lane, Budget) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::failing(chunk_time, before_chunk, |_| Ok(()))
    }

    /// The same with a hook before an operation is failed untried.
    fn failing(
        chunk_time: Duration,
        before_chunk: impl Fn(&Lane, Budget) -> Result<()> + Send + Sync + 'static,
        before_failing: impl Fn(&Lane) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let chunks = Chunks::default();
        let clock = Arc::new(OnceLock::<Arc<HandClock>>::new());
        let (noted, moved) = (Arc::clone(&chunks), Arc::clone(&clock));
        let hook = move |lane: &Lane, budget: Budget| {
            noted
                .lock()
                .unwrap()
                .push((lane.source.key.to_string(), budget.operations));
            if let Some(clock) = moved.get() {
                clock.advance(chunk_time);
            }
            before_chunk(lane, budget)
        };
        let looks = Arc::<AtomicU64>::default();
        let looked = Arc::clone(&looks);
        let store = FaultyStore {
            before_chunk: Box::new(hook),
            before_claim: Box::new(move || {
                looked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }),
            before_failing: Box::new(before_failing),
            ..FaultyStore::sound()
        };
        Self {
            store: Arc::new(store),
            chunks,
            looks,
            clock,
        }
    }

    async fn world(&self, options: EngineOptions) -> World {
        let world = World::over(self.store.clone(), Limits::default(), options).await;
        let _ = self.clock.set(Arc::clone(&world.clock));
        world
    }

    fn chunks(&self) -> Vec<(String, usize)> {
        self.chunks.lock().unwrap().clone()
    }

    /// Waits until the one worker has taken a whole turn from now on, and found nothing to do in it: it looks for a lane of the
    /// store after those that wait, so its second look from now on ends such a turn.
    async fn found_nothing(&self) {
        let until = self.looks.load(Ordering::Relaxed) + 2;
        while self.looks.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Lets all run that can: on the one thread of a test, whoever was woken has its turn meanwhile.
async fn all_have_run() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn workers(workers: usize) -> EngineOptions {
    EngineOptions { workers, ..options() }
}

/// Starts workers over the store of a world.
fn start_over(world: &World, options: EngineOptions) -> Engine {
    Engine::start(
        world.store.clone(),
        world.clock.clone(),
        Limits::default(),
        options,
    )
}

fn many(count: usize) -> String {
    bulk_of((0..count).map(|n| create(&format!("id-{n}"), "A")))
}

#[tokio::test]
async fn a_long_task_does_not_starve_another_source() {
    let hooked = Hooked::new(Duration::from_millis(20), |_, _| Ok(()));
    let world = hooked.world(workers(0)).await;
    world.source("other").await;
    let long = world.accepted("clinics", &many(40_000)).await;
    let short = world.accepted("other", &many(10)).await;
    let engine = start_over(&world, workers(1));
    world.ended(&short).await;
    world.ended(&long).await;
    engine.stop().await;
    let chunks = hooked.chunks();
    let first_of_other = chunks.iter().position(|(source, _)| source == "other").unwrap();
    // A quantum of 100 ms holds five chunks of 20 ms.
    assert_eq!(first_of_other, 5);
    assert!(chunks.len() > 30, "{}", chunks.len());
}

#[tokio::test]
async fn tasks_of_a_source_are_applied_in_the_order_of_acceptance() {
    let world = World::with(Limits::default(), workers(4)).await;
    let mut tasks = Vec::new();
    for round in 0..20 {
        let operations = (0..300).map(|n| {
            format!(
                r#"{{"action":"UPSERT","upsert":{{"id":"id-{n}","type":"provider","data":{{"name":"r{round}"}}}}}}"#
            )
        });
        tasks.push(world.accepted("clinics", &bulk_of(operations)).await);
    }
    for task in &tasks {
        let ended = world.ended(task).await;
        assert_eq!(
            (ended.task.status, ended.task.counts.success),
            (TaskStatus::Success, 300)
        );
    }
    let id = granary_core::operation::RecordId::Resource("id-7".parse().unwrap());
    let record = world.record("clinics", "provider", &id).await.unwrap();
    assert_eq!(
        (record.head.version, record.body.as_ref()),
        (20, &br#"{"data":{"name":"r19"}}"#[..])
    );
    world.engine.stop().await;
}

#[tokio::test]
async fn workers_stop_between_chunks_and_others_go_on() {
    let stop_at = Arc::new(AtomicU32::new(3));
    let (counted, engine) = (Arc::clone(&stop_at), Arc::new(OnceLock::<Engine>::new()));
    let stopped = Arc::clone(&engine);
    let hooked = Hooked::new(Duration::from_millis(20), move |_, _| {
        if counted.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(engine) = stopped.get().cloned()
        {
            // Stops while the third chunk is being applied.
            tokio::spawn(async move { engine.stop().await });
        }
        Ok(())
    });
    let world = hooked.world(workers(0)).await;
    let task = world.accepted("clinics", &many(20_000)).await;
    engine.set(start_over(&world, workers(1))).ok().unwrap();
    let first = engine.get().unwrap();
    while !first.stopping() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    first.stop().await;
    // The lane was given back: whoever applied more of it would have to hold it.
    let lane = world.store.claim_lane().await.unwrap();
    let lane = lane.expect("nobody holds it");
    let cursor = world.task(&task).await.cursor;
    assert!(cursor > 0 && cursor < 20_000, "{cursor}");
    world.store.release_lane(lane).await;

    let second = start_over(&world, workers(1));
    let ended = world.ended(&task).await;
    assert_eq!(ended.task.counts.success, 20_000);
    second.stop().await;
}

#[tokio::test]
async fn a_lane_that_fails_waits_and_the_others_go_on() {
    let broken = Arc::new(AtomicBool::new(true));
    let (breaks, tries) = (Arc::clone(&broken), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&tries);
    let hooked = Hooked::new(Duration::ZERO, move |lane, _| {
        if lane.source.key.as_str() == "clinics" && breaks.load(Ordering::Relaxed) {
            counted.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable("for the test".into()));
        }
        Ok(())
    });
    let world = hooked.world(workers(1)).await;
    world.source("other").await;
    let task = world.accepted("clinics", &many(10)).await;
    let other = world.accepted("other", &many(10)).await;
    world.ended(&other).await;
    hooked.found_nothing().await;
    // The clock stands still, so no pause is over.
    assert_eq!(tries.load(Ordering::Relaxed), 1);
    for (tries_then, pause) in [(2, 100), (3, 200), (4, 400), (5, 800), (6, 1_000), (7, 1_000)] {
        world.clock.advance(Duration::from_millis(pause - 1));
        hooked.found_nothing().await;
        assert_eq!(tries.load(Ordering::Relaxed), tries_then - 1);
        world.clock.advance(Duration::from_millis(1));
        while tries.load(Ordering::Relaxed) < tries_then {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    broken.store(false, Ordering::Relaxed);
    while world.task(&task).await.task.status == TaskStatus::Pending {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.engine.stop().await;
}

/// A store over which chunks of `clinics` that hold one of these operations panic. It follows the one task there is
/// while it is applied; `fails` says whether an operation may be failed untried.
fn panicking(
    total: u64,
    broken: &'static [u64],
    fails: impl Fn() -> Result<()> + Send + Sync + 'static,
) -> Hooked {
    let cursor = Arc::new(AtomicU64::new(0));
    let passed = Arc::clone(&cursor);
    Hooked::failing(
        Duration::ZERO,
        move |lane, budget| {
            if lane.source.key.as_str() == "clinics" {
                let at = cursor.load(Ordering::Relaxed);
                let end = total.min(at + budget.operations as u64);
                let holds = broken.iter().find(|operation| (at..end).contains(operation));
                assert_eq!(holds, None, "a secret of the operation that panics");
                cursor.store(end, Ordering::Relaxed);
            }
            Ok(())
        },
        move |_| {
            fails()?;
            passed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        },
    )
}

#[tokio::test]
async fn an_operation_that_panics_fails_alone() {
    let broken: &[u64] = &[700, 1_500];
    let hooked = panicking(2_500, broken, || Ok(()));
    let world = hooked.world(workers(2)).await;
    world.source("other").await;
    let operations = (0..2_500).map(|n| {
        let id = n % 10;
        format!(
            r#"{{"action":"UPSERT","upsert":{{"id":"id-{id}","type":"provider","data":{{"name":"n{n}"}}}}}}"#
        )
    });
    let task = world.accepted("clinics", &bulk_of(operations)).await;
    let other = world.accepted("other", &many(10)).await;
    world.ended(&other).await;
    while world.task(&task).await.task.status == TaskStatus::Pending {
        world.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ended = world.task(&task).await;
    assert_eq!((ended.task.counts.success, ended.task.counts.failure), (2_498, 2));
    for receipt in world.receipts(&ended).await {
        let Some(error) = receipt.error else {
            assert_eq!(receipt.status, ReceiptStatus::Success);
            continue;
        };
        assert!(broken.contains(&receipt.index), "{}", receipt.index);
        assert_eq!(error.error_type, ErrorType::Internal);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    for (id, version) in [(0, 248), (1, 250), (9, 250)] {
        let record_id = granary_core::operation::RecordId::Resource(format!("id-{id}").parse().unwrap());
        let record = world.record("clinics", "provider", &record_id).await.unwrap();
        let body = format!(r#"{{"data":{{"name":"n{}"}}}}"#, 2_490 + id);
        assert_eq!(
            (record.head.version, record.body.as_ref()),
            (version, body.as_bytes())
        );
    }
    let budgets: Vec<usize> = hooked
        .chunks()
        .iter()
        .map(|(_, operations)| *operations)
        .collect();
    assert!(
        budgets.contains(&1) && *budgets.last().unwrap() > 1,
        "whole chunks again at the end"
    );
    world.engine.stop().await;
}

#[tokio::test]
async fn a_lane_whose_operation_panics_and_cannot_be_failed_waits() {
    let out_of_reach = Arc::new(AtomicBool::new(true));
    let unreached = Arc::clone(&out_of_reach);
    let tries = Arc::<AtomicU64>::default();
    let tried = Arc::clone(&tries);
    let hooked = panicking(2_000, &[700], move || {
        tried.fetch_add(1, Ordering::Relaxed);
        match unreached.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("for the test".into())),
            false => Ok(()),
        }
    });
    let world = hooked.world(workers(2)).await;
    world.source("other").await;
    let task = world.accepted("clinics", &many(2_000)).await;
    let other = world.accepted("other", &many(10)).await;
    world.ended(&other).await;
    while tries.load(Ordering::Relaxed) < 3 {
        world.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.task(&task).await.cursor, 700);
    out_of_reach.store(false, Ordering::Relaxed);
    while world.task(&task).await.task.status == TaskStatus::Pending {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ended = world.task(&task).await;
    assert_eq!((ended.task.counts.success, ended.task.counts.failure), (1_999, 1));
    world.engine.stop().await;
}

#[tokio::test]
async fn a_suspect_lane_is_applied_one_by_one_and_then_with_care_for_a_while() {
    let budgets = Arc::<Mutex<Vec<usize>>>::default();
    let noted = Arc::clone(&budgets);
    let store = FaultyStore {
        before_chunk: Box::new(move |_, budget| {
            noted.lock().unwrap().push(budget.operations);
            Ok(())
        }),
        suspects_next: AtomicBool::new(true),
        ..FaultyStore::sound()
    };
    let world = World::over(Arc::new(store), Limits::default(), workers(0)).await;
    let task = world.accepted("clinics", &many(6_000)).await;
    // Its quantum is over at once, and still it is not given back under suspicion.
    let options = EngineOptions {
        quantum: Duration::ZERO,
        ..workers(1)
    };
    let engine = start_over(&world, options);
    assert_eq!(world.ended(&task).await.task.counts.success, 6_000);
    engine.stop().await;
    let budgets = budgets.lock().unwrap();
    let (one_by_one, rest) = budgets.split_at(64);
    assert!(one_by_one.iter().all(|operations| *operations == 1));
    let (careful, whole) = rest.split_at((4_096 - 64) / 64);
    assert!(careful.iter().all(|operations| *operations == 64), "{careful:?}");
    assert!(whole.iter().all(|operations| *operations > 64), "{whole:?}");
}

#[tokio::test]
async fn lanes_that_cannot_be_claimed_are_tried_again_without_spinning() {
    let tries = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&tries);
    let store = FaultyStore {
        before_claim: Box::new(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Err(StoreError::Unavailable("for the test".into())),
            _ => Ok(()),
        }),
        ..FaultyStore::sound()
    };
    let world = World::over(Arc::new(store), Limits::default(), workers(1)).await;
    let task = world.accepted("clinics", &many(10)).await;
    while tries.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.ended(&task).await.task.counts.success, 10);
    world.engine.stop().await;
}

#[tokio::test]
async fn what_is_accepted_wakes_a_worker() {
    let options = EngineOptions {
        poll_every: Duration::from_secs(3_600),
        ..workers(2)
    };
    let world = World::with(Limits::default(), options).await;
    for round in 0..50 {
        tokio::time::sleep(Duration::from_micros(100 * round)).await;
        let task = world
            .accepted("clinics", &bulk_of([create(&format!("id-{round}"), "A")]))
            .await;
        world.ended(&task).await;
    }
    world.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(
    clippy::await_holding_lock,
    reason = "it holds a chunk of a worker, and no other lock"
)]
async fn a_small_task_is_begun_while_another_worker_is_in_the_middle_of_a_chunk() {
    // A chunk of the first source is held for as long as the test holds this.
    let hold = Arc::new(Mutex::new(()));
    let (begin, begun) = std::sync::mpsc::channel();
    let held = Arc::clone(&hold);
    let hooked = Hooked::new(Duration::ZERO, move |lane, _| {
        if lane.source.key.as_str() == "clinics" {
            _ = begin.send(());
            drop(held.lock().unwrap());
        }
        Ok(())
    });
    let options = EngineOptions {
        poll_every: Duration::from_secs(3_600),
        ..workers(2)
    };
    let world = hooked.world(options).await;
    world.source("other").await;
    for round in 0..20 {
        let body = bulk_of([create(&format!("id-{round}"), "A")]);
        let holding = hold.lock().unwrap();
        let large = world.accepted("clinics", &body).await;
        tokio::task::block_in_place(|| begun.recv_timeout(Duration::from_secs(60))).unwrap();
        // The second one: whoever began the first one has begun to wait after the worker that is held.
        for _ in 0..2 {
            let small = world.accepted("other", &body).await;
            world.ended(&small).await;
        }
        drop(holding);
        world.ended(&large).await;
        while begun.try_recv().is_ok() {}
    }
    world.engine.stop().await;
}

#[tokio::test]
async fn what_another_process_accepts_wakes_workers_where_the_store_hints_at_it() {
    let (looks, elsewhere) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let looked = Arc::clone(&looks);
    let store = FaultyStore {
        before_claim: Box::new(move || {
            looked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }),
        elsewhere: Arc::clone(&elsewhere),
        ..FaultyStore::sound()
    };
    // The engine of the world is the other process.
    let world = World::over(Arc::new(store), Limits::default(), workers(0)).await;
    let options = EngineOptions {
        poll_every: Duration::from_secs(3_600),
        ..workers(2)
    };
    let engine = start_over(&world, options);
    // Each of the workers has looked, and waits.
    while looks.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all_have_run().await;
    let looked = looks.load(Ordering::Relaxed);
    for round in 0..20 {
        let body = bulk_of([create(&format!("id-{round}"), "A")]);
        let task = world.accepted("clinics", &body).await;
        if round == 0 {
            all_have_run().await;
            assert_eq!(looks.load(Ordering::Relaxed), looked);
            assert_eq!(world.task(&task).await.task.status, TaskStatus::Pending);
        }
        elsewhere.notify_one();
        world.ended(&task).await;
    }
    engine.stop().await;
}

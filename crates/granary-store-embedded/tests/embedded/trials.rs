//! Operations that end the process are left out in the end, and others are not.

use std::path::Path;
use std::sync::{Arc, Mutex};

use granary_core::error::ErrorType;
use granary_store::suite::Fixture as _;
use granary_store::suite::world::*;
use granary_store::{Step, Store as _, StoredTask};
use granary_store_embedded::{Collection, EmbeddedStore, RunStep, Runs};

use crate::runs::copy_while_open;
use crate::{OnDisk, limits};

pub(crate) type Copy = Arc<Mutex<Option<tempfile::TempDir>>>;

/// Opens a folder; each operation on a record goes in as a run, and what a process leaves that ends in its midst is copied.
pub(crate) async fn open(folder: &Path) -> (World<EmbeddedStore>, Copy) {
    let copy = Copy::default();
    let (from, to) = (folder.to_owned(), Arc::clone(&copy));
    let runs = Runs {
        heads_min: 1,
        operations: 1,
        operations_beside_writes: 1,
        observer: Some(Arc::new(move |step| {
            if step == RunStep::Written {
                let left = tempfile::tempdir().unwrap();
                copy_while_open(&from, left.path());
                *to.lock().unwrap() = Some(left);
            }
        })),
    };
    let store = EmbeddedStore::open_with(folder, limits(), runs, Collection::default()).unwrap();
    (World::found(store).await, copy)
}

/// What a process leaves that ends before it has done anything.
pub(crate) fn killed(folder: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    copy_while_open(folder, left.path());
    left
}

/// A folder whose lane is suspect, with this request at its head.
async fn suspect(ops: &[Op]) -> (tempfile::TempDir, StoredTask) {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(ops).await;
    let mut folder = killed(&fixture.folder(&world.store).0);
    for asked in [(false, false), (true, false), (true, true)] {
        let (world, _) = open(folder.path()).await;
        let lane = world.claim().await.unwrap();
        assert_eq!((lane.taken_over, lane.suspect), asked);
        folder = killed(folder.path());
    }
    (folder, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_ends_the_process_again_and_again_is_left_out() {
    let ops = [
        create("person", "before", 0),
        create("person", "deadly", 0),
        create("person", "behind", 0),
    ];
    let (mut folder, task) = suspect(&ops).await;
    let mut starts = 0;
    let (world, lane) = loop {
        starts += 1;
        let (world, copy) = open(folder.path()).await;
        let lane = world.claim().await.unwrap();
        assert!(lane.taken_over && lane.suspect, "at start {starts}");
        if starts == 1 {
            assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
        }
        copy.lock().unwrap().take();
        assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
        // It ends in the midst of it, as long as it is tried.
        let Some(left) = copy.lock().unwrap().take() else {
            break (world, lane);
        };
        world.settle().await;
        let tried = world.record("person", &resource("deadly")).await;
        assert!(
            tried.is_some(),
            "where nothing ends the process, it is as any other"
        );
        drop(world);
        folder = left;
    };
    assert_eq!(starts, 6, "five processes have ended at it");
    assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
    world.settle().await;
    let receipts = world.receipts(&world.task(&task).await).await;
    assert_eq!(codes(&receipts), [200, 500, 200]);
    assert_eq!(
        receipts[1].error.as_ref().unwrap().error_type,
        ErrorType::Internal
    );
    assert_eq!(world.record("person", &resource("deadly")).await, None);
}

/// Operations of one chunk, as workers choose them for lanes.
const AT_EASE: usize = 1_024;
const WITH_CARE: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_ends_the_process_is_found_among_many() {
    const DEADLY: u64 = 200;
    let ops: Vec<Op> = (0..204)
        .map(|at| create("person", &format!("id-{at}"), at))
        .collect();
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&ops).await;
    let mut folder = killed(&fixture.folder(&world.store).0);
    let mut chunks_that_end_it = Vec::new();
    let world = 'starts: loop {
        let (world, copy) = open(folder.path()).await;
        let lane = world.claim().await.unwrap();
        let mut at = world.task(&task).await.cursor;
        let mut suspected = if lane.suspect { WITH_CARE } else { 0 };
        loop {
            let count = match (suspected, lane.taken_over) {
                (1.., _) => 1,
                (0, true) => WITH_CARE,
                (0, false) => AT_EASE,
            };
            suspected = suspected.saturating_sub(count);
            copy.lock().unwrap().take();
            let Step::Applied(applied) = world.step(&lane, operations(count)).await else {
                break 'starts world;
            };
            let has_it = (at..at + applied).contains(&DEADLY);
            at += applied;
            // It ends in the midst of the chunk that has it, unless that leaves it out.
            if let Some(left) = copy.lock().unwrap().take().filter(|_| has_it) {
                chunks_that_end_it.push(count);
                folder = left;
                break;
            }
        }
    };
    // Each length twice: once at the place where it begins, and once as near as chunks of the length before come.
    let expected = [AT_EASE, WITH_CARE, AT_EASE, WITH_CARE, 1, 1, 1, 1, 1];
    assert_eq!(chunks_that_end_it, expected);
    world.settle().await;
    let codes = codes(&world.receipts(&world.task(&task).await).await);
    let failed: Vec<usize> = (0..codes.len()).filter(|at| codes[*at] != 200).collect();
    assert_eq!(
        (failed.as_slice(), codes.len()),
        ([DEADLY as usize].as_slice(), 204)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_order_is_no_death_and_neither_is_getting_on() {
    let ops = [create("person", "one", 0), create("person", "two", 0)];
    let (folder, _) = suspect(&ops).await;
    let (world, _) = open(folder.path()).await;
    let lane = world.claim().await.unwrap();
    assert!(lane.suspect);
    assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
    world.settle().await;
    let left = killed(folder.path());
    let (after, _) = open(left.path()).await;
    let lane = after.claim().await.unwrap();
    assert!(!lane.taken_over && !lane.suspect, "it got on");
    drop(after);

    let (folder, _) = suspect(&ops).await;
    let (world, _) = open(folder.path()).await;
    assert!(world.claim().await.unwrap().suspect);
    world.store.close().await.unwrap();
    drop(world);
    let (after, _) = open(folder.path()).await;
    let lane = after.claim().await.unwrap();
    assert!(!lane.suspect, "the stop forgot it");
}

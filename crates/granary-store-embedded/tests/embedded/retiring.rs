//! Tasks that are kept no longer leave the disk, whatever ends the process meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use granary_core::error::ErrorType;
use granary_core::time::Timestamp;
use granary_store::suite::world::*;
use granary_store::{Record, Retention, Store as _, StoreError, StoredTask};
use granary_store_embedded::{EmbeddedStore, Runs};

use crate::check::checked;
use crate::collect::everything;
use crate::collect_crash::only_named_files;
use crate::runs::copy_while_open;
use crate::{OnDisk, limits};

pub(crate) fn before(since: Timestamp) -> Retention {
    Retention {
        lane_since: since,
        at_once_since: since,
        bytes_max: u64::MAX,
        spared_since: since,
        removed_since: Timestamp::EPOCH,
    }
}

/// A request of upserts, and one of creates of which half fail.
fn requests() -> [Vec<Op>; 2] {
    let person = |at: u64| upsert("person", &format!("id-{at:03}"), 0).with_body(noise(900, at));
    let again = |at: u64| create("person", &format!("id-{:03}", at * 2), 1).with_body(noise(900, 1_000 + at));
    [(0..200).map(person).collect(), (0..200).map(again).collect()]
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with(folder, limits(), Runs::default(), everything()).unwrap()
}

async fn shown(world: &World<EmbeddedStore>) -> Vec<Record> {
    world.resources("person", 1_000).await
}

fn files(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder.join("segments")).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

pub(crate) async fn all_steps(world: &World<EmbeddedStore>, kept: &Retention) {
    while world
        .store
        .retire_tasks(kept, world.now(), 10)
        .await
        .unwrap()
        .more
    {}
    world.settle().await;
}

/// Sees that a task is there with all that it has, or gone and known to be; true where it is gone.
async fn whole_or_gone(world: &World<EmbeddedStore>, task: &StoredTask) -> bool {
    let id = task.task.id.ksuid;
    let found = world.store.task(&world.source, id).await.unwrap();
    let removed = world.store.removed_task(&world.source, id).await.unwrap();
    let total = task.task.counts.total as usize;
    match found {
        Some(found) => {
            assert_eq!(removed, None);
            assert_eq!(world.receipts(&found).await.len(), total);
            let all: Vec<u64> = (0..total as u64).collect();
            assert_eq!(world.store.operations(&found, &all).await.unwrap().len(), total);
            false
        }
        None => {
            assert_eq!(removed.unwrap().id, task.task.id);
            let refused = world.store.receipts(task, 0, 10).await;
            let is_gone = |error: &StoreError| matches!(error, StoreError::Refused(e) if e.error_type == ErrorType::NotFound);
            assert!(refused.is_err_and(|error| is_gone(&error)));
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_leave_the_disk_with_their_task_and_bodies_once_nothing_points_to_them() {
    let fixture = OnDisk::in_memory();
    let folder = fixture.new_folder();
    let world = World::new(open(folder.path())).await;
    let [persons, again] = requests();
    let first = world.bulk(&persons).await;
    let second = world.bulk(&again).await;
    assert_eq!(
        (second.task.counts.failure, second.task.counts.success),
        (100, 100)
    );
    let expected = shown(&world).await;
    let kinds = |kind: &str| {
        { files(folder.path()).into_iter() }
            .filter(|file| file.ends_with(kind))
            .count()
    };
    assert_eq!((kinds("operations"), kinds("bodies")), (2, 2));
    all_steps(&world, &before(world.now())).await;
    assert_eq!(
        (kinds("operations"), kinds("bodies")),
        (0, 2),
        "{:?}",
        files(folder.path())
    );
    assert_eq!(shown(&world).await, expected);
    // Bodies of what failed are kept for nobody now, and go with the next round.
    world.store.collect().await.unwrap();
    let live = expected
        .iter()
        .map(|record| record.body.len() as u64)
        .sum::<u64>();
    let bytes = |file: String| {
        folder
            .path()
            .join("segments")
            .join(file)
            .metadata()
            .unwrap()
            .len()
    };
    let on_disk = files(folder.path()).into_iter().map(bytes).sum::<u64>();
    assert!(on_disk < live * 11 / 10, "{on_disk} bytes for {live}");
    assert_eq!(shown(&world).await, expected);
    for task in [&first, &second] {
        assert!(whole_or_gone(&world, task).await);
    }
    world.store.close().await.unwrap();
    drop(world);
    only_named_files(folder.path());
    let world = World::found(open(folder.path())).await;
    assert_eq!(shown(&world).await, expected);
    assert!(whole_or_gone(&world, &first).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_leaves_each_task_whole_or_gone_and_its_removal_goes_on() {
    let fixture = OnDisk::in_memory();
    let folder = fixture.new_folder();
    let world = World::new(open(folder.path())).await;
    let [persons, again] = requests();
    let mut tasks = Vec::new();
    for ops in [&persons[..], &again, &[delete("person", "nobody")]] {
        tasks.push(world.accept(ops).await);
        // Many rows of receipts.
        world.apply_all(operations(40)).await;
    }
    let expected = shown(&world).await;
    let with_files = files(folder.path());
    let kept = before(world.now());
    let (mut gone_at_steps, mut steps) = (BTreeSet::new(), 0);
    loop {
        let more = world
            .store
            .retire_tasks(&kept, world.now(), 2)
            .await
            .unwrap()
            .more;
        world.settle().await;
        steps += 1;
        let copy = fixture.new_folder();
        copy_while_open(folder.path(), copy.path());
        // That a file was removed need not have reached the disk.
        for file in with_files.difference(&files(folder.path())) {
            fs::write(copy.path().join("segments").join(file), b"what was there").unwrap();
        }
        assert_eq!(checked(copy.path()).findings, [], "at step {steps}");
        let after = World::found(open(copy.path())).await;
        assert_eq!(shown(&after).await, expected, "at step {steps}");
        let mut gone = 0;
        for task in &tasks {
            gone += usize::from(whole_or_gone(&after, task).await);
        }
        gone_at_steps.insert(gone);
        all_steps(&after, &kept).await;
        for task in &tasks {
            assert!(whole_or_gone(&after, task).await);
        }
        assert_eq!(shown(&after).await, expected, "at step {steps}, and went on");
        after.store.close().await.unwrap();
        drop(after);
        only_named_files(copy.path());
        assert!(files(copy.path()).iter().all(|file| file.ends_with("bodies")));
        if !more {
            break;
        }
    }
    assert!(
        gone_at_steps.is_superset(&BTreeSet::from([1, 2, 3])),
        "{gone_at_steps:?}"
    );
    assert!(steps > 8, "{steps}");
}

//! Tasks that are kept no longer.

use granary_core::error::ErrorType;
use granary_core::task::TaskKind;
use granary_core::time::Timestamp;

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{RemovedTask, Retention, Retired, Store, StoredTask, TaskFilter};

/// Everything is kept for good.
const FOR_GOOD: Retention = Retention {
    lane_since: Timestamp::EPOCH,
    at_once_since: Timestamp::EPOCH,
    bytes_max: u64::MAX,
    spared_since: Timestamp::EPOCH,
    removed_since: Timestamp::EPOCH,
};

/// Takes a step.
async fn step<S: Store>(world: &World<S>, kept: &Retention, rows: usize) -> Retired {
    let retired = world.store.retire_tasks(kept, world.now(), rows).await;
    retired.expect("tasks are removed")
}

/// Takes all steps, each of so many rows; how many tasks went.
async fn retire<S: Store>(world: &World<S>, kept: &Retention, rows: usize) -> u64 {
    let mut tasks = 0;
    loop {
        let retired = step(world, kept, rows).await;
        tasks += retired.tasks;
        if !retired.more {
            world.settle().await;
            return tasks;
        }
    }
}

async fn removed<S: Store>(world: &World<S>, task: &StoredTask) -> Option<RemovedTask> {
    let removed = world.store.removed_task(&world.source, task.task.id.ksuid).await;
    removed.expect("removed tasks are looked for")
}

async fn is_there<S: Store>(world: &World<S>, task: &StoredTask) -> bool {
    let found = world.store.task(&world.source, task.task.id.ksuid).await;
    found.expect("a task is looked for").is_some()
}

async fn listed<S: Store>(world: &World<S>, kind: Option<TaskKind>) -> Vec<StoredTask> {
    let filter = TaskFilter {
        kind,
        ..TaskFilter::default()
    };
    let tasks = world.store.tasks(&world.source, &filter, None, 1_000).await;
    tasks.expect("tasks are listed")
}

/// Sees that nothing of a task can be read any more.
async fn is_gone<S: Store>(world: &World<S>, task: &StoredTask) {
    assert!(!is_there(world, task).await, "{task:?}");
    refused_with(world.store.receipts(task, 0, 10).await, ErrorType::NotFound);
    refused_with(world.store.operations(task, &[0]).await, ErrorType::NotFound);
}

/// More than is kept beside a task.
fn large(round: u32) -> Vec<Op> {
    let op = |at: u64| {
        upsert("person", &format!("id-{at:03}"), round).with_body(noise(300, at * 10 + u64::from(round)))
    };
    (0..1_000).map(op).collect()
}

pub async fn tasks_that_ended_before_go_and_all_others_stay<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world.bulk(&large(1)).await;
    let failed = world
        .bulk(&[create("person", "id-001", 2), delete("person", "nobody")])
        .await;
    let purge = world.accept_purge("place").await;
    let cancelled = world.accept(&large(2)).await;
    let cancelled = world.cancel(&cancelled).await.expect("a task is cancelled");
    world.apply_all(WHOLE).await;
    world.put(&[create("place", "rome", 1)]).await;
    let since = world.now();
    let later = world.bulk(&[delete("person", "nobody")]).await;
    let waits = world.accept(&[create("person", "ann", 1)]).await;
    let records = world.resources("person", 1_000).await;

    assert_eq!(retire(&world, &FOR_GOOD, 100).await, 0, "all are kept");
    let kept = Retention {
        lane_since: since,
        ..FOR_GOOD
    };
    for rows in [1, 2, 1_000] {
        let gone = retire(&world, &kept, rows).await;
        assert_eq!(gone, if rows == 1 { 4 } else { 0 }, "once, {rows} rows at a time");
    }
    for task in [&first, &failed, &purge, &cancelled] {
        is_gone(&world, task).await;
        let removed = removed(&world, task).await.expect("that it was there is known");
        assert_eq!(removed.id, task.task.id);
        assert!(removed.at > since);
    }
    let left: Vec<_> = listed(&world, None)
        .await
        .iter()
        .map(|task| task.task.id)
        .collect();
    assert_eq!(left, [waits.task.id, later.task.id]);
    assert_eq!(world.receipts(&later).await.len(), 1);
    assert_eq!(removed(&world, &later).await, None);
    assert_eq!(listed(&world, Some(TaskKind::Single)).await.len(), 1);
    assert_eq!(
        world.resources("person", 1_000).await,
        records,
        "what they wrote stays"
    );
    world.apply_all(WHOLE).await;
    assert!(world.task(&waits).await.task.completed_at.is_some());
    world.bulk(&large(3)).await;
}

pub async fn single_writes_and_bundles_go_whole_and_leave_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    for at in 0..300 {
        world
            .put(&[upsert("person", &format!("id-{}", at % 7), at)])
            .await;
    }
    world
        .put(&[create("place", "rome", 1), create("place", "oslo", 1)])
        .await;
    let lane = world.bulk(&[delete("person", "nobody")]).await;
    let bundle = listed(&world, Some(TaskKind::Bundle)).await.remove(0);
    let single = listed(&world, Some(TaskKind::Single)).await.remove(0);
    let since = world.now();
    world.put(&[create("person", "late", 1)]).await;
    let kept = Retention {
        at_once_since: since,
        ..FOR_GOOD
    };
    let records = world.resources("person", 100).await;
    assert_eq!(retire(&world, &kept, 10).await, 301);
    assert_eq!(retire(&world, &kept, 10).await, 0);
    for task in [&bundle, &single] {
        is_gone(&world, task).await;
        assert_eq!(removed(&world, task).await, None);
    }
    assert_eq!(
        listed(&world, Some(TaskKind::Single)).await.len(),
        1,
        "the late one"
    );
    assert!(is_there(&world, &lane).await);
    assert_eq!(world.resources("person", 100).await, records);
}

pub async fn a_write_of_a_clock_that_was_ahead_keeps_none_that_follow<F: Fixture>(fixture: &F) {
    const YEAR: i64 = 365 * 24 * 3_600 * 1_000;
    let world = World::new(fixture.fresh().await).await;
    let ahead = Timestamp::from_millis(world.now().millis() + YEAR);
    let written = world.try_at(&[create("person", "ahead", 1)], None, ahead).await;
    written.expect("it is written");
    for at in 0..5 {
        world.put(&[upsert("person", "ann", at)]).await;
    }
    let kept = Retention {
        at_once_since: world.now(),
        ..FOR_GOOD
    };
    assert_eq!(retire(&world, &kept, 10).await, 5);
    assert_eq!(listed(&world, Some(TaskKind::Single)).await.len(), 1);
}

pub async fn the_oldest_go_where_tasks_take_too_many_bytes<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let undone: Vec<Op> = (0..100)
        .map(|at| delete("person", &format!("none-{at}")))
        .collect();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(world.bulk(&undone).await);
    }
    let waits = world.accept(&undone).await;
    // Each takes between 19 and 27 kB, as the one or the other store spools it.
    let two_of_them = Retention {
        bytes_max: 55_000,
        spared_since: world.now(),
        ..FOR_GOOD
    };
    let spared = Retention {
        spared_since: tasks[1].task.completed_at.expect("it has ended"),
        ..two_of_them
    };
    assert_eq!(
        retire(&world, &spared, 10).await,
        1,
        "the others ended too late to go"
    );
    assert_eq!(retire(&world, &two_of_them, 10).await, 1);
    is_gone(&world, &tasks[0]).await;
    is_gone(&world, &tasks[1]).await;
    assert!(removed(&world, &tasks[1]).await.is_some());
    assert_eq!(retire(&world, &two_of_them, 10).await, 0);
    for task in [&tasks[2], &tasks[3], &waits] {
        assert!(is_there(&world, task).await);
    }
    let none = Retention {
        bytes_max: 1,
        ..two_of_them
    };
    assert_eq!(retire(&world, &none, 10).await, 2);
    assert!(is_there(&world, &waits).await, "what has not ended stays");
}

pub async fn that_a_task_was_removed_is_forgotten_in_time<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut tasks = Vec::new();
    let mut since = Vec::new();
    for _ in 0..3 {
        tasks.push(world.bulk(&[delete("person", "nobody")]).await);
        since.push(world.now());
        let kept = Retention {
            lane_since: since[since.len() - 1],
            ..FOR_GOOD
        };
        assert_eq!(retire(&world, &kept, 10).await, 1);
    }
    let kept = Retention {
        removed_since: removed(&world, &tasks[2]).await.expect("it is known").at,
        ..FOR_GOOD
    };
    retire(&world, &kept, 1).await;
    for task in &tasks[..2] {
        assert_eq!(removed(&world, task).await, None);
    }
    assert!(removed(&world, &tasks[2]).await.is_some());
}

pub async fn removing_a_task_goes_on_after_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&large(1)).await;
    world.apply_all(operations(10)).await;
    let records = world.resources("person", 1_000).await;
    let kept = Retention {
        lane_since: world.now(),
        ..FOR_GOOD
    };
    while step(&world, &kept, 1).await.tasks == 0 {}
    world.settle().await;
    is_gone(&world, &task).await;
    for _ in 0..3 {
        step(&world, &kept, 1).await;
    }
    let world = reopen_or_skip!(fixture, world, "removing a task over a reopen");
    is_gone(&world, &task).await;
    assert!(removed(&world, &task).await.is_some());
    assert_eq!(retire(&world, &kept, 5).await, 0);
    assert_eq!(world.resources("person", 1_000).await, records);
}

pub async fn a_task_that_was_cancelled_among_others_and_removed_is_not_missed<F: Fixture>(fixture: &F) {
    // At once, and when only some of it is gone.
    for whole in [true, false] {
        let world = World::new(fixture.fresh().await).await;
        let first = world.accept(&[create("person", "first", 1)]).await;
        let between = world.accept(&large(1)).await;
        let last = world.accept(&[create("person", "last", 1)]).await;
        world.cancel(&between).await.expect("a task is cancelled");
        let kept = Retention {
            lane_since: world.now(),
            ..FOR_GOOD
        };
        match whole {
            true => assert_eq!(retire(&world, &kept, 1_000).await, 1),
            false => while step(&world, &kept, 1).await.tasks == 0 {},
        }
        world.settle().await;
        let world = reopen_or_skip!(fixture, world, "a task that was removed over a reopen");
        is_gone(&world, &between).await;
        world.apply_all(WHOLE).await;
        for task in [&first, &last] {
            assert_eq!(world.task(task).await.task.counts.success, 1);
        }
    }
}

pub async fn a_source_takes_its_removed_tasks_along<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let task = world.bulk(&large(1)).await;
    let kept = Retention {
        lane_since: world.now(),
        ..FOR_GOOD
    };
    while step(&world, &kept, 1).await.tasks == 0 {}
    let gone = world.store.delete_source(&world.source, true).await;
    gone.expect("a source goes with all it holds");
    let id = task.task.id.ksuid;
    refused_with(
        world.store.removed_task(&world.source, id).await,
        ErrorType::NotFound,
    );
    while world.store.free_space(100).await.expect("space is freed") {}
    while step(&world, &kept, 100).await.more {}
    let again = world.store.put_source(&world.source.key, world.now()).await;
    world.source = again.expect("a source is created").0;
    assert_eq!(removed(&world, &task).await, None);
}

pub async fn edges_of_a_purge_that_was_removed_go_all_the_same<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let others: Vec<String> = (0..60).map(|at| format!("other-{at:02}")).collect();
    let mut persons = vec![create("person", "ann", 1)];
    persons.extend(others.iter().map(|id| create("person", id, 1)));
    let edges: Vec<Op> = others.iter().map(|id| join("knows", "ann", id, 1)).collect();
    for ops in [persons, edges] {
        world.bulk(&ops).await;
    }
    let purge = world.accept_purge("person").await;
    let lane = world.claim().await.expect("the lane has work");
    // Deletes one, whose edges are more than are removed with it.
    world.step(&lane, operations(1)).await;
    world.cancel(&purge).await.expect("a purge is cancelled");
    let kept = Retention {
        lane_since: world.now(),
        ..FOR_GOOD
    };
    assert_eq!(retire(&world, &kept, 10).await, 3);
    is_gone(&world, &purge).await;
    world.drain(&lane, operations(7)).await;
    world.store.release_lane(lane).await;
    world.settle().await;
    is_gone(&world, &purge).await;
    assert_eq!(world.edge_ids("knows").await.len(), 0);
    assert_eq!(world.resources("person", 100).await.len(), 60);
}

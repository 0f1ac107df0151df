//! Tasks, and lists of them.

use granary_core::operation::TargetType;
use granary_core::task::{Outcome, TaskKind, TaskStatus};

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{Store, StoredTask, TaskFilter};

/// The tasks that pass a filter, in pages of this size.
async fn list<S: Store>(world: &World<S>, filter: &TaskFilter, page: usize) -> Vec<StoredTask> {
    let mut all: Vec<StoredTask> = Vec::new();
    loop {
        let before = all.last().map(|task| task.sequence);
        let next = world.store.tasks(&world.source, filter, before, page).await;
        let next = next.expect("tasks are listed");
        assert!(next.len() <= page);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

fn numbers(tasks: &[StoredTask]) -> Vec<String> {
    tasks.iter().map(|task| task.task.id.to_string()).collect()
}

pub async fn tasks_are_listed_newest_first_with_every_page_size<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let filter = TaskFilter::default();
    assert_eq!(list(&world, &filter, 1).await.len(), 0);
    let mut accepted = Vec::new();
    for at in 0..5 {
        accepted.push(world.accept(&[create("person", &format!("id-{at}"), 1)]).await);
        world.put(&[create("person", &format!("single-{at}"), 1)]).await;
    }
    accepted.reverse();
    for page in 1..=6 {
        let listed = list(&world, &filter, page).await;
        assert_eq!(numbers(&listed), numbers(&accepted), "pages of {page}");
    }
    let oldest = accepted[4].sequence;
    let none = world.store.tasks(&world.source, &filter, Some(oldest), 5).await;
    assert_eq!(none.expect("an empty page").len(), 0);
    let none = world.store.tasks(&world.source, &filter, Some(0), 5).await;
    assert_eq!(none.expect("an empty page").len(), 0);
    let none = world.store.tasks(&world.source, &filter, None, 0).await;
    assert_eq!(none.expect("an empty page").len(), 0);
}

pub async fn tasks_are_filtered<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let complete = world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let partial = world
        .bulk(&[create("person", "ann", 1), create("person", "cyd", 1)])
        .await;
    let none = world.bulk(&[part("knows", "ann", "bob")]).await;
    world.put(&[create("person", "dan", 1)]).await;
    world.put(&[join("knows", "ann", "bob", 1)]).await;
    world
        .put(&[create("person", "eve", 1), create("person", "fay", 1)])
        .await;
    let waiting = world.accept(&[join("knows", "bob", "ann", 1)]).await;
    let filter = TaskFilter::default;
    let at = |task: &StoredTask| Some(task.task.created_at);
    let cases: [(TaskFilter, Vec<&StoredTask>); 11] = [
        (filter(), vec![&waiting, &none, &partial, &complete]),
        (
            TaskFilter {
                kind: Some(TaskKind::Bulk),
                ..filter()
            },
            vec![&waiting, &none, &partial, &complete],
        ),
        (
            TaskFilter {
                kind: Some(TaskKind::Purge),
                ..filter()
            },
            vec![],
        ),
        (
            TaskFilter {
                status: Some(TaskStatus::Pending),
                ..filter()
            },
            vec![&waiting],
        ),
        (
            TaskFilter {
                status: Some(TaskStatus::Success),
                ..filter()
            },
            vec![&none, &partial, &complete],
        ),
        (
            TaskFilter {
                outcome: Some(Outcome::Partial),
                ..filter()
            },
            vec![&partial],
        ),
        (
            TaskFilter {
                outcome: Some(Outcome::None),
                ..filter()
            },
            vec![&none],
        ),
        (
            TaskFilter {
                target_type: Some(TargetType::Relationship),
                ..filter()
            },
            vec![&waiting, &none],
        ),
        (
            TaskFilter {
                created_after: at(&partial),
                ..filter()
            },
            vec![&waiting, &none],
        ),
        (
            TaskFilter {
                created_before: at(&partial),
                ..filter()
            },
            vec![&complete],
        ),
        (
            TaskFilter {
                created_after: at(&complete),
                created_before: at(&waiting),
                target_type: Some(TargetType::Resource),
                ..filter()
            },
            vec![&partial],
        ),
    ];
    for (filter, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|task| task.task.id.to_string()).collect();
        for page in [1, 2, 10] {
            assert_eq!(
                numbers(&list(&world, &filter, page).await),
                expected,
                "{filter:?}"
            );
        }
    }
    for (kind, target_type, count) in [
        (TaskKind::Single, None, 2),
        (TaskKind::Single, Some(TargetType::Relationship), 1),
        (TaskKind::Bundle, None, 1),
    ] {
        let filter = TaskFilter {
            kind: Some(kind),
            target_type,
            ..filter()
        };
        for page in [1, 10] {
            assert_eq!(list(&world, &filter, page).await.len(), count, "{filter:?}");
        }
    }
}

pub async fn a_task_is_found_by_its_id_in_its_source_alone<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let bulk = world.bulk(&[create("person", "ann", 1)]).await;
    world.put(&[create("person", "bob", 1)]).await;
    let single = TaskFilter {
        kind: Some(TaskKind::Single),
        ..TaskFilter::default()
    };
    let single = list(&world, &single, 1).await.remove(0);
    for task in [&bulk, &single] {
        assert_eq!(world.task(task).await.task, task.task);
    }
    let unknown = world.task_id(TaskKind::Bulk).ksuid;
    let found = world.store.task(&world.source, unknown).await;
    assert!(found.expect("a task is looked for").is_none());
    let other = world.store.put_source(&key("other"), world.now()).await;
    world.source = other.expect("a source is created").0;
    for task in [&bulk, &single] {
        let found = world.store.task(&world.source, task.task.id.ksuid).await;
        assert!(found.expect("a task is looked for").is_none());
    }
}

pub async fn tasks_stay_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "ann", 1)])
        .await;
    world.put(&[create("person", "bob", 1)]).await;
    world.accept(&[create("person", "cyd", 1)]).await;
    let kinds = [None, Some(TaskKind::Single)].map(|kind| TaskFilter {
        kind,
        ..TaskFilter::default()
    });
    let mut before = Vec::new();
    for filter in &kinds {
        before.push(list(&world, filter, 10).await);
    }
    let world = reopen_or_skip!(fixture, world, "tasks over a reopen");
    for (filter, before) in kinds.iter().zip(before) {
        let after = list(&world, filter, 10).await;
        assert_eq!(after.len(), before.len());
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(after.task, before.task);
            assert_eq!((after.sequence, after.cursor), (before.sequence, before.cursor));
        }
    }
    let next = world.accept(&[create("person", "dan", 1)]).await;
    let first = list(&world, &kinds[0], 1).await.remove(0);
    assert_eq!(
        first.task.id, next.task.id,
        "a new one is newer than the old ones"
    );
}

/// Accepts a request as a retry of a task.
async fn accept_retry<S: Store>(world: &World<S>, parent: &StoredTask, ops: &[Op]) -> StoredTask {
    let mut upload = world.upload(ops).await.expect("operations are spooled");
    upload.set_retry_of(parent.task.id);
    let accepted = upload.accept(world.revision, world.now()).await;
    accepted.expect("a retry is accepted")
}

/// A request of which much is spooled.
fn large() -> Vec<Op> {
    let op = |at: u64| create("person", &format!("id-{at}"), 1).with_body(noise(200, at));
    (0..2_000).map(op).collect()
}

pub async fn a_retry_names_its_parent_wherever_it_is_read<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world.bulk(&[delete("person", "ann")]).await;
    let small = accept_retry(&world, &first, &[delete("person", "ann")]).await;
    let again = accept_retry(&world, &small, &large()).await;
    let other = world.accept(&[delete("person", "bob")]).await;
    let parents = [None, Some(first.task.id), Some(small.task.id), None];
    let tasks = [&first, &small, &again, &other];
    for (task, parent) in tasks.iter().zip(parents) {
        assert_eq!(task.task.retry_of, parent, "as it was accepted");
        assert_eq!(world.task(task).await.task.retry_of, parent, "while it waits");
    }
    let listed = list(&world, &TaskFilter::default(), 3).await;
    let listed: Vec<_> = listed.iter().rev().map(|task| task.task.retry_of).collect();
    assert_eq!(listed, parents);
    world.cancel(&other).await.expect("a task is cancelled");
    let cancelled = world.cancel(&again).await.expect("a retry is cancelled");
    assert_eq!(cancelled.task.retry_of, parents[2]);
    world.apply_all(WHOLE).await;
    for (task, parent) in tasks.iter().zip(parents) {
        let ended = world.task(task).await.task;
        assert!(ended.completed_at.is_some());
        assert_eq!(ended.retry_of, parent, "once it has ended");
    }
    let world = reopen_or_skip!(fixture, world, "retries over a reopen");
    for (task, parent) in tasks.iter().zip(parents) {
        assert_eq!(world.task(task).await.task.retry_of, parent, "after a reopen");
    }
}

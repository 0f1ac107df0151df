//! Operations of a task, read back.

use granary_core::error::ErrorType;
use granary_core::task::TaskKind;

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{PAGE_BYTES_MAX, SentOperation, Store, StoredTask, TaskFilter};

/// These operations of a task, over as many pages as it takes.
async fn read<S: Store>(world: &World<S>, task: &StoredTask, wanted: &[u64]) -> Vec<SentOperation> {
    let mut all = Vec::new();
    while all.len() < wanted.len() {
        let page = world.store.operations(task, &wanted[all.len()..]).await;
        let page = page.expect("operations are read");
        assert!(!page.is_empty(), "a page has one operation at least");
        all.extend(page);
    }
    all
}

/// Sees that an operation is what was sent; true where its body is there.
fn is_as_sent<S>(world: &World<S>, sent: &SentOperation, ops: &[Op]) -> bool {
    let batch = world.batch(&ops[sent.index as usize..][..1]);
    let Some(body) = &sent.body else {
        return false;
    };
    assert_eq!(sent.operation, batch.operations[0], "{}", sent.index);
    assert_eq!(body, &batch.bodies, "{}", sent.index);
    true
}

fn mixed() -> Vec<Op> {
    vec![
        create("person", "ann", 1).identified_by(&["urn%3Aid:1:official"]),
        create("place", "rome", 2).imported(1_000, Some(2_000)),
        create("person", "ann", 3),
        upsert("place", "rome", 4).identified_by(&[]),
        delete("person", "zoe"),
        delete("person", "ann"),
    ]
}

pub async fn operations_are_read_back_as_they_were_accepted<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = mixed();
    let task = world.accept(&ops).await;
    for wanted in [&[0, 1, 2, 3, 4, 5][..], &[0], &[5], &[1, 4], &[]] {
        let found = read(&world, &task, wanted).await;
        assert_eq!(found.iter().map(|sent| sent.index).collect::<Vec<_>>(), wanted);
        assert!(found.iter().all(|sent| is_as_sent(&world, sent, &ops)));
    }
    let past = world.store.operations(&task, &[5, 6, u64::MAX]).await;
    assert_eq!(past.expect("past the end").len(), 1);
    let edges = [
        join("knows", "ann", "bob", 1),
        rejoin("knows", "bob", "ann", 2),
        part("knows", "ann", "bob"),
    ];
    let task = world.accept(&edges).await;
    let found = read(&world, &task, &[0, 1, 2]).await;
    assert!(found.iter().all(|sent| is_as_sent(&world, sent, &edges)));
}

pub async fn what_failed_or_was_cancelled_is_kept_with_its_body<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = mixed();
    let task = world.bulk(&ops).await;
    let found = read(&world, &task, &[0, 1, 2, 3, 4, 5]).await;
    let codes = codes(&world.receipts(&task).await);
    assert_eq!(codes, [200, 200, 409, 200, 404, 200]);
    for (sent, code) in found.iter().zip(codes) {
        assert!(
            is_as_sent(&world, sent, &ops) || code == 200,
            "{} failed",
            sent.index
        );
    }
    let task = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    world.step(&lane, operations(1)).await;
    world.settle().await;
    let task = world.cancel(&task).await.expect("a task is cancelled");
    let found = read(&world, &task, &[1, 2, 3, 4, 5]).await;
    assert!(found.iter().all(|sent| is_as_sent(&world, sent, &ops)));
}

pub async fn operations_over_many_segments_are_read_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    // Every seventh of the first half fails, all others succeed.
    let id = |at: u32| if at % 7 == 6 && at < 5_000 { at - 1 } else { at };
    let ops: Vec<Op> = (0..10_000)
        .map(|at| create("person", &format!("id-{}", id(at)), at).with_body(noise(60, at.into())))
        .collect();
    let task = world.bulk(&ops).await;
    let all: Vec<u64> = (0..10_000).collect();
    let failed: Vec<u64> = (0..5_000).filter(|at| at % 7 == 6).collect();
    assert_eq!(task.task.counts.failure, failed.len() as u64);
    let found = read(&world, &task, &all).await;
    for (index, sent) in (0..).zip(&found) {
        assert_eq!(sent.index, index);
        assert_eq!(sent.operation.id, ops[index as usize].id);
        is_as_sent(&world, sent, &ops);
    }
    let found = read(&world, &task, &failed).await;
    assert_eq!(found.iter().map(|sent| sent.index).collect::<Vec<_>>(), failed);
    assert!(found.iter().all(|sent| is_as_sent(&world, sent, &ops)));
}

pub async fn a_page_of_operations_ends_where_their_bodies_are_large<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops: Vec<Op> = (0..5)
        .map(|at| create("person", &format!("id-{at}"), at).with_body(noise(PAGE_BYTES_MAX / 2, at.into())))
        .collect();
    let task = world.accept(&ops).await;
    let all = [0, 1, 2, 3, 4];
    let page = world.store.operations(&task, &all).await;
    assert_eq!(page.expect("operations are read").len(), 2);
    let found = read(&world, &task, &all).await;
    assert!(found.iter().all(|sent| is_as_sent(&world, sent, &ops)));
}

pub async fn operations_of_writes_applied_at_once_and_of_purges<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let bundle = [create("person", "ann", 1), join("knows", "ann", "ann", 1)];
    for ops in [&bundle[..], &[delete("person", "ann")]] {
        world.put(ops).await;
        let filter = TaskFilter {
            kind: Some(match ops {
                [_] => TaskKind::Single,
                _ => TaskKind::Bundle,
            }),
            ..TaskFilter::default()
        };
        let tasks = world.store.tasks(&world.source, &filter, None, 1).await;
        let task = tasks.expect("tasks are listed").remove(0);
        let wanted: Vec<u64> = (0..ops.len() as u64).collect();
        let found = read(&world, &task, &wanted).await;
        for (sent, op) in found.iter().zip(ops) {
            // What it carried is in the record, and may be there alone; a delete carries nothing.
            let there = is_as_sent(&world, sent, ops);
            assert!(there || !op.body.is_empty());
            assert_eq!(sent.operation.id, op.id);
        }
    }
    let purge = world.accept_purge("person").await;
    let none = world.store.operations(&purge, &[0, 1]).await;
    assert_eq!(none.expect("a purge has none"), []);
}

pub async fn operations_are_there_after_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = mixed();
    let task = world.bulk(&ops).await;
    let world = reopen_or_skip!(fixture, world, "operations_are_there_after_a_reopen");
    let found = read(&world, &task, &[2, 4]).await;
    assert!(found.iter().all(|sent| is_as_sent(&world, sent, &ops)));
}

pub async fn operations_of_a_source_that_is_gone_are_not_found<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.bulk(&mixed()).await;
    let gone = world.store.delete_source(&world.source, true).await;
    gone.expect("a source goes with all it holds");
    refused_with(world.store.operations(&task, &[2]).await, ErrorType::NotFound);
    while world.store.free_space(100).await.expect("space is freed") {}
    refused_with(world.store.operations(&task, &[2]).await, ErrorType::NotFound);
}

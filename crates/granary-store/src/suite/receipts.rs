//! Receipts.

use granary_core::error::ErrorType;
use granary_core::operation::{Action, TargetType};
use granary_core::receipt::ReceiptStatus;
use granary_core::task::TaskKind;

use super::world::*;
use super::{Fixture, refused_with};
use crate::{Store, StoredTask, TaskFilter};

/// Every page of every size says what the whole says.
async fn every_page_agrees<S: Store>(world: &World<S>, task: &StoredTask) {
    let whole = world.receipts(task).await;
    let total = whole.len();
    assert_eq!(total as u64, task.task.counts.total);
    for from in 0..=total + 1 {
        for limit in [0, 1, 2, 3, total, total + 7] {
            let page = world.store.receipts(task, from as u64, limit).await;
            let page = page.expect("receipts are read");
            let start = from.min(total);
            let end = (start + limit).min(total);
            assert_eq!(page, whole[start..end], "{limit} from {from}");
        }
    }
    let past = world.store.receipts(task, u64::MAX, usize::MAX).await;
    assert_eq!(past.expect("past the end"), []);
}

fn ten() -> Vec<Op> {
    let mut ops: Vec<Op> = (0..6)
        .map(|at| create("person", &format!("id-{at}"), at))
        .collect();
    ops.push(create("person", "id-0", 9));
    ops.push(upsert("person", "id-1", 1));
    ops.push(delete("person", "id-2"));
    ops.push(delete("person", "id-2"));
    ops
}

pub async fn receipts_are_read_from_any_operation_with_any_limit<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&ten()).await;
    every_page_agrees(&world, &task).await;
    world.apply_all(operations(3)).await;
    let task = world.task(&task).await;
    every_page_agrees(&world, &task).await;
    let receipts = world.receipts(&task).await;
    assert_eq!(
        codes(&receipts),
        [200, 200, 200, 200, 200, 200, 409, 304, 200, 404]
    );
    for (at, (receipt, op)) in receipts.iter().zip(ten()).enumerate() {
        assert_eq!(receipt.index, at as u64);
        assert_eq!(
            (receipt.action, receipt.target_type),
            (op.action, TargetType::Resource)
        );
        assert_eq!(
            (&receipt.type_key, &receipt.id),
            (&op.type_key, &op.id.to_string())
        );
        assert_eq!(receipt.received_at, task.task.created_at);
    }
}

pub async fn a_half_done_task_has_receipts_of_both_kinds<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&ten()).await;
    let lane = world.claim().await.expect("the lane has work");
    for cursor in 1..10 {
        world.step(&lane, operations(1)).await;
        world.settle().await;
        let task = world.task(&task).await;
        every_page_agrees(&world, &task).await;
        for (at, receipt) in world.receipts(&task).await.iter().enumerate() {
            let pending = at >= cursor;
            assert_eq!(receipt.status == ReceiptStatus::Pending, pending);
            assert_eq!(receipt.completed_at.is_none(), pending);
            assert!(!pending || receipt.error.is_none());
        }
    }
}

pub async fn receipts_are_of_the_moment_when_the_task_was_read<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let accepted = world.accept(&ten()).await;
    let lane = world.claim().await.expect("the lane has work");
    world.step(&lane, operations(4)).await;
    world.settle().await;
    let half = world.task(&accepted).await;
    let then = world.receipts(&half).await;
    world.drain(&lane, WHOLE).await;
    world.settle().await;
    assert_eq!(world.receipts(&half).await, then);
    assert_eq!(codes(&world.receipts(&accepted).await), [102; 10]);
    every_page_agrees(&world, &half).await;
}

pub async fn a_receipt_says_why_an_operation_failed<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&["ann", "bob", "cyd"].map(|id| create("person", id, 1)))
        .await;
    let resources = [create("person", "ann", 1), delete("person", "zoe")];
    let edges = [
        join("partner", "ann", "bob", 1),
        join("partner", "ann", "bob", 1),
        join("partner", "ann", "zoe", 1),
        join("partner", "ann", "cyd", 1),
        part("partner", "cyd", "cyd"),
    ];
    let mut found = Vec::new();
    for ops in [resources.as_slice(), &edges] {
        let task = world.bulk(ops).await;
        for receipt in world.receipts(&task).await {
            assert_eq!(receipt.error.is_some(), receipt.status == ReceiptStatus::Failure);
            found.extend(receipt.error.map(|error| (error.error_type, error.message)));
        }
    }
    let expected = [
        (ErrorType::AlreadyExists, "record with id 'ann' already exists"),
        (ErrorType::NotFound, "'zoe'"),
        (ErrorType::AlreadyExists, "'ann.bob'"),
        (ErrorType::NotFound, "'zoe'"),
        (ErrorType::FailedPrecondition, "'bob'"),
        (ErrorType::NotFound, "'cyd.cyd'"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((error_type, message), (expected, part)) in found.iter().zip(expected) {
        assert_eq!(*error_type, expected, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

pub async fn receipts_of_writes_applied_at_once<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("place", "rome", 1)]).await;
    world.put(&[upsert("place", "rome", 1)]).await;
    world
        .put(&[create("person", "ann", 1), join("livesIn", "ann", "rome", 1)])
        .await;
    let of = |kind| TaskFilter {
        kind: Some(kind),
        ..TaskFilter::default()
    };
    let list = async |kind| {
        let tasks = world.store.tasks(&world.source, &of(kind), None, 10).await;
        tasks.expect("tasks are listed")
    };
    let singles = list(TaskKind::Single).await;
    let mut receipts = Vec::new();
    for task in &singles {
        every_page_agrees(&world, task).await;
        receipts.extend(world.receipts(task).await);
    }
    assert_eq!(codes(&receipts), [304, 200]);
    assert_eq!(
        (receipts[0].action, receipts[1].action),
        (Action::Upsert, Action::Create)
    );
    let bundle = list(TaskKind::Bundle).await.remove(0);
    every_page_agrees(&world, &bundle).await;
    let receipts = world.receipts(&bundle).await;
    let shown: Vec<(TargetType, &str, &str)> = receipts
        .iter()
        .map(|receipt| {
            (
                receipt.target_type,
                receipt.type_key.as_str(),
                receipt.id.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (TargetType::Resource, "person", "ann"),
            (TargetType::Relationship, "livesIn", "ann.rome"),
        ]
    );
}

pub async fn receipts_over_many_chunks_and_blocks<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops: Vec<Op> = (0..1_500)
        .map(|at| create("person", &format!("id-{}", at / 2), at).with_body(noise(60, at.into())))
        .collect();
    let task = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    for budget in [1, 511, 2, 600, 300] {
        world.step(&lane, operations(budget)).await;
    }
    world.settle().await;
    let task = world.task(&task).await;
    assert_eq!(task.cursor, 1_414);
    for from in [0, 1, 510, 511, 512, 513, 1_023, 1_024, 1_025, 1_413, 1_414, 1_499] {
        for limit in [1, 2, 600] {
            let page = world.store.receipts(&task, from, limit).await;
            let page = page.expect("receipts are read");
            let expected = limit.min(1_500 - from as usize);
            assert_eq!(page.len(), expected);
            for (at, receipt) in (from..).zip(&page) {
                assert_eq!(receipt.index, at);
                assert_eq!(receipt.id, format!("id-{}", at / 2));
                let code = match at {
                    1_414.. => 102,
                    _ if at % 2 == 0 => 200,
                    _ => 409,
                };
                assert_eq!(codes(std::slice::from_ref(receipt)), [code], "{at}");
            }
        }
    }
}

pub async fn receipts_of_a_source_that_is_gone_are_not_found<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let task = world
        .bulk(&[create("person", "ann", 1), delete("person", "ann")])
        .await;
    world.undefine_all().await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("an empty source goes");
    refused_with(world.store.receipts(&task, 0, 10).await, ErrorType::NotFound);
    let again = world.store.put_source(&world.source.key, world.now()).await;
    again.expect("the key is taken again");
    refused_with(world.store.receipts(&task, 0, 10).await, ErrorType::NotFound);
}

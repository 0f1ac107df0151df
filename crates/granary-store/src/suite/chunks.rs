//! Chunks: effects, receipts and cursor together.

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::receipt::ReceiptStatus;
use granary_core::task::{Counts, Outcome, TaskStatus};
use granary_core::time::Timestamp;

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{Budget, Lane, Record, Step, Store};

/// A request with every action, successes and failures.
fn mixed() -> Vec<Op> {
    let mut ops = Vec::new();
    for at in 0..7 {
        let id = format!("id-{at}");
        ops.push(create("person", &id, at));
        ops.push(create("person", &id, at + 1));
        ops.push(upsert("person", &id, at + 2));
        ops.push(upsert("person", &id, at + 2));
        if at % 2 == 0 {
            ops.push(delete("person", &id));
            ops.push(delete("person", &id));
        }
        if at % 3 == 0 {
            ops.push(upsert("person", &id, at + 3).with_body(noise(at as usize * 9_000 + 1, at.into())));
        }
    }
    ops
}

/// Records without what a chunk's own time decides, and with the order of their stamps in place of these.
fn without_times(records: Vec<Record>) -> Vec<Record> {
    let mut stamps: Vec<u64> = records.iter().map(|record| record.head.stamp).collect();
    stamps.sort_unstable();
    let still = |mut record: Record| {
        record.head.created_at = Timestamp::EPOCH;
        record.head.updated_at = Timestamp::EPOCH;
        record.head.stamp = stamps.partition_point(|stamp| *stamp < record.head.stamp) as u64;
        record
    };
    records.into_iter().map(still).collect()
}

pub async fn chunks_of_any_size_come_to_the_same<F: Fixture>(fixture: &F) {
    for enlarge in [false, true] {
        let mut ops = mixed();
        if enlarge {
            ops.push(create("person", "big", 1).with_body(noise(100_000, 1)));
        }
        let mut expected = None;
        for budget in [WHOLE, operations(1), operations(2), operations(1_000)] {
            let world = World::new(fixture.fresh().await).await;
            let task = world.accept(&ops).await;
            world.apply_all(budget).await;
            let task = world.task(&task).await;
            let found = (
                without_times(world.resources("person", 100).await),
                codes(&world.receipts(&task).await),
                task.task.counts,
            );
            match &expected {
                None => expected = Some(found),
                Some(expected) => assert_eq!(&found, expected, "{budget:?}"),
            }
        }
    }
}

pub async fn a_chunk_moves_the_cursor_by_what_it_applied<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = mixed();
    let total = ops.len() as u64;
    let task = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    let mut cursor = 0;
    for budget in [1, 2, 1, 3, 1_000] {
        let step = world.step(&lane, operations(budget)).await;
        let expected = (budget as u64).min(total - cursor);
        assert_eq!(step, Step::Applied(expected));
        cursor += expected;
        world.settle().await;
        let task = world.task(&task).await;
        let receipts = world.receipts(&task).await;
        let failed = codes(&receipts).iter().filter(|code| **code >= 400).count() as u64;
        assert_eq!(task.cursor, cursor);
        let expected = Counts {
            total,
            success: cursor - failed,
            failure: failed,
            pending: total - cursor,
            cancelled: 0,
        };
        assert_eq!(task.task.counts, expected);
        assert!(
            codes(&receipts)[..cursor as usize]
                .iter()
                .all(|code| *code != 102)
        );
        assert!(
            codes(&receipts)[cursor as usize..]
                .iter()
                .all(|code| *code == 102)
        );
        assert_eq!(task.task.completed_at.is_some(), cursor == total);
        // The same is told to whoever holds the lane, for the log.
        assert_eq!(lane.last.task(), Some(task.task.id));
        let last = lane.last.take_applied().expect("the chunk was applied");
        assert_eq!((last.id(), last.cursor), (task.task.id, cursor));
        assert_eq!(last.ended(), cursor == total);
    }
    let task = world.task(&task).await;
    assert_eq!(task.task.status, TaskStatus::Success);
    assert_eq!(task.task.outcome(), Some(Outcome::Partial));
    assert_eq!(world.step(&lane, WHOLE).await, Step::Idle);
}

pub async fn a_budget_of_bytes_lets_one_operation_go<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    for size in [1_000, 50_000] {
        let ops: Vec<Op> = (0..4)
            .map(|at| upsert("person", &format!("id-{at}"), 0).with_body(noise(size, at)))
            .collect();
        let task = world.accept(&ops).await;
        let lane = world.claim().await.expect("the lane has work");
        let narrow = |operations| Budget { operations, bytes: 1 };
        assert_eq!(world.step(&lane, narrow(1)).await, Step::Applied(1));
        assert_eq!(world.step(&lane, narrow(0)).await, Step::Applied(1));
        world.drain(&lane, narrow(10)).await;
        world.store.release_lane(lane).await;
        world.settle().await;
        assert_eq!(world.task(&task).await.task.counts.success, 4);
    }
}

pub async fn every_action_on_a_resource_present_and_absent<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let absent = [
        create("person", "aa", 1),
        upsert("person", "bb", 1),
        delete("person", "cc"),
    ];
    assert_eq!(world.outcome(&absent).await, [200, 200, 404]);
    let present = [
        create("person", "aa", 2),
        upsert("person", "bb", 2),
        upsert("person", "aa", 1),
        delete("person", "aa"),
    ];
    assert_eq!(world.outcome(&present).await, [409, 200, 304, 200]);
    let stored = world.resources("person", 10).await;
    assert_eq!(ids(&stored), ["bb"]);
    assert_eq!(
        (stored[0].head.version, stored[0].body.as_ref()),
        (2, body(2).as_slice())
    );
}

pub async fn every_action_on_an_edge_present_and_absent<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&["aa", "bb", "cc", "dd"].map(|id| create("person", id, 1)))
        .await;
    let absent = [
        join("knows", "aa", "bb", 1),
        rejoin("knows", "bb", "aa", 1),
        part("knows", "cc", "dd"),
    ];
    assert_eq!(world.outcome(&absent).await, [200, 200, 404]);
    let present = [
        join("knows", "aa", "bb", 2),
        rejoin("knows", "bb", "aa", 2),
        rejoin("knows", "aa", "bb", 1),
        part("knows", "aa", "bb"),
    ];
    assert_eq!(world.outcome(&present).await, [409, 200, 304, 200]);
    let stored = world.edges("knows", &Default::default(), 10).await;
    assert_eq!(ids(&stored), ["bb.aa"]);
    assert_eq!(
        (stored[0].head.version, stored[0].body.as_ref()),
        (2, body(2).as_slice())
    );
    assert_eq!(world.resources("person", 10).await.len(), 4, "its ends stay");
}

pub async fn a_failed_operation_leaves_the_next_one_running<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = [
        delete("person", "aa"),
        create("person", "aa", 1),
        create("person", "aa", 2),
        create("person", "bb", 3),
    ];
    let task = world.bulk(&ops).await;
    assert_eq!(codes(&world.receipts(&task).await), [404, 200, 409, 200]);
    assert_eq!(task.task.status, TaskStatus::Success);
    assert_eq!(task.task.outcome(), Some(Outcome::Partial));
    assert_eq!(world.body("person", "aa").await, Some(body(1)));
    let none = world.bulk(&[delete("person", "zz")]).await;
    assert_eq!(none.task.outcome(), Some(Outcome::None));
    let all = world.bulk(&[delete("person", "aa")]).await;
    assert_eq!(all.task.outcome(), Some(Outcome::Complete));
}

pub async fn the_times_of_a_task_are_those_of_its_chunks<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = ["aa", "bb", "cc"].map(|id| create("person", id, 1));
    let accepted = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    let mut times = Vec::new();
    for _ in &ops {
        let now = world.now();
        let step = world.store.apply_chunk(&lane, operations(1), now).await;
        assert_eq!(step.expect("a chunk is applied"), Step::Applied(1));
        times.push(now);
    }
    world.settle().await;
    let task = world.task(&accepted).await;
    assert_eq!(task.task.created_at, accepted.task.created_at);
    assert_eq!(task.task.started_at, Some(times[0]));
    assert_eq!(task.task.completed_at, Some(times[2]));
    for (at, receipt) in world.receipts(&task).await.iter().enumerate() {
        assert_eq!(receipt.received_at, accepted.task.created_at);
        assert_eq!(receipt.completed_at, Some(times[at]));
    }
    for (at, record) in world.resources("person", 10).await.iter().enumerate() {
        assert_eq!(
            (record.head.created_at, record.head.updated_at),
            (times[at], times[at])
        );
    }
}

pub async fn single_writes_go_between_two_chunks<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world
        .accept(&[
            create("person", "aa", 1),
            create("person", "bb", 1),
            upsert("person", "cc", 1),
            delete("person", "dd"),
        ])
        .await;
    world.put(&[create("person", "aa", 9)]).await;
    let lane = world.claim().await.expect("the lane has work");
    world.step(&lane, operations(1)).await;
    world.put(&[create("person", "dd", 9)]).await;
    world.put(&[upsert("person", "bb", 9)]).await;
    world.step(&lane, operations(1)).await;
    // It is decided on what the chunk did, whether that is shown already or not.
    world.step(&lane, operations(1)).await;
    let written = world.put(&[upsert("person", "cc", 9)]).await.remove(0);
    assert_eq!(written.expect("it is stored").head.version, 2);
    world.drain(&lane, WHOLE).await;
    world.settle().await;
    let task = world.task(&task).await;
    assert_eq!(codes(&world.receipts(&task).await), [409, 409, 200, 200]);
    assert_eq!(ids(&world.resources("person", 10).await), ["aa", "bb", "cc"]);
}

/// What operations are given up with.
fn broken() -> ErrorObject {
    ErrorObject::new(ErrorType::Internal, "this one cannot be tried")
}

/// Gives up the next operation of a lane.
async fn give_up<S: Store>(world: &World<S>, lane: &Lane) -> Step {
    let now = world.now();
    let step = world.store.fail_operation(lane, broken(), now).await;
    step.expect("an operation is given up")
}

pub async fn an_operation_that_is_given_up_fails_alone<F: Fixture>(fixture: &F) {
    for size in [10, 50_000] {
        let world = World::new(fixture.fresh().await).await;
        world.put(&[create("person", "cc", 7)]).await;
        let mut ops = vec![
            create("person", "aa", 1).with_body(noise(size, 1)),
            create("person", "bb", 1).with_body(noise(size, 2)),
            delete("person", "cc"),
            create("person", "bb", 2).with_body(noise(size, 3)),
            upsert("person", "dd", 1),
        ];
        let task = world.accept(&ops).await;
        let lane = world.claim().await.expect("the lane has work");
        assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
        assert_eq!(give_up(&world, &lane).await, Step::Applied(1));
        assert_eq!(give_up(&world, &lane).await, Step::Applied(1));
        world.settle().await;
        let half = world.task(&task).await;
        assert_eq!((half.cursor, half.task.counts.failure), (3, 2));
        world.drain(&lane, WHOLE).await;
        world.store.release_lane(lane).await;
        world.settle().await;

        let task = world.task(&task).await;
        let receipts = world.receipts(&task).await;
        assert_eq!(codes(&receipts), [200, 500, 500, 200, 200]);
        for receipt in &receipts[1..3] {
            assert_eq!(receipt.status, ReceiptStatus::Failure);
            assert_eq!(receipt.error, Some(broken()));
            assert!(receipt.completed_at.is_some());
        }
        assert_eq!(task.task.outcome(), Some(Outcome::Partial));
        assert_eq!(world.spooled().await, 0);
        // Nothing of them took effect: `bb` was not there for the create that came after, `cc` still is.
        let stored = world.resources("person", 10).await;
        assert_eq!(ids(&stored), ["aa", "bb", "cc", "dd"]);
        assert_eq!(stored[1].body.as_ref(), ops.remove(3).body);
        assert_eq!(stored[1].head.version, 1);
    }
}

pub async fn the_last_operation_that_is_given_up_ends_its_task<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world.accept(&[create("person", "aa", 1)]).await;
    let next = world.accept(&[create("person", "aa", 2)]).await;
    let lane = world.claim().await.expect("the lane has work");
    assert_eq!(give_up(&world, &lane).await, Step::Applied(1));
    world.settle().await;
    let first = world.task(&first).await;
    assert_eq!(first.task.status, TaskStatus::Success);
    assert_eq!(first.task.outcome(), Some(Outcome::None));
    assert!(first.task.completed_at.is_some());
    let bytes = world.spooled().await;
    assert!(bytes > 0, "the next one waits");
    assert_eq!(world.step(&lane, WHOLE).await, Step::Applied(1));
    assert_eq!(give_up(&world, &lane).await, Step::Idle);
    assert_eq!(world.step(&lane, WHOLE).await, Step::Idle);
    world.settle().await;
    assert_eq!(world.spooled().await, 0);
    assert_eq!(codes(&world.receipts(&world.task(&next).await).await), [200]);
    assert_eq!(world.body("person", "aa").await, Some(body(2)));
}

pub async fn a_purge_has_no_operation_to_give_up<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("person", "aa", 1)]).await;
    let purge = world.accept_purge("person").await;
    let lane = world.claim().await.expect("the lane has work");
    assert_eq!(give_up(&world, &lane).await, Step::Applied(0));
    world.settle().await;
    let waiting = world.task(&purge).await;
    assert_eq!((waiting.cursor, waiting.task.status), (0, TaskStatus::Pending));
    world.drain(&lane, WHOLE).await;
    world.settle().await;
    assert_eq!(world.task(&purge).await.task.status, TaskStatus::Success);
    assert!(world.resources("person", 10).await.is_empty());
}

pub async fn an_operation_of_a_lane_that_is_not_held_is_not_given_up<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&[create("person", "aa", 1)]).await;
    let lane = world.claim().await.expect("the lane has work");
    let held = Lane {
        source: lane.source.clone(),
        last: lane.last.clone(),
        ..lane
    };
    world.store.release_lane(lane).await;
    assert_eq!(give_up(&world, &held).await, Step::Lost);
    let other = world.claim().await.expect("the lane has work");
    assert_eq!(give_up(&world, &held).await, Step::Lost);
    world.drain(&other, WHOLE).await;
    world.settle().await;
    assert_eq!(codes(&world.receipts(&world.task(&task).await).await), [200]);
    let deleted = world.store.delete_source(&world.source, true).await;
    deleted.expect("the source goes with all it holds");
    assert_eq!(give_up(&world, &other).await, Step::Lost);
}

pub async fn an_operation_that_was_given_up_stays_so_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = [create("person", "aa", 1), create("person", "bb", 1)];
    let task = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    assert_eq!(give_up(&world, &lane).await, Step::Applied(1));
    world.settle().await;
    let world = reopen_or_skip!(fixture, world, "an operation that was given up over a reopen");
    world.apply_all(WHOLE).await;
    let receipts = world.receipts(&world.task(&task).await).await;
    assert_eq!(codes(&receipts), [500, 200]);
    assert_eq!(receipts[0].error, Some(broken()));
    assert_eq!(ids(&world.resources("person", 10).await), ["bb"]);
}

pub async fn a_task_goes_on_where_its_cursor_stands_after_a_reopen<F: Fixture>(fixture: &F) {
    for enlarge in [false, true] {
        let mut world = World::new(fixture.fresh().await).await;
        let mut ops = mixed();
        if enlarge {
            ops.insert(0, create("person", "big", 1).with_body(noise(100_000, 1)));
        }
        let reference = World::new(fixture.fresh().await).await;
        let expected = codes(&reference.receipts(&reference.bulk(&ops).await).await);

        let task = world.accept(&ops).await;
        let next = world.accept(&[create("person", "last", 1)]).await;
        let mut cursor = 0;
        for part in [1, 3, 7, 11] {
            let lane = world.claim().await.expect("the lane has work");
            world.step(&lane, operations(part)).await;
            world.settle().await;
            cursor += part as u64;
            assert_eq!(world.task(&task).await.cursor, cursor);
            world = reopen_or_skip!(fixture, world, "a task half done over a reopen");
            assert_eq!(world.task(&task).await.cursor, cursor);
        }
        world.apply_all(operations(2)).await;
        let task = world.task(&task).await;
        assert_eq!(codes(&world.receipts(&task).await), expected);
        assert_eq!(codes(&world.receipts(&world.task(&next).await).await), [200]);
        let mut records = without_times(world.resources("person", 100).await);
        records.retain(|record| record.id != resource("last"));
        assert_eq!(records, without_times(reference.resources("person", 100).await));
    }
}

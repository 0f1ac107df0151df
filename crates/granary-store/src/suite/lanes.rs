//! Lanes: who may apply what, and that no work is forgotten.

use std::collections::HashMap;
use std::sync::Mutex;

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{Lane, Step, Store};

/// More sources beside that of the world, each with the type `person`.
async fn sources<S: Store>(store: S, names: &[&str]) -> (World<S>, Vec<(crate::Source, World<()>)>) {
    let mut world = World::new(store).await;
    let mut others = Vec::new();
    for name in names {
        let (source, _) = world
            .store
            .put_source(&key(name), world.now())
            .await
            .expect("a source is created");
        let own = std::mem::replace(&mut world.source, source.clone());
        world.refresh().await;
        world.define_types().await;
        others.push((source, world.without_store()));
        world.source = own;
    }
    world.refresh().await;
    (world, others)
}

/// Accepts a request of two operations for another source.
async fn accept_for<S: Store>(world: &World<S>, other: &(crate::Source, World<()>), id: &str) {
    let (source, of) = other;
    let ops = [create("person", id, 1), create("person", &format!("{id}-2"), 1)];
    let upload = world
        .store
        .begin_upload(
            source,
            world.task_id(granary_core::task::TaskKind::Bulk),
            granary_core::operation::TargetType::Resource,
            std::sync::Arc::clone(&of.types),
        )
        .await;
    let mut upload = upload.expect("it begins");
    upload.push(of.batch(&ops)).await.expect("it is spooled");
    upload.accept(of.revision, world.now()).await.expect("accepted");
}

/// The same lane as a worker that does not know that it was released would hold it.
fn copy(lane: &Lane) -> Lane {
    Lane {
        source: lane.source.clone(),
        fence: lane.fence,
        taken_over: lane.taken_over,
        suspect: lane.suspect,
        last: lane.last.clone(),
    }
}

pub async fn without_work_there_is_no_lane<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    assert!(world.claim().await.is_none());
    world.put(&[create("person", "ann", 1)]).await;
    assert!(
        world.claim().await.is_none(),
        "a single write is no work for a lane"
    );
    world.bulk(&[create("person", "bob", 1)]).await;
    assert!(world.claim().await.is_none(), "all is done");
}

pub async fn a_lane_is_held_by_one<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .accept(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let lane = world.claim().await.expect("the lane has work");
    assert_eq!(lane.source, world.source);
    assert!(world.claim().await.is_none());
    assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
    world.accept(&[create("person", "cyd", 1)]).await;
    assert!(world.claim().await.is_none());
    world.store.release_lane(lane).await;
    let lane = world.claim().await.expect("it has work left");
    world.drain(&lane, WHOLE).await;
    assert_eq!(world.step(&lane, WHOLE).await, Step::Idle);
    world.store.release_lane(lane).await;
    assert!(world.claim().await.is_none());
}

pub async fn lanes_are_claimed_in_the_order_of_waiting<F: Fixture>(fixture: &F) {
    let (world, others) = sources(fixture.fresh().await, &["ash", "elm", "oak"]).await;
    for at in [2, 0, 1] {
        accept_for(&world, &others[at], "ann").await;
    }
    // More work does not bring a lane forward, or give it a second turn.
    accept_for(&world, &others[1], "bob").await;
    let mut turns = Vec::new();
    while let Some(lane) = world.claim().await {
        turns.push(lane.source.key.to_string());
    }
    assert_eq!(turns, ["oak", "ash", "elm"]);
}

pub async fn a_lane_released_with_work_waits_behind_the_others<F: Fixture>(fixture: &F) {
    let (world, others) = sources(fixture.fresh().await, &["ash", "elm", "oak"]).await;
    for other in &others {
        accept_for(&world, other, "ann").await;
    }
    let mut turns = Vec::new();
    while let Some(lane) = world.claim().await {
        turns.push(lane.source.key.to_string());
        assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
        world.store.release_lane(lane).await;
    }
    assert_eq!(turns, ["ash", "elm", "oak", "ash", "elm", "oak"]);
}

pub async fn a_lane_claimed_by_another_is_lost_to_the_first<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops: Vec<Op> = (0..4)
        .map(|at| create("person", &format!("id-{at}"), 1))
        .collect();
    let task = world.accept(&ops).await;
    let lane = world.claim().await.expect("the lane has work");
    let first = copy(&lane);
    world.step(&first, operations(1)).await;
    world.store.release_lane(lane).await;
    assert_eq!(world.step(&first, WHOLE).await, Step::Lost, "nobody holds it");
    let second = world.claim().await.expect("it has work left");
    assert_ne!(second.fence, first.fence);
    assert_eq!(world.step(&first, WHOLE).await, Step::Lost);
    // Nor can the first give away what the second holds.
    world.store.release_lane(first).await;
    assert!(world.claim().await.is_none());
    assert_eq!(world.step(&second, operations(1)).await, Step::Applied(1));
    world.settle().await;
    assert_eq!(world.task(&task).await.cursor, 2);
    world.drain(&second, WHOLE).await;
    world.settle().await;
    assert_eq!(world.task(&task).await.task.counts.success, 4);
}

pub async fn a_lane_goes_through_all_its_tasks<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world
        .accept(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let second = world.accept(&[upsert("person", "ann", 2)]).await;
    let lane = world.claim().await.expect("the lane has work");
    assert_eq!(
        world.step(&lane, WHOLE).await,
        Step::Applied(2),
        "a chunk is of one task"
    );
    let third = world.accept(&[upsert("person", "ann", 3)]).await;
    assert_eq!(world.step(&lane, WHOLE).await, Step::Applied(1));
    assert_eq!(world.step(&lane, WHOLE).await, Step::Applied(1));
    assert_eq!(world.step(&lane, WHOLE).await, Step::Idle);
    world.settle().await;
    for task in [&first, &second, &third] {
        assert!(world.task(task).await.task.completed_at.is_some());
    }
    assert_eq!(world.body("person", "ann").await, Some(body(3)));
}

pub async fn a_task_accepted_while_its_lane_is_held_is_not_forgotten<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.accept(&[create("person", "ann", 1)]).await;
    let lane = world.claim().await.expect("the lane has work");
    world.drain(&lane, WHOLE).await;
    // The worker has seen that there is nothing left, and has not yet given the lane back.
    let late = world.accept(&[create("person", "bob", 1)]).await;
    world.store.release_lane(lane).await;
    world.apply_all(WHOLE).await;
    assert_eq!(codes(&world.receipts(&world.task(&late).await).await), [200]);
}

pub async fn a_task_accepted_while_its_lane_is_released_is_not_forgotten<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.accept(&[create("person", "id-0", 1)]).await;
    for round in 1..=30 {
        let lane = world
            .claim()
            .await
            .expect("the task of the last round is not forgotten");
        world.drain(&lane, WHOLE).await;
        let op = create("person", &format!("id-{round}"), 1);
        futures::join!(
            world.accept(std::slice::from_ref(&op)),
            world.store.release_lane(lane)
        );
    }
    world.apply_all(WHOLE).await;
    assert_eq!(world.resources("person", 100).await.len(), 31);
}

pub async fn many_workers_never_hold_one_lane_together<F: Fixture>(fixture: &F) {
    const TASKS: usize = 12;
    let (world, others) = sources(fixture.fresh().await, &["ash", "elm"]).await;
    let held: Mutex<HashMap<u32, u64>> = Mutex::default();
    let lock = || held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let applied = std::sync::atomic::AtomicU64::new(0);
    let all = (2 * TASKS * others.len()) as u64;
    let worker = || async {
        use std::sync::atomic::Ordering::SeqCst;
        while applied.load(SeqCst) < all {
            let Some(lane) = world.claim().await else {
                // Nothing to do right now: the others go on.
                let mut polled = false;
                futures::future::poll_fn(|context| {
                    let ready = std::mem::replace(&mut polled, true);
                    context.waker().wake_by_ref();
                    if ready {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                continue;
            };
            let other = lock().insert(lane.source.number, lane.fence);
            assert_eq!(other, None, "two hold the lane of {}", lane.source.key);
            for _ in 0..2 {
                match world.step(&lane, operations(1)).await {
                    Step::Applied(count) => _ = applied.fetch_add(count, SeqCst),
                    Step::Idle | Step::Tidied => {}
                    Step::Lost => panic!("a lane that is held is not lost"),
                }
            }
            lock().remove(&lane.source.number);
            world.store.release_lane(lane).await;
        }
    };
    let sender = async {
        for turn in 0..TASKS {
            for other in &others {
                accept_for(&world, other, &format!("id-{turn}")).await;
            }
        }
    };
    futures::join!(sender, worker(), worker(), worker());
    world.settle().await;
    for (source, of) in &others {
        let number = of.number("person");
        let stored = world.store.resources(source, number, None, 100).await;
        assert_eq!(stored.expect("they are listed").len(), 2 * TASKS);
    }
    assert!(
        world
            .claim()
            .await
            .is_none_or(|lane| !others.iter().any(|(s, _)| *s == lane.source))
    );
}

pub async fn lanes_with_work_are_found_after_a_reopen<F: Fixture>(fixture: &F) {
    let (world, others) = sources(fixture.fresh().await, &["ash", "elm"]).await;
    for other in &others {
        accept_for(&world, other, "ann").await;
    }
    world.accept(&[create("person", "ann", 1)]).await;
    // Of one lane all is done, one is held, one waits.
    let done = world.claim().await.expect("a lane has work");
    world.drain(&done, WHOLE).await;
    let held = world.claim().await.expect("a lane has work");
    world.step(&held, operations(1)).await;
    let world = reopen_or_skip!(fixture, world, "lanes over a reopen");
    let mut found = Vec::new();
    while let Some(lane) = world.claim().await {
        found.push(lane.source.key.to_string());
    }
    found.sort();
    assert_eq!(found, ["elm", "garden"]);
}

//! Purges, cancelled tasks, and resources with very many edges.

use granary_core::error::ErrorType;
use granary_core::schema::DefinitionKind;
use granary_core::task::{Outcome, TaskStatus};

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{EdgeFilter, Step, Store, StoredTask};

/// `person` is a hub that knows so many others, and is known by some of them.
async fn hub<F: Fixture>(fixture: &F, edges: u32) -> World<F::Store> {
    let world = World::new(fixture.fresh().await).await;
    let mut people: Vec<Op> = (0..edges)
        .map(|n| create("person", &format!("p-{n}"), n))
        .collect();
    people.push(create("person", "hub", 1));
    world.bulk(&people).await;
    let edges = (0..edges).map(|n| {
        let other = format!("p-{n}");
        match n % 3 {
            0 => join("knows", &other, "hub", n).identified_by(&["a:b:c"]),
            _ => join("knows", "hub", &other, n).with_body(noise(50, u64::from(n))),
        }
    });
    world.bulk(&edges.collect::<Vec<_>>()).await;
    world
}

fn deleted(task: &StoredTask) -> (u64, u64) {
    let deleted = task.task.deleted.expect("a purge tells what it deleted");
    (deleted.records, deleted.relationships)
}

pub async fn a_purge_deletes_every_record_of_its_type<F: Fixture>(fixture: &F) {
    for chunk in [1, 3, 1_000] {
        let world = hub(fixture, 20).await;
        world
            .bulk(&[create("place", "rome", 1), join("livesIn", "hub", "rome", 1)])
            .await;
        let task = world.accept_purge("person").await;
        assert_eq!((task.task.status, deleted(&task)), (TaskStatus::Pending, (0, 0)));
        world.apply_all(operations(chunk)).await;
        let task = world.task(&task).await;
        assert_eq!(
            (task.task.status, task.task.outcome()),
            (TaskStatus::Success, Some(Outcome::Complete))
        );
        assert_eq!(deleted(&task), (21, 21), "chunks of {chunk}");
        assert!(world.resources("person", 100).await.is_empty());
        assert!(world.edge_ids("knows").await.is_empty() && world.edge_ids("livesIn").await.is_empty());
        assert_eq!(ids(&world.resources("place", 10).await), ["rome"]);
        assert!(world.receipts(&task).await.is_empty());
    }
}

pub async fn a_purge_of_edges_leaves_their_ends<F: Fixture>(fixture: &F) {
    let world = hub(fixture, 10).await;
    let task = world.accept_purge("knows").await;
    world.apply_all(operations(4)).await;
    assert_eq!(deleted(&world.task(&task).await), (10, 0));
    assert!(world.edge_ids("knows").await.is_empty());
    assert_eq!(world.resources("person", 100).await.len(), 11);
}

pub async fn a_purge_takes_its_place_in_the_order_of_tasks<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .accept(&[create("person", "before", 1), create("person", "both", 1)])
        .await;
    let purge = world.accept_purge("person").await;
    world
        .accept(&[create("person", "after", 1), create("person", "both", 2)])
        .await;
    world.apply_all(operations(1)).await;
    assert_eq!(deleted(&world.task(&purge).await).0, 2);
    assert_eq!(ids(&world.resources("person", 10).await), ["after", "both"]);
}

pub async fn a_purge_spares_what_is_written_after_it_was_accepted<F: Fixture>(fixture: &F) {
    for chunk in [1, 2, 100] {
        let world = World::new(fixture.fresh().await).await;
        world
            .put(&[
                create("person", "old", 1),
                create("person", "changed", 1),
                create("person", "zed", 1),
            ])
            .await;
        world
            .accept(&[create("person", "earlier", 1), upsert("person", "mixed", 1)])
            .await;
        let purge = world.accept_purge("person").await;
        world
            .put(&[
                create("person", "new", 1),
                upsert("person", "changed", 2),
                create("person", "mixed", 9),
            ])
            .await;
        let lane = world.claim().await.expect("there is work");
        world.step(&lane, operations(chunk)).await;
        world.put(&[create("person", "aaa", 1)]).await;
        world.drain(&lane, operations(chunk)).await;
        world.store.release_lane(lane).await;
        world.settle().await;
        // `mixed` was written last by a request that was accepted before the purge.
        assert_eq!(
            ids(&world.resources("person", 10).await),
            ["aaa", "changed", "new"],
            "chunks of {chunk}"
        );
        assert_eq!(deleted(&world.task(&purge).await).0, 4);
    }
}

pub async fn a_type_that_a_purge_waits_for_is_not_deleted<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world.accept_purge("partner").await;
    let kind = DefinitionKind::RelationshipDefinition;
    refused_with(
        world.undefine(kind, "partner").await,
        ErrorType::FailedPrecondition,
    );
    world.apply_all(WHOLE).await;
    world.undefine(kind, "partner").await.expect("nothing uses it");
}

pub async fn a_cancelled_task_keeps_what_it_did<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops: Vec<Op> = (0..10).map(|n| create("person", &format!("p-{n}"), n)).collect();
    let task = world.accept(&ops).await;
    let next = world.accept(&[create("person", "next", 1)]).await;
    let lane = world.claim().await.expect("there is work");
    world.step(&lane, operations(3)).await;
    let cancelled = world.cancel(&task).await.expect("it has not ended");
    assert_eq!(cancelled.task, world.task(&task).await.task);
    assert_eq!(cancelled.task.status, TaskStatus::Cancelled);
    assert_eq!(
        (cancelled.task.counts.success, cancelled.task.counts.cancelled),
        (3, 7)
    );
    world.drain(&lane, WHOLE).await;
    world.store.release_lane(lane).await;
    world.settle().await;
    assert_eq!(world.resources("person", 100).await.len(), 4);
    assert_eq!(
        codes(&world.receipts(&cancelled).await),
        [200, 200, 200, 499, 499, 499, 499, 499, 499, 499]
    );
    assert_eq!(world.task(&next).await.task.status, TaskStatus::Success);
    assert_eq!(world.spooled().await, 0);
    refused_with(world.cancel(&task).await, ErrorType::FailedPrecondition);
    refused_with(world.cancel(&next).await, ErrorType::FailedPrecondition);
}

pub async fn a_waiting_task_is_cancelled_among_others<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut tasks = Vec::new();
    for id in ["aa", "bb", "cc"] {
        tasks.push(world.accept(&[create("person", id, 1)]).await);
    }
    world.cancel(&tasks[1]).await.expect("it waits");
    let purge = world.accept_purge("person").await;
    world.cancel(&purge).await.expect("it waits");
    let world = match fixture.reopen(world.store).await {
        Some(store) => World::found(store).await,
        None => return a_cancelled_task_keeps_what_it_did(fixture).await,
    };
    world.apply_all(operations(1)).await;
    assert_eq!(ids(&world.resources("person", 10).await), ["aa", "cc"]);
    for (task, status) in [
        (&tasks[0], TaskStatus::Success),
        (&tasks[1], TaskStatus::Cancelled),
        (&tasks[2], TaskStatus::Success),
        (&purge, TaskStatus::Cancelled),
    ] {
        assert_eq!(world.task(task).await.task.status, status);
    }
    assert_eq!(world.spooled().await, 0);
}

pub async fn a_task_that_does_not_exist_is_not_cancelled<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&[create("person", "ann", 1)]).await;
    let mut other = task.clone();
    other.task.id = world.task_id(granary_core::task::TaskKind::Bulk);
    refused_with(world.cancel(&other).await, ErrorType::NotFound);
    world.cancel(&task).await.expect("this one does");
    world.apply_all(WHOLE).await;
    assert!(
        world.resources("person", 10).await.is_empty(),
        "nothing was left to do"
    );
}

pub async fn a_resource_with_many_edges_is_gone_at_once<F: Fixture>(fixture: &F) {
    // More than a write or a chunk removes in one go.
    let world = hub(fixture, 5_000).await;
    world.put(&[delete("person", "hub")]).await;
    assert!(world.edge_ids("knows").await.is_empty(), "no edge is shown");
    for id in ["p-0", "p-1"] {
        for (from, to) in [(Some(rid(id)), None), (None, Some(rid(id)))] {
            let filter = EdgeFilter { from, to };
            assert!(world.edges("knows", &filter, 10).await.is_empty());
        }
    }
    assert_eq!(world.record("knows", &edge("hub", "p-1")).await, None);
    // The same again, with edges of its own, while the old ones are still being removed.
    world.put(&[create("person", "hub", 2)]).await;
    assert_eq!(
        verdict_codes(&world.refused(&[part("knows", "hub", "p-2")]).await),
        [404]
    );
    world
        .put(&[join("knows", "hub", "p-1", 7), join("knows", "p-0", "hub", 7)])
        .await;
    assert_eq!(world.edge_ids("knows").await, ["hub.p-1", "p-0.hub"]);
    world.apply_all(operations(1_000)).await;
    assert_eq!(world.edge_ids("knows").await, ["hub.p-1", "p-0.hub"]);
    let old = world
        .record("knows", &edge("p-0", "hub"))
        .await
        .expect("it is new");
    assert!(old.identifiers.is_empty() && old.body == body(7));
}

pub async fn removing_many_edges_goes_on_after_a_reopen<F: Fixture>(fixture: &F) {
    let world = hub(fixture, 30).await;
    world
        .accept(&[
            delete("person", "hub"),
            create("person", "hub", 2),
            join("knows", "hub", "p-4", 9),
        ])
        .await;
    let lane = world.claim().await.expect("there is work");
    for _ in 0..3 {
        assert_ne!(world.step(&lane, operations(1)).await, Step::Idle);
    }
    world.store.release_lane(lane).await;
    world.settle().await;
    let world = reopen_or_skip!(
        fixture,
        world,
        "purges::removing_many_edges_goes_on_after_a_reopen"
    );
    world.apply_all(operations(2)).await;
    assert_eq!(world.edge_ids("knows").await, ["hub.p-4"]);
    let lane = world.claim().await;
    assert!(lane.is_none(), "nothing is left to do");
}

pub async fn a_source_is_purged_with_all_it_holds<F: Fixture>(fixture: &F) {
    let world = hub(fixture, 50).await;
    let large: Vec<Op> = (0..40)
        .map(|n| create("place", &format!("l-{n}"), n).with_body(noise(4_000, u64::from(n))))
        .collect();
    world.bulk(&large).await;
    let waiting = world.accept(&large).await;
    let upload = world
        .upload(&[create("person", "late", 1)])
        .await
        .expect("it begins");
    world
        .store
        .delete_source(&world.source, true)
        .await
        .expect("it goes");
    assert_eq!(
        world
            .store
            .source(&world.source.key)
            .await
            .expect("sources are read"),
        None
    );
    let late = upload.accept(world.revision, world.now()).await;
    refused_with(late, ErrorType::NotFound);
    refused_with(world.store.receipts(&waiting, 0, 1).await, ErrorType::NotFound);
    assert!(world.claim().await.is_none(), "its tasks are stopped");
    assert_eq!(world.spooled().await, 0);
    let again = World::new(world.store).await;
    assert!(again.resources("person", 10).await.is_empty() && again.edge_ids("knows").await.is_empty());
    again.bulk(&[create("person", "ann", 1)]).await;
    for _ in 0..3 {
        again.store.free_space(20).await.expect("space is freed");
    }
    let again = match fixture.reopen(again.store).await {
        Some(store) => World::found(store).await,
        None => return,
    };
    let mut rounds = 0;
    while again.store.free_space(20).await.expect("space is freed") {
        rounds += 1;
        assert!(rounds < 1_000, "it comes to an end");
    }
    assert!(rounds > 3, "a little at a time");
    assert_eq!(ids(&again.resources("person", 10).await), ["ann"]);
}

//! Bulk requests on their way in.

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::DefinitionKind::{Profile, RelationshipDefinition};
use granary_core::task::{Counts, TaskKind, TaskStatus};

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{CheckedBatch, Store, StoreError, StoreLimits, TaskFilter};

/// Bodies of a request below this many bytes may be kept another way than those above.
const INLINE_BOUND: usize = 64 * 1024;

async fn tasks_count<S: Store>(world: &World<S>) -> usize {
    let tasks = world
        .store
        .tasks(&world.source, &TaskFilter::default(), None, 1_000)
        .await;
    tasks.expect("tasks are listed").len()
}

pub async fn an_accepted_request_is_a_pending_task<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let accepted = world
        .accept(&[create("person", "ann", 1), delete("person", "bob")])
        .await;
    let found = world.task(&accepted).await;
    for task in [&accepted, &found] {
        assert_eq!(task.task.id.kind, TaskKind::Bulk);
        assert_eq!(task.task.target_type, Some(TargetType::Resource));
        assert_eq!(task.task.status, TaskStatus::Pending);
        let expected = Counts {
            total: 2,
            pending: 2,
            ..Counts::default()
        };
        assert_eq!(task.task.counts, expected);
        assert_eq!(task.task.created_at, accepted.task.created_at);
        assert_eq!((task.task.started_at, task.task.completed_at), (None, None));
        assert_eq!((task.cursor, task.source), (0, world.source.number));
        assert_eq!(task.sequence, accepted.sequence);
        assert_eq!(codes(&world.receipts(task).await), [102, 102]);
    }
    assert_eq!(found.task.id, accepted.task.id);
    assert_eq!(world.record("person", &resource("ann")).await, None);
}

pub async fn a_dropped_upload_leaves_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let big = upsert("person", "ann", 1).with_body(noise(3 * INLINE_BOUND, 1));
    for op in [create("person", "ann", 1), delete("person", "ann"), big] {
        let mut upload = world
            .upload(std::slice::from_ref(&op))
            .await
            .expect("it is spooled");
        upload.push(world.batch(&[op])).await.expect("it is spooled");
        drop(upload);
        assert_eq!(world.spooled().await, 0);
    }
    drop(world.begin(TargetType::Relationship).await.expect("it begins"));
    assert_eq!(tasks_count(&world).await, 0);
    assert!(world.claim().await.is_none());
}

pub async fn tasks_stand_in_the_order_of_acceptance<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first_begun = world.upload(&[create("person", "ann", 1)]).await;
    let second_begun = world.upload(&[create("person", "ann", 2)]).await;
    let second = second_begun.expect("it is spooled");
    let second = second
        .accept(world.revision, world.now())
        .await
        .expect("accepted");
    let first = first_begun.expect("it is spooled");
    let first = first.accept(world.revision, world.now()).await.expect("accepted");
    assert!(second.sequence < first.sequence, "who is accepted first is first");
    world.apply_all(operations(1)).await;
    assert_eq!(codes(&world.receipts(&world.task(&second).await).await), [200]);
    assert_eq!(codes(&world.receipts(&world.task(&first).await).await), [409]);
    assert_eq!(world.body("person", "ann").await, Some(body(2)));
}

pub async fn the_limit_of_waiting_tasks_is_kept<F: Fixture>(fixture: &F) {
    let mut limits = StoreLimits::from(&Limits::default());
    limits.tasks_waiting_per_source = 2;
    let world = World::new(fixture.with_limits(limits).await).await;
    let full = ErrorType::ResourceExhausted;
    let late = world.upload(&[create("person", "cyd", 1)]).await;
    let first = world.accept(&[create("person", "ann", 1)]).await;
    world.accept(&[create("person", "bob", 1)]).await;
    refused_with(world.begin(TargetType::Resource).await.map(|_| ()), full);
    let late = late
        .expect("it is spooled")
        .accept(world.revision, world.now())
        .await;
    refused_with(late, full);
    assert_eq!(tasks_count(&world).await, 2);
    let lane = world.claim().await.expect("the lane has work");
    world.step(&lane, operations(1)).await;
    world.settle().await;
    assert!(world.task(&first).await.task.completed_at.is_some());
    world.accept(&[create("person", "dan", 1)]).await;
    refused_with(world.begin(TargetType::Resource).await.map(|_| ()), full);
}

pub async fn the_limit_of_spooled_bytes_is_kept<F: Fixture>(fixture: &F) {
    let mut limits = StoreLimits::from(&Limits::default());
    limits.spool_bytes = 10_000;
    let world = World::new(fixture.with_limits(limits).await).await;
    let big = |seed| upsert("person", "ann", 1).with_body(noise(8_000, seed));
    let mut upload = world.upload(&[big(1)]).await.expect("there is room");
    let over = upload.push(world.batch(&[big(2)])).await;
    refused_with(over, ErrorType::ResourceExhausted);
    drop(upload);
    assert_eq!(world.spooled().await, 0);
    world.accept(&[big(3)]).await;
    assert!(world.spooled().await >= 8_000);
    refused_with(
        world.upload(&[big(4)]).await.map(|_| ()),
        ErrorType::ResourceExhausted,
    );
    world.apply_all(WHOLE).await;
    assert_eq!(world.spooled().await, 0);
    world.bulk(&[big(5)]).await;
    assert_eq!(world.body("person", "ann").await, Some(noise(8_000, 5)));
}

pub async fn a_type_deleted_during_an_upload_refuses_it<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world.define(Profile, "thing", PROFILE).await;
    let checked_by = world.revision;
    let on_it = [
        world
            .upload(&[create("person", "ann", 1), create("thing", "axe", 1)])
            .await,
        world.upload(&[create("thing", "axe", 1)]).await,
    ];
    let on_another = world.upload(&[create("person", "ann", 1)]).await;
    world.undefine(Profile, "thing").await.expect("it goes");
    for (turn, upload) in on_it.into_iter().enumerate() {
        if turn == 1 {
            // One of the same key is another type.
            world.define(Profile, "thing", PROFILE).await;
        }
        let upload = upload.expect("it is spooled");
        let outcome = upload.accept(checked_by, world.now()).await;
        refused_with(outcome, ErrorType::FailedPrecondition);
    }
    let task = on_another
        .expect("it is spooled")
        .accept(checked_by, world.now())
        .await;
    let task = task.expect("what it names is there");
    assert_eq!(tasks_count(&world).await, 1);
    world.apply_all(WHOLE).await;
    assert_eq!(codes(&world.receipts(&world.task(&task).await).await), [200]);
    assert_eq!(world.spooled().await, 0);
}

pub async fn a_definition_replaced_during_an_upload_does_not_matter<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world
        .put(&[
            create("person", "ann", 1),
            create("place", "rome", 1),
            create("place", "oslo", 1),
        ])
        .await;
    let checked_by = world.revision;
    let upload = world
        .upload(&[
            join("livesIn", "ann", "rome", 1),
            join("livesIn", "ann", "oslo", 1),
        ])
        .await;
    let loose = relationship("livesIn", ("person", false), ("place", false));
    world.define(RelationshipDefinition, "livesIn", &loose).await;
    let task = upload
        .expect("it is spooled")
        .accept(checked_by, world.now())
        .await;
    let task = task.expect("its types are there");
    world.apply_all(WHOLE).await;
    // It is decided by the definitions that it was checked by.
    assert_eq!(codes(&world.receipts(&world.task(&task).await).await), [200, 400]);
}

pub async fn a_definition_made_another_during_an_upload_refuses_it<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let checked_by = world.revision;
    let upload = world.upload(&[join("knows", "ann", "bob", 1)]).await;
    // No edge is stored, so its ends may be changed.
    let other_ends = relationship("knows", ("place", false), ("person", false));
    world.define(RelationshipDefinition, "knows", &other_ends).await;
    let refused = upload
        .expect("it is spooled")
        .accept(checked_by, world.now())
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(world.spooled().await, 0);
}

pub async fn bodies_of_every_size_come_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let sizes = [
        1, 2, 3, 255, 4_095, 16_379, 16_380, 16_381, 16_384, 65_535, 65_536, 65_537, 1_000_000, 5_000_000,
    ];
    let mut ops = Vec::new();
    for (at, size) in sizes.into_iter().enumerate() {
        let op = |kind: &str, bytes| upsert("person", &format!("{kind}-{at:02}"), 0).with_body(bytes);
        ops.push(op("noise", noise(size, at as u64)));
        ops.push(op("even", vec![b'x'; size]));
    }
    world.bulk(&ops).await;
    let together = world.resources("person", 7).await;
    assert_eq!(together.len(), ops.len());
    for op in &ops {
        let found = world.record("person", &op.id).await.expect("it is stored");
        assert!(found.body == op.body, "the body of {}", op.id);
        assert_eq!(found.head.hash, op.hash.expect("an upsert has one"));
        let listed = together.iter().find(|record| record.id == op.id);
        assert!(listed == Some(&found), "the list shows {} as it is", op.id);
    }
    for op in ops.iter().filter(|op| op.body.len() < 100_000) {
        let mut alone = op.clone();
        alone.id = resource("alone");
        world.put(std::slice::from_ref(&alone)).await;
        assert_eq!(world.body("person", "alone").await.as_ref(), Some(&op.body));
    }
}

pub async fn requests_around_the_inline_bound_come_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    // A store may count what it keeps of each operation beside its body.
    for less in [193, 192, 191, 1, 0] {
        let total = INLINE_BOUND - less;
        for pushes in [1, 3] {
            let sizes = [total / 2, 0, total - total / 2];
            let mut upload = world.begin(TargetType::Resource).await.expect("it begins");
            let ops: Vec<Op> = sizes
                .iter()
                .enumerate()
                .map(|(at, size)| match size {
                    0 => delete("person", "nobody"),
                    size => upsert("person", &format!("id-{at}"), 0)
                        .with_body(noise(*size, (total * 10 + pushes + at) as u64)),
                })
                .collect();
            for part in ops.chunks(3_usize.div_ceil(pushes)) {
                upload.push(world.batch(part)).await.expect("it is spooled");
            }
            let task = upload
                .accept(world.revision, world.now())
                .await
                .expect("accepted");
            world.apply_all(WHOLE).await;
            let receipts = world.receipts(&world.task(&task).await).await;
            assert_eq!(codes(&receipts), [200, 404, 200], "{total} in {pushes}");
            for op in [&ops[0], &ops[2]] {
                let found = world.record("person", &op.id).await.expect("it is stored");
                assert!(found.body == op.body, "{total} in {pushes}: {}", op.id);
            }
        }
    }
}

pub async fn a_request_of_many_pushes_comes_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut upload = world.begin(TargetType::Resource).await.expect("it begins");
    let mut ops = Vec::new();
    for at in 0..3_000 {
        ops.push(
            create("person", &format!("id-{at:05}"), at).with_body(noise(20 + at as usize % 90, at.into())),
        );
    }
    let mut rest = ops.as_slice();
    let mut size = 0;
    upload
        .push(CheckedBatch::default())
        .await
        .expect("an empty push is none");
    while !rest.is_empty() {
        size = (size * 7 + 3) % 401;
        let (part, after) = rest.split_at(size.min(rest.len()));
        upload.push(world.batch(part)).await.expect("it is spooled");
        rest = after;
    }
    let task = upload
        .accept(world.revision, world.now())
        .await
        .expect("accepted");
    assert_eq!(task.task.counts.total, 3_000);
    world.apply_all(operations(700)).await;
    let task = world.task(&task).await;
    assert_eq!(task.task.counts.success, 3_000);
    let receipts = world.receipts(&task).await;
    let stored = world.resources("person", 999).await;
    assert_eq!((receipts.len(), stored.len()), (3_000, 3_000));
    for (at, op) in ops.iter().enumerate() {
        assert_eq!(receipts[at].id, op.id.to_string());
        assert_eq!(receipts[at].index, at as u64);
        assert_eq!(
            (&stored[at].id, stored[at].body.as_ref()),
            (&op.id, op.body.as_slice())
        );
    }
}

pub async fn a_request_that_shrinks_when_it_is_packed_comes_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    for size in [30_000, 60_000, 200_000] {
        let mut upload = world.begin(TargetType::Resource).await.expect("it begins");
        let ops: Vec<Op> = (0..5)
            .map(|at| upsert("person", &format!("id-{at}"), 0).with_body(vec![b'a' + at; size]))
            .collect();
        for op in &ops {
            upload
                .push(world.batch(std::slice::from_ref(op)))
                .await
                .expect("it is spooled");
        }
        upload
            .accept(world.revision, world.now())
            .await
            .expect("accepted");
        world.apply_all(WHOLE).await;
        for op in &ops {
            let found = world.record("person", &op.id).await.expect("it is stored");
            assert!(found.body == op.body, "{size}: {}", op.id);
        }
        assert_eq!(world.spooled().await, 0);
    }
}

pub async fn a_request_without_bodies_is_applied<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let many = 3_000;
    let id = |at: usize| format!("id-{at:05}");
    let creates: Vec<Op> = (0..many).map(|at| create("person", &id(at), 1)).collect();
    world.bulk(&creates).await;
    let deletes: Vec<Op> = (0..many + 1).map(|at| delete("person", &id(at))).collect();
    let task = world.accept(&deletes).await;
    world.apply_all(operations(1_000)).await;
    let task = world.task(&task).await;
    let counts = task.task.counts;
    assert_eq!((counts.success, counts.failure), (many as u64, 1));
    assert_eq!(world.resources("person", 10).await, []);
    assert_eq!(world.spooled().await, 0);
}

pub async fn spooled_bytes_are_given_back_at_the_end_of_the_task<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    for size in [100, 2 * INLINE_BOUND] {
        let ops: Vec<Op> = (0..3)
            .map(|at| upsert("person", "ann", 1).with_body(noise(size, at)))
            .collect();
        let bodies = 3 * size as u64;
        let upload = world.upload(&ops).await.expect("it is spooled");
        assert!(world.spooled().await > 0);
        upload
            .accept(world.revision, world.now())
            .await
            .expect("accepted");
        assert!(world.spooled().await >= bodies);
        let lane = world.claim().await.expect("the lane has work");
        world.step(&lane, operations(2)).await;
        assert!(world.spooled().await > 0, "until it ends");
        world.step(&lane, operations(2)).await;
        world.settle().await;
        assert_eq!(world.spooled().await, 0);
        world.store.release_lane(lane).await;
    }
}

pub async fn operations_wait_until_they_are_decided<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    assert_eq!(world.waiting().await, (0, 0));
    let of = |count: u64, size| -> Vec<Op> {
        (0..count)
            .map(|at| upsert("person", "ann", 1).with_body(noise(size, at)))
            .collect()
    };
    world.accept(&of(3, 100)).await;
    world.accept(&of(5, INLINE_BOUND)).await;
    assert_eq!(world.waiting().await, (3, 8));
    let lane = world.claim().await.expect("the lane has work");
    world.step(&lane, operations(2)).await;
    world.settle().await;
    assert_eq!(world.waiting().await, (1, 6));
    world.step(&lane, operations(2)).await;
    world.settle().await;
    assert_eq!(world.waiting().await, (5, 5));
    world.store.release_lane(lane).await;
    world.apply_all(WHOLE).await;
    assert_eq!(world.waiting().await, (0, 0));
}

pub async fn an_accepted_request_stays_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let small = world.accept(&[create("person", "ann", 1)]).await;
    let big = world
        .accept(&[create("person", "bob", 1).with_body(noise(2 * INLINE_BOUND, 1))])
        .await;
    drop(
        world
            .upload(&[create("person", "cyd", 1)])
            .await
            .expect("it is spooled"),
    );
    let spooled = world.spooled().await;
    let world = reopen_or_skip!(fixture, world, "accepted requests over a reopen");
    assert_eq!(world.spooled().await, spooled);
    assert_eq!(tasks_count(&world).await, 2);
    for task in [&small, &big] {
        assert_eq!(codes(&world.receipts(&world.task(task).await).await), [102]);
    }
    world.apply_all(WHOLE).await;
    for task in [&small, &big] {
        assert_eq!(codes(&world.receipts(&world.task(task).await).await), [200]);
    }
    assert_eq!(world.body("person", "ann").await, Some(body(1)));
    assert_eq!(
        world.body("person", "bob").await,
        Some(noise(2 * INLINE_BOUND, 1))
    );
    assert_eq!(world.spooled().await, 0);
}

//! Single writes and bundles.

use granary_core::decide::Verdict;
use granary_core::operation::TargetType;
use granary_core::schema::DefinitionKind::RelationshipDefinition;
use granary_core::task::{Outcome, TaskKind, TaskStatus};

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{EdgeFilter, Store, StoreError, StoredTask, TaskFilter, Written};

async fn tasks_of<S: Store>(world: &World<S>, kind: TaskKind) -> Vec<StoredTask> {
    let filter = TaskFilter {
        kind: Some(kind),
        ..TaskFilter::default()
    };
    world
        .store
        .tasks(&world.source, &filter, None, 100)
        .await
        .expect("tasks are listed")
}

pub async fn a_single_write_answers_the_record_and_leaves_a_task<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let answered = world.put(&[create("person", "ann", 1)]).await.remove(0);
    let answered = answered.expect("the record as it is");
    assert_eq!(answered.body.as_ref(), body(1));
    assert_eq!(
        world.record("person", &resource("ann")).await,
        Some(answered.clone())
    );
    let replaced = world.put(&[upsert("person", "ann", 2)]).await.remove(0);
    let replaced = replaced.expect("the record as it is");
    assert_eq!(
        (replaced.head.version, replaced.body.as_ref()),
        (2, body(2).as_slice())
    );
    assert_eq!(world.record("person", &resource("ann")).await, Some(replaced));
    assert_eq!(world.put(&[delete("person", "ann")]).await, [None]);
    assert_eq!(world.record("person", &resource("ann")).await, None);

    let tasks = tasks_of(&world, TaskKind::Single).await;
    assert_eq!(tasks.len(), 3);
    for task in &tasks {
        assert_eq!(task.task.status, TaskStatus::Success);
        assert_eq!(task.task.outcome(), Some(Outcome::Complete));
        assert_eq!(task.task.target_type, Some(TargetType::Resource));
        assert_eq!(
            (task.cursor, task.task.counts.total, task.task.counts.success),
            (1, 1, 1)
        );
        assert_eq!(world.task(task).await.task, task.task);
        assert_eq!(task.task.completed_at, task.task.started_at);
    }
    assert_eq!(tasks[2].task.created_at, answered.head.created_at);
    assert!(world.claim().await.is_none());
    assert_eq!(world.spooled().await, 0);
}

pub async fn a_refused_write_leaves_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("person", "ann", 1)]).await;
    let before = world.resources("person", 10).await;
    for (ops, expected) in [
        (vec![create("person", "ann", 2)], vec![409]),
        (vec![delete("person", "bob")], vec![404]),
        (vec![join("knows", "ann", "bob", 1)], vec![404]),
        (
            vec![create("person", "bob", 1), create("person", "ann", 1)],
            vec![200, 409],
        ),
    ] {
        assert_eq!(verdict_codes(&world.refused(&ops).await), expected);
    }
    assert_eq!(world.resources("person", 10).await, before);
    assert_eq!(tasks_of(&world, TaskKind::Single).await.len(), 1);
    assert_eq!(tasks_of(&world, TaskKind::Bundle).await.len(), 0);
    let next = world.put(&[upsert("person", "ann", 3)]).await.remove(0);
    assert_eq!(next.expect("it is stored").head.version, 2);
}

pub async fn a_bundle_is_all_or_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let good = [
        create("person", "ann", 1),
        create("place", "rome", 1),
        join("livesIn", "ann", "rome", 1),
    ];
    let mut bad = good.to_vec();
    bad.push(join("livesIn", "ann", "oslo", 1));
    assert_eq!(verdict_codes(&world.refused(&bad).await), [200, 200, 200, 404]);
    assert_eq!(world.resources("person", 10).await, []);
    assert_eq!(world.edge_ids("livesIn").await, Vec::<String>::new());

    let answered = world.put(&good).await;
    let id = |at: usize| answered[at].as_ref().expect("it is stored").id.to_string();
    assert_eq!([id(0), id(1), id(2)], ["ann", "rome", "ann.rome"]);
    let tasks = tasks_of(&world, TaskKind::Bundle).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].task.target_type, None);
    assert_eq!(tasks[0].task.counts.success, 3);
    assert_eq!(codes(&world.receipts(&tasks[0]).await), [200, 200, 200]);
}

pub async fn a_bundle_sees_its_own_earlier_operations<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let answered = world
        .put(&[
            create("person", "ann", 1),
            upsert("person", "ann", 2),
            create("person", "bob", 1),
            join("partner", "ann", "bob", 1),
            delete("person", "bob"),
        ])
        .await;
    let ann = answered[1].as_ref().expect("it is stored");
    assert_eq!((ann.head.version, ann.body.as_ref()), (2, body(2).as_slice()));
    assert_eq!(answered[0], answered[1], "each as it is after the whole");
    assert_eq!(answered[2..], [None, None, None]);
    assert_eq!(world.record("person", &resource("ann")).await.as_ref(), Some(ann));
    assert_eq!(world.edge_ids("partner").await, Vec::<String>::new());
    world
        .put(&[create("person", "bob", 1), join("partner", "ann", "bob", 1)])
        .await;
}

pub async fn a_bundle_of_very_many_operations_is_before_what_follows_it<F: Fixture>(fixture: &F) {
    // More than a store numbers at once.
    const MANY: u32 = 8_300;
    let world = World::new(fixture.fresh().await).await;
    let id = |at: u32| format!("id-{at}");
    let creates: Vec<Op> = (0..MANY).map(|at| create("person", &id(at), 0)).collect();
    let answered = world.put(&creates).await;
    let of_bundle: Vec<u64> = answered
        .iter()
        .flatten()
        .map(|record| record.head.stamp)
        .collect();
    assert_eq!(of_bundle.len(), creates.len());
    let next = world.put(&[upsert("person", &id(MANY - 1), 1)]).await;
    let next = next[0].as_ref().expect("it is stored").head.stamp;
    assert!(
        of_bundle.iter().all(|stamp| *stamp < next),
        "two states of a record have tags of their own"
    );
}

pub async fn a_bundle_may_delete_and_create_what_it_deleted<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .put(&[
            create("person", "ann", 1),
            create("person", "bob", 1),
            join("knows", "ann", "bob", 1),
            join("knows", "bob", "ann", 1),
            join("knows", "ann", "ann", 1),
        ])
        .await;
    let answered = world
        .put(&[
            delete("person", "ann"),
            create("person", "ann", 2),
            join("knows", "ann", "bob", 2),
            join("knows", "ann", "ann", 2).with_body(Vec::new()),
        ])
        .await;
    let stored = world.edges("knows", &EdgeFilter::default(), 10).await;
    assert_eq!(ids(&stored), ["ann.ann", "ann.bob"]);
    assert_eq!(stored[0].body.as_ref(), b"");
    assert_eq!(stored[1].body.as_ref(), body(2));
    assert_eq!(stored[1].head.version, 1);
    assert_eq!(answered[2].as_ref(), Some(&stored[1]));
    let to_ann = EdgeFilter {
        to: Some(rid("ann")),
        ..EdgeFilter::default()
    };
    assert_eq!(ids(&world.edges("knows", &to_ann, 10).await), ["ann.ann"]);
    assert_eq!(world.body("person", "ann").await, Some(body(2)));
}

pub async fn an_equal_upsert_answers_what_is_stored<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world.put(&[create("person", "ann", 1)]).await;
    // Bytes that the server makes anew each time, such as ids of contained resources, do not count.
    let equal = upsert("person", "ann", 1).with_equal_body(b"equal all the same".to_vec());
    assert_eq!(world.put(std::slice::from_ref(&equal)).await, first);
    assert_eq!(world.record("person", &resource("ann")).await, first[0]);
    let last = tasks_of(&world, TaskKind::Single).await.remove(0);
    assert_eq!(codes(&world.receipts(&last).await), [304]);

    let big = noise(100_000, 1);
    world
        .bulk(&[create("person", "bob", 1).with_body(big.clone())])
        .await;
    let equal = upsert("person", "bob", 1)
        .with_body(big.clone())
        .with_equal_body(b"equal".to_vec());
    let answered = world.put(&[equal, create("person", "cyd", 1)]).await;
    assert_eq!(answered[0], world.record("person", &resource("bob")).await);
    assert!(answered[0].as_ref().is_some_and(|record| record.body == big));
}

pub async fn a_write_checked_by_other_definitions_is_told_to_look_again<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let now = world.revision;
    for stale in [now - 1, now + 1] {
        world.revision = stale;
        let outcome = world.try_write(&[create("person", "ann", 1)]).await;
        assert!(
            matches!(outcome, Err(StoreError::DefinitionsChanged)),
            "{outcome:?}"
        );
    }
    world.revision = now;
    assert_eq!(world.resources("person", 10).await, []);
    world.put(&[create("person", "ann", 1)]).await;
}

pub async fn of_two_creates_at_once_one_succeeds<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    for round in 0..10 {
        let id = format!("id-{round}");
        let ops: Vec<Op> = (0..4).map(|content| create("person", &id, content)).collect();
        let writes = ops.iter().map(|op| world.write(std::slice::from_ref(op)));
        let outcomes = futures::future::join_all(writes).await;
        let persisted: Vec<&Written> = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Written::Persisted { .. }))
            .collect();
        let stored = world.record("person", &resource(&id)).await;
        let expected = Written::Persisted {
            records: vec![stored],
            verdicts: vec![Verdict::Success { unchanged: false }],
        };
        assert_eq!(persisted, [&expected]);
    }
    let writes = (0..16).map(|content| async move { upsert("person", "same", content) });
    let ops = futures::future::join_all(writes).await;
    futures::future::join_all(ops.iter().map(|op| world.put(std::slice::from_ref(op)))).await;
    let same = world
        .record("person", &resource("same"))
        .await
        .expect("it is stored");
    assert_eq!(same.head.version, 16, "none is lost");
}

pub async fn a_bundle_cannot_go_round_a_bound_that_was_tightened<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let loose = relationship("livesIn", ("person", false), ("place", false));
    let tight = relationship("livesIn", ("person", true), ("place", false));
    world.define(RelationshipDefinition, "livesIn", &loose).await;
    world.put(&[create("person", "ann", 1)]).await;
    for place in ["oslo", "pisa", "rome", "york"] {
        world.put(&[create("place", place, 1)]).await;
    }
    for place in ["oslo", "pisa", "rome"] {
        world.put(&[join("livesIn", "ann", place, 1)]).await;
    }
    world.define(RelationshipDefinition, "livesIn", &tight).await;
    // What is stored past the bound may be replaced: no edge is made.
    world.put(&[rejoin("livesIn", "ann", "rome", 2)]).await;
    assert_eq!(world.outcome(&[rejoin("livesIn", "ann", "oslo", 3)]).await, [200]);
    let two_of_three = [
        delete("place", "oslo"),
        delete("place", "pisa"),
        join("livesIn", "ann", "york", 1),
    ];
    assert_eq!(
        verdict_codes(&world.refused(&two_of_three).await),
        [200, 200, 400]
    );
    let mut all = two_of_three.to_vec();
    all.insert(0, delete("place", "rome"));
    world.put(&all).await;
    assert_eq!(world.edge_ids("livesIn").await, ["ann.york"]);
}

pub async fn a_write_stays_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .put(&[
            create("person", "ann", 1),
            create("person", "bob", 2),
            join("partner", "ann", "bob", 3),
        ])
        .await;
    let before = (
        world.resources("person", 10).await,
        world.edges("partner", &EdgeFilter::default(), 10).await,
    );
    let world = reopen_or_skip!(fixture, world, "writes over a reopen");
    let after = (
        world.resources("person", 10).await,
        world.edges("partner", &EdgeFilter::default(), 10).await,
    );
    assert_eq!(after, before);
    assert_eq!(tasks_of(&world, TaskKind::Bundle).await.len(), 1);
    let next = world.put(&[upsert("person", "ann", 9)]).await.remove(0);
    let stamps: Vec<u64> = before.0.iter().map(|record| record.head.stamp).collect();
    let next = next.expect("it is stored").head.stamp;
    assert!(
        stamps.iter().all(|stamp| *stamp < next),
        "no stamp is given twice"
    );
}

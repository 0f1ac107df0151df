//! Requests that are carried out once.

use std::sync::Arc;

use granary_core::idempotency::{Fingerprint, IdempotencyKey};
use granary_core::keys::ResourceId;
use granary_core::operation::TargetType;
use granary_core::task::TaskKind;
use granary_core::time::Timestamp;

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{
    FirstAnswer, Idempotent, Purge, RequestName, Result, Store, StoreError, StoredTask, TaskFilter, Write,
    Written,
};

fn name(path: &str, key: &str) -> RequestName {
    RequestName {
        path: path.to_owned(),
        key: IdempotencyKey::parse(key).expect("a key"),
    }
}

fn once(name: &RequestName, fingerprint: u8, kept_since: Timestamp) -> Idempotent {
    Idempotent {
        name: name.clone(),
        fingerprint: Fingerprint([fingerprint; 16]),
        status: 202,
        part: None,
        kept_since,
    }
}

/// Answers are kept for good.
const FOR_GOOD: Timestamp = Timestamp::EPOCH;

fn answered<T: std::fmt::Debug>(outcome: Result<T>) -> FirstAnswer {
    match outcome {
        Err(StoreError::Answered(answer)) => *answer,
        other => panic!("expected the first answer, got {other:?}"),
    }
}

async fn accept_once<S: Store>(world: &World<S>, ops: &[Op], request: Idempotent) -> Result<StoredTask> {
    let mut upload = world.upload(ops).await?;
    upload.set_idempotent(request);
    upload.accept(world.revision, world.now()).await
}

async fn purge_once<S: Store>(world: &World<S>, of: &str, request: Idempotent) -> Result<StoredTask> {
    let purge = Purge {
        source: world.source.clone(),
        task_id: world.task_id(TaskKind::Purge),
        of_type: world.types[world.type_index(of) as usize].clone(),
        definitions_revision: world.revision,
        idempotent: Some(request),
    };
    world.store.accept_purge(purge, world.now()).await
}

async fn write_once<S: Store>(world: &World<S>, op: Op, request: Idempotent) -> Result<Written> {
    let write = Write {
        source: world.source.clone(),
        task_id: world.task_id(TaskKind::Single),
        target_type: Some(TargetType::Resource),
        types: Arc::clone(&world.types),
        batch: world.batch(&[op]),
        definitions_revision: world.revision,
        guard: None,
        versions: None,
        idempotent: Some(request),
    };
    world.store.write(write, world.now()).await
}

async fn tasks_of<S: Store>(world: &World<S>) -> usize {
    let all = world
        .store
        .tasks(&world.source, &TaskFilter::default(), None, 100)
        .await;
    all.expect("tasks are listed").len()
}

async fn first_answer<S: Store>(
    world: &World<S>,
    name: &RequestName,
    since: Timestamp,
) -> Option<FirstAnswer> {
    let answer = world.store.first_answer(&world.source, name, since).await;
    answer.expect("an answer is looked for")
}

pub async fn a_bulk_request_is_accepted_once<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let bulk = name("resources/bulk", "one");
    assert_eq!(first_answer(&world, &bulk, FOR_GOOD).await, None);
    let ops = [create("person", "ann", 1)];
    let first = accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD))
        .await
        .expect("accepted");
    let kept = first_answer(&world, &bulk, FOR_GOOD).await.expect("it is kept");
    assert_eq!((kept.task_id, kept.status), (first.task.id, 202));
    assert_eq!(
        (kept.fingerprint, kept.part.clone()),
        (Fingerprint([1; 16]), None)
    );
    // The same, and another under the same name: what to make of it, the caller says.
    for fingerprint in [1, 2] {
        let again = accept_once(&world, &ops, once(&bulk, fingerprint, FOR_GOOD)).await;
        assert_eq!(answered(again), kept);
    }
    assert_eq!(tasks_of(&world).await, 1);
    // Other names are other requests.
    for other in [
        name("resources/bulk", "two"),
        name("relationships/bulk", "one"),
        name("resources/bulk\u{1}", "one"),
    ] {
        accept_once(&world, &ops, once(&other, 1, FOR_GOOD))
            .await
            .expect("accepted");
    }
    assert_eq!(tasks_of(&world).await, 4);
    assert_eq!(first_answer(&world, &bulk, FOR_GOOD).await, Some(kept));
}

pub async fn a_purge_is_accepted_once<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.bulk(&[create("person", "ann", 1)]).await;
    let purge = name("purge", "one");
    let first = purge_once(&world, "person", once(&purge, 1, FOR_GOOD))
        .await
        .expect("accepted");
    world.apply_all(WHOLE).await;
    world.put(&[create("person", "bob", 1)]).await;
    let again = purge_once(&world, "person", once(&purge, 1, FOR_GOOD)).await;
    assert_eq!(answered(again).task_id, first.task.id);
    world.apply_all(WHOLE).await;
    assert_eq!(ids(&world.resources("person", 10).await), ["bob"]);
}

pub async fn a_write_is_carried_out_once<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let write = name("resources/person", "one");
    let first = write_once(&world, upsert("person", "ann", 1), once(&write, 1, FOR_GOOD)).await;
    assert!(matches!(first, Ok(Written::Persisted { .. })), "{first:?}");
    let kept = first_answer(&world, &write, FOR_GOOD).await.expect("it is kept");
    let again = write_once(&world, upsert("person", "ann", 2), once(&write, 1, FOR_GOOD)).await;
    assert_eq!(answered(again), kept);
    // Also where it was checked by definitions that are not in force any more.
    world.revision += 1;
    let again = write_once(&world, upsert("person", "ann", 3), once(&write, 1, FOR_GOOD)).await;
    assert_eq!(answered(again), kept);
    world.refresh().await;
    let [record] = world
        .resources("person", 10)
        .await
        .try_into()
        .expect("it is there");
    assert_eq!(record.head.version, 1);
    let task = world
        .store
        .task(&world.source, kept.task_id.ksuid)
        .await
        .expect("a task is read");
    assert_eq!(task.expect("its task is there").task.id, kept.task_id);
}

pub async fn a_refused_request_leaves_its_name_free<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let write = name("resources/person", "one");
    world.put(&[create("person", "ann", 1)]).await;
    let refused = write_once(&world, create("person", "ann", 2), once(&write, 1, FOR_GOOD)).await;
    assert!(matches!(refused, Ok(Written::Refused(_))), "{refused:?}");
    assert_eq!(first_answer(&world, &write, FOR_GOOD).await, None);
    world.put(&[delete("person", "ann")]).await;
    let taken = write_once(&world, create("person", "ann", 2), once(&write, 1, FOR_GOOD)).await;
    assert!(matches!(taken, Ok(Written::Persisted { .. })), "{taken:?}");
}

pub async fn of_many_sent_at_once_one_is_carried_out<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let bulk = name("resources/bulk", "one");
    let ops = [create("person", "ann", 1)];
    let all =
        futures::future::join_all((0..8).map(|_| accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD)))).await;
    let (accepted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    let [Ok(accepted)] = accepted.as_slice() else {
        panic!("expected one that is accepted, got {accepted:?}");
    };
    for other in others {
        assert_eq!(answered(other).task_id, accepted.task.id);
    }
    assert_eq!(tasks_of(&world).await, 1);
}

pub async fn an_answer_is_kept_for_a_time<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let (bulk, other) = (name("resources/bulk", "one"), name("resources/bulk", "two"));
    let ops = [create("person", "ann", 1)];
    accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD))
        .await
        .expect("accepted");
    let kept = first_answer(&world, &bulk, FOR_GOOD).await.expect("it is kept");
    let later = Timestamp::from_millis(kept.at.millis() + 1);
    assert_eq!(first_answer(&world, &bulk, kept.at).await, Some(kept.clone()));
    assert_eq!(first_answer(&world, &bulk, later).await, None);
    // Its name is free, though it was not forgotten yet; what comes then is kept in its stead.
    let second = accept_once(&world, &ops, once(&bulk, 2, later))
        .await
        .expect("accepted");
    let kept = first_answer(&world, &bulk, FOR_GOOD).await.expect("it is kept");
    assert_eq!(
        (kept.task_id, kept.fingerprint),
        (second.task.id, Fingerprint([2; 16]))
    );
    assert!(kept.at >= later);

    accept_once(&world, &ops, once(&other, 3, FOR_GOOD))
        .await
        .expect("accepted");
    let newest = first_answer(&world, &other, FOR_GOOD).await.expect("it is kept");
    while world
        .store
        .forget_answers(newest.at, 1)
        .await
        .expect("answers are forgotten")
    {}
    assert_eq!(first_answer(&world, &bulk, FOR_GOOD).await, None);
    assert_eq!(first_answer(&world, &other, FOR_GOOD).await, Some(newest));
}

pub async fn an_answer_stays_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let (bulk, write) = (name("resources/bulk", "one"), name("resources/person", "one"));
    let ops = [create("person", "ann", 1)];
    accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD))
        .await
        .expect("accepted");
    let mut request = once(&write, 1, FOR_GOOD);
    request.part = Some(ResourceId::parse("part").expect("an id"));
    let wrote = write_once(&world, create("person", "bob", 1), request).await;
    assert!(matches!(wrote, Ok(Written::Persisted { .. })), "{wrote:?}");
    let kept = [
        first_answer(&world, &bulk, FOR_GOOD).await.expect("it is kept"),
        first_answer(&world, &write, FOR_GOOD).await.expect("it is kept"),
    ];
    assert_eq!(
        kept[1].part.as_ref().map(ToString::to_string).as_deref(),
        Some("part")
    );
    let world = reopen_or_skip!(fixture, world, "an_answer_stays_over_a_reopen");
    assert_eq!(
        first_answer(&world, &bulk, FOR_GOOD).await.as_ref(),
        Some(&kept[0])
    );
    assert_eq!(
        first_answer(&world, &write, FOR_GOOD).await.as_ref(),
        Some(&kept[1])
    );
    assert_eq!(
        answered(accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD)).await),
        kept[0]
    );
}

pub async fn answers_go_with_their_source<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let bulk = name("resources/bulk", "one");
    let ops = [create("person", "ann", 1)];
    accept_once(&world, &ops, once(&bulk, 1, FOR_GOOD))
        .await
        .expect("accepted");
    world
        .store
        .delete_source(&world.source, true)
        .await
        .expect("deleted");
    let gone = world.store.first_answer(&world.source, &bulk, FOR_GOOD).await;
    super::refused_with(gone, granary_core::error::ErrorType::NotFound);
    while world.store.free_space(100).await.expect("space is freed") {}
    while world
        .store
        .forget_answers(world.now(), 100)
        .await
        .expect("answers are forgotten")
    {}
    let next = World::new(world.store).await;
    assert_eq!(first_answer(&next, &bulk, FOR_GOOD).await, None);
}

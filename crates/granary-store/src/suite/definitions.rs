//! Definitions: compare-and-set, numbers, and what holds them in place.

use std::collections::BTreeSet;

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::schema::DefinitionKind::{Profile, RelationshipDefinition};
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition, accept};

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{Store, StoreError, StoreLimits, Stored};

fn good(kind: DefinitionKind, name: &str, json: &str, others: &[StoredDefinition]) -> AcceptedDefinition {
    accept(
        kind,
        &key(name),
        json.as_bytes(),
        others,
        &BTreeSet::new(),
        &Limits::default(),
    )
    .expect("a good definition")
}

fn names(list: &[StoredDefinition]) -> Vec<(DefinitionKind, &str, u64)> {
    list.iter()
        .map(|d| (d.kind, d.key.as_str(), d.revision))
        .collect()
}

pub async fn a_definition_is_stored_and_replaced<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    assert_eq!(world.definitions().await.revision, world.revision);
    let (first_at, second_at) = (world.now(), world.now());
    let plain = good(Profile, "person", PROFILE, &[]);
    let (first, did) = world
        .store
        .put_definition(&world.source, &plain, 0, first_at)
        .await
        .expect("it is stored");
    assert_eq!((did, first.revision, &*first.json), (Stored::Created, 1, PROFILE));
    assert_eq!((first.created_at, first.updated_at), (first_at, first_at));
    let seen = world.definitions().await;
    assert_eq!(seen.list, std::slice::from_ref(&first));
    assert!(seen.revision > 0, "the revision grows");

    let other = good(Profile, "person", r#"{"properties":{}}"#, &seen.list);
    let (second, did) = world
        .store
        .put_definition(&world.source, &other, seen.revision, second_at)
        .await
        .expect("it is replaced");
    assert_eq!(
        (did, second.revision, second.number),
        (Stored::Replaced, 2, first.number)
    );
    assert_eq!((second.created_at, second.updated_at), (first_at, second_at));
    assert_eq!(&*second.json, other.json());
    let now = world.definitions().await;
    assert_eq!(now.list, [second]);
    assert!(now.revision > seen.revision, "the revision grows");
}

pub async fn definitions_are_listed_by_kind_and_key<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world.define(Profile, "Zoo", PROFILE).await;
    world.define(Profile, "knows", PROFILE).await;
    let list = world.definitions().await.list;
    assert_eq!(
        names(&list),
        [
            (Profile, "Zoo", 1),
            (Profile, "knows", 1),
            (Profile, "person", 1),
            (Profile, "place", 1),
            (RelationshipDefinition, "knows", 1),
            (RelationshipDefinition, "livesIn", 1),
            (RelationshipDefinition, "partner", 1),
        ]
    );
    let mut numbers: Vec<u32> = list.iter().map(|d| d.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 7, "profiles and definitions share no number");
    let gone = world.undefine(Profile, "knows").await;
    gone.expect("only the profile of that key goes");
    let kept = world.definitions().await.list;
    assert!(names(&kept).contains(&(RelationshipDefinition, "knows", 1)));
}

pub async fn a_definition_beside_others_than_were_seen_is_not_stored<F: Fixture>(fixture: &F) {
    let mut world = World::bare(fixture.fresh().await).await;
    world.define(Profile, "person", PROFILE).await;
    let seen = world.definitions().await;
    let fresh = good(Profile, "place", PROFILE, &seen.list);
    let (store, source) = (&world.store, &world.source);
    for stale in [0, seen.revision - 1, seen.revision + 1] {
        if stale == seen.revision {
            continue;
        }
        let outcome = store.put_definition(source, &fresh, stale, world.now()).await;
        assert!(
            matches!(outcome, Err(StoreError::DefinitionsChanged)),
            "{outcome:?}"
        );
        let outcome = store
            .delete_definition(source, Profile, &key("person"), stale)
            .await;
        assert!(
            matches!(outcome, Err(StoreError::DefinitionsChanged)),
            "{outcome:?}"
        );
    }
    let now = world.definitions().await;
    assert_eq!((now.revision, now.list), (seen.revision, seen.list));
}

pub async fn of_two_definitions_stored_at_once_one_is_told_to_look_again<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    for round in 0..10 {
        let seen = world.definitions().await;
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let (a, b) = (
            good(Profile, &a, PROFILE, &seen.list),
            good(Profile, &b, PROFILE, &seen.list),
        );
        let (store, source) = (&world.store, &world.source);
        let (one, two) = futures::join!(
            store.put_definition(source, &a, seen.revision, world.now()),
            store.put_definition(source, &b, seen.revision, world.now())
        );
        let outcomes = [one, two];
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
        let told = |o: &&crate::Result<_>| matches!(o, Err(StoreError::DefinitionsChanged));
        assert_eq!(outcomes.iter().filter(told).count(), 1, "{outcomes:?}");
        assert_eq!(world.definitions().await.list.len(), seen.list.len() + 1);
    }
}

pub async fn a_definition_created_again_is_another_type<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let old = world.number("place");
    world
        .undefine(RelationshipDefinition, "livesIn")
        .await
        .expect("it goes");
    world.undefine(Profile, "place").await.expect("it goes");
    world.define(Profile, "place", PROFILE).await;
    assert_ne!(world.number("place"), old);
    let list = world.definitions().await.list;
    assert!(
        names(&list).contains(&(Profile, "place", 1)),
        "{:?}",
        names(&list)
    );
}

pub async fn a_definition_that_does_not_exist_is_not_deleted<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    refused_with(world.undefine(Profile, "livesIn").await, ErrorType::NotFound);
    refused_with(
        world.undefine(RelationshipDefinition, "person").await,
        ErrorType::NotFound,
    );
}

pub async fn a_definition_with_records_is_not_deleted<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world
        .put(&[
            create("person", "ann", 1),
            create("place", "rome", 1),
            join("livesIn", "ann", "rome", 1),
        ])
        .await;
    let refused = ErrorType::FailedPrecondition;
    refused_with(world.undefine(RelationshipDefinition, "livesIn").await, refused);
    world.put(&[part("livesIn", "ann", "rome")]).await;
    world
        .undefine(RelationshipDefinition, "livesIn")
        .await
        .expect("it has no edges");
    refused_with(world.undefine(Profile, "place").await, refused);
    world.put(&[delete("place", "rome")]).await;
    world.undefine(Profile, "place").await.expect("it has no records");
}

pub async fn a_definition_that_a_waiting_task_names_is_not_deleted<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let refused = ErrorType::FailedPrecondition;
    let task = world.accept(&[part("livesIn", "ann", "rome")]).await;
    refused_with(world.undefine(RelationshipDefinition, "livesIn").await, refused);
    // The types at the ends of what it names are in use too.
    refused_with(world.undefine(Profile, "place").await, refused);
    refused_with(world.undefine(Profile, "person").await, refused);
    world
        .undefine(RelationshipDefinition, "partner")
        .await
        .expect("no operation of the task is on it");
    world.apply_all(WHOLE).await;
    assert!(world.task(&task).await.task.completed_at.is_some());
    world
        .undefine(RelationshipDefinition, "livesIn")
        .await
        .expect("the task has ended");
    let task = world.accept(&[delete("place", "rome")]).await;
    refused_with(world.undefine(Profile, "place").await, refused);
    let lane = world.claim().await.expect("the lane has work");
    world.drain(&lane, WHOLE).await;
    world
        .undefine(Profile, "place")
        .await
        .expect("the task has ended");
    assert_eq!(codes(&world.receipts(&world.task(&task).await).await), [404]);
}

pub async fn a_type_does_not_change_what_it_is_while_it_is_in_use<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let other_ends = relationship("knows", ("person", false), ("place", false));
    let same_ends = relationship("knows", ("person", true), ("person", false));
    world
        .undefine(RelationshipDefinition, "livesIn")
        .await
        .expect("it goes");
    for waiting in [true, false] {
        if waiting {
            world.accept(&[create("place", "rome", 1)]).await;
        } else {
            world.apply_all(WHOLE).await;
        }
        let seen = world.definitions().await;
        let contained = good(Profile, "place", CONTAINED_PROFILE, &seen.list);
        let outcome = world
            .store
            .put_definition(&world.source, &contained, seen.revision, world.now())
            .await;
        refused_with(outcome, ErrorType::FailedPrecondition);
    }
    world.put(&[create("person", "ann", 1)]).await;
    world.put(&[join("knows", "ann", "ann", 1)]).await;
    let seen = world.definitions().await;
    let other = good(RelationshipDefinition, "knows", &other_ends, &seen.list);
    let outcome = world
        .store
        .put_definition(&world.source, &other, seen.revision, world.now())
        .await;
    refused_with(outcome, ErrorType::FailedPrecondition);
    assert_eq!(world.definitions().await.revision, seen.revision);

    // What does not change what the records are is free to change, and what has no records is free.
    world.define(RelationshipDefinition, "knows", &same_ends).await;
    world.put(&[part("knows", "ann", "ann")]).await;
    world.define(RelationshipDefinition, "knows", &other_ends).await;
    world
        .undefine(RelationshipDefinition, "knows")
        .await
        .expect("it has no edges");
    world.put(&[delete("place", "rome")]).await;
    world.define(Profile, "place", CONTAINED_PROFILE).await;
}

pub async fn the_limit_of_definitions_is_kept<F: Fixture>(fixture: &F) {
    let mut limits = StoreLimits::from(&Limits::default());
    limits.definitions_per_source = 2;
    let mut world = World::bare(fixture.with_limits(limits).await).await;
    world.define(Profile, "person", PROFILE).await;
    world.define(Profile, "place", PROFILE).await;
    let seen = world.definitions().await;
    let third = good(Profile, "thing", PROFILE, &seen.list);
    let outcome = world
        .store
        .put_definition(&world.source, &third, seen.revision, world.now())
        .await;
    refused_with(outcome, ErrorType::ContentTooLarge);
    world.define(Profile, "place", r#"{"properties":{}}"#).await;
    world.undefine(Profile, "place").await.expect("it goes");
    world.define(Profile, "thing", PROFILE).await;
}

pub async fn definitions_stay_over_a_reopen<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world.define(Profile, "place", r#"{"properties":{}}"#).await;
    world.define(Profile, "thing", PROFILE).await;
    let highest = world.number("thing");
    world.undefine(Profile, "thing").await.expect("it goes");
    let before = world.definitions().await;
    let mut world = reopen_or_skip!(fixture, world, "definitions over a reopen");
    let after = world.definitions().await;
    assert_eq!((after.revision, after.list), (before.revision, before.list));
    world.define(Profile, "thing", PROFILE).await;
    assert!(world.number("thing") > highest, "a number is not given twice");
}

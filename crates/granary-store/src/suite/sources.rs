//! Sources and their incarnations.

use std::sync::Arc;

use granary_core::error::ErrorType;
use granary_core::operation::TargetType;
use granary_core::schema::{DefinitionKind, accept};
use granary_core::task::TaskKind;

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{EdgeFilter, Step, Store, Stored, TaskFilter};

pub async fn a_source_is_created_once<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    let store = &world.store;
    let again = store.put_source(&world.source.key, world.now()).await;
    assert_eq!(
        again.expect("it is there"),
        (world.source.clone(), Stored::Replaced)
    );
    let (other, stored) = store
        .put_source(&key("Garden"), world.now())
        .await
        .expect("keys are exact");
    assert_eq!(stored, Stored::Created);
    assert_ne!(other.number, world.source.number);
    assert_eq!(
        store.source(&key("Garden")).await.expect("it is read"),
        Some(other)
    );
    assert_eq!(store.source(&key("gardens")).await.expect("it is read"), None);
}

pub async fn sources_are_listed_in_key_order_with_every_page_size<F: Fixture>(fixture: &F) {
    let world = World::bare_named(fixture.fresh().await, "b").await;
    for name in ["ab", "a", "B", "-x", "b-", "b_", "9"] {
        let (_, stored) = world
            .store
            .put_source(&key(name), world.now())
            .await
            .expect("a source is created");
        assert_eq!(stored, Stored::Created);
    }
    for page in 1..=9 {
        let mut all: Vec<String> = Vec::new();
        loop {
            let after = all.last().map(|last| key(last));
            let next = world.store.sources(after.as_ref(), page).await;
            let next = next.expect("sources are listed");
            assert!(next.len() <= page);
            if next.is_empty() {
                break;
            }
            all.extend(next.iter().map(|source| source.key.to_string()));
        }
        assert_eq!(
            all,
            ["-x", "9", "B", "a", "ab", "b", "b-", "b_"],
            "pages of {page}"
        );
    }
}

pub async fn a_source_that_holds_something_is_not_deleted<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let refused = ErrorType::FailedPrecondition;
    refused_with(world.store.delete_source(&world.source, false).await, refused);
    world.accept(&[create("person", "ann", 1)]).await;
    refused_with(world.store.delete_source(&world.source, false).await, refused);
    world.apply_all(WHOLE).await;
    refused_with(world.store.delete_source(&world.source, false).await, refused);
    world.put(&[delete("person", "ann")]).await;
    refused_with(world.store.delete_source(&world.source, false).await, refused);
    world.undefine_all().await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("an empty source goes");
    assert_eq!(
        world.store.source(&world.source.key).await.expect("it is read"),
        None
    );
    assert_eq!(world.store.sources(None, 10).await.expect("they are listed"), []);
}

/// A world whose source has a history and is then deleted.
async fn deleted<F: Fixture>(fixture: &F) -> World<F::Store> {
    let mut world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    world.bulk(&[join("knows", "ann", "bob", 1)]).await;
    world
        .bulk(&[delete("person", "ann"), delete("person", "bob")])
        .await;
    world.undefine_all().await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("an empty source goes");
    world
}

pub async fn a_source_created_again_sees_nothing_of_the_old_one<F: Fixture>(fixture: &F) {
    let mut world = deleted(fixture).await;
    let old = world.source.clone();
    let (source, stored) = world
        .store
        .put_source(&old.key, world.now())
        .await
        .expect("a source is created again");
    assert_eq!(stored, Stored::Created);
    assert_ne!(source.number, old.number);
    world.source = source;
    assert_eq!(world.definitions().await.list, []);
    world.define_types().await;
    for name in ["person", "place"] {
        assert_eq!(world.resources(name, 10).await, []);
    }
    assert_eq!(world.edge_ids("knows").await, Vec::<String>::new());
    let filter = TaskFilter::default();
    let tasks = world.store.tasks(&world.source, &filter, None, 10).await;
    assert_eq!(tasks.expect("tasks are listed").len(), 0);
    for serial in 0..8 {
        let mut bytes = [0; 20];
        bytes[4..8].copy_from_slice(&old.number.to_be_bytes());
        bytes[19] = serial;
        let id = granary_core::ksuid::Ksuid::from_bytes(bytes);
        let found = world.store.task(&world.source, id).await;
        assert!(found.expect("a task is looked for").is_none());
    }
    let record = world.put(&[create("person", "ann", 2)]).await.remove(0);
    assert_eq!(record.expect("it is stored").head.version, 1);
}

pub async fn calls_with_the_handle_of_a_deleted_source_are_not_found<F: Fixture>(fixture: &F) {
    let world = deleted(fixture).await;
    every_call_is_not_found(&world).await;
    world
        .store
        .put_source(&world.source.key, world.now())
        .await
        .expect("a source is created again");
    every_call_is_not_found(&world).await;
    let still = world.store.source(&world.source.key).await.expect("it is read");
    assert!(still.is_some(), "the new source is untouched");
}

async fn every_call_is_not_found<S: Store>(world: &World<S>) {
    let gone = ErrorType::NotFound;
    let (store, source) = (&world.store, &world.source);
    let (number, id, now) = (1, resource("ann"), world.now());
    refused_with(store.delete_source(source, false).await, gone);
    refused_with(store.definitions(source).await.map(|_| ()), gone);
    let profile = accept(
        DefinitionKind::Profile,
        &key("person"),
        PROFILE.as_bytes(),
        &[],
        &Default::default(),
        &Default::default(),
    );
    let profile = profile.expect("a good profile");
    refused_with(store.put_definition(source, &profile, 0, now).await, gone);
    refused_with(
        store
            .delete_definition(source, DefinitionKind::Profile, &key("person"), 0)
            .await,
        gone,
    );
    refused_with(world.begin(TargetType::Resource).await.map(|_| ()), gone);
    let write = crate::Write {
        source: source.clone(),
        task_id: world.task_id(TaskKind::Single),
        target_type: Some(TargetType::Resource),
        types: Arc::new([]),
        batch: Default::default(),
        definitions_revision: 0,
        guard: None,
        versions: None,
        idempotent: None,
    };
    refused_with(store.write(write, now).await, gone);
    refused_with(store.record(source, number, &id).await, gone);
    refused_with(store.resources(source, number, None, 1).await, gone);
    let filter = EdgeFilter::default();
    refused_with(store.relationships(source, number, &filter, None, 1).await, gone);
    let id = world.task_id(TaskKind::Bulk).ksuid;
    refused_with(store.task(source, id).await, gone);
    refused_with(store.tasks(source, &TaskFilter::default(), None, 1).await, gone);
}

pub async fn an_upload_to_a_source_that_was_deleted_is_not_found<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    let big = upsert("person", "ann", 1).with_body(noise(100_000, 1));
    let uploads = [
        world.upload(&[create("person", "ann", 1)]).await,
        world.upload(&[create("person", "ann", 1)]).await,
        world.upload(&[big]).await,
    ];
    world.undefine_all().await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("an upload does not hold a source");
    for (turn, upload) in uploads.into_iter().enumerate() {
        if turn == 1 {
            let created = world.store.put_source(&world.source.key, world.now()).await;
            created.expect("the key is taken again");
        }
        let upload = upload.expect("operations are spooled");
        let outcome = upload.accept(world.revision, world.now()).await;
        refused_with(outcome, ErrorType::NotFound);
    }
    assert_eq!(world.spooled().await, 0);
    assert!(world.claim().await.is_none());
}

pub async fn the_lane_of_a_deleted_source_is_lost<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world
        .accept(&[create("person", "ann", 1), delete("person", "ann")])
        .await;
    let lane = world.claim().await.expect("the lane has work");
    world.drain(&lane, WHOLE).await;
    world.undefine_all().await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("a held lane does not hold the source");
    assert_eq!(world.step(&lane, WHOLE).await, Step::Lost);
    let created = world.store.put_source(&world.source.key, world.now()).await;
    world.source = created.expect("the key is taken again").0;
    world.define_types().await;
    world.accept(&[create("person", "bob", 1)]).await;
    assert_eq!(world.step(&lane, WHOLE).await, Step::Lost);
    world.store.release_lane(lane).await;
    let lane = world.claim().await.expect("the lane of the new source has work");
    assert_eq!(lane.source, world.source);
    assert_eq!(world.step(&lane, WHOLE).await, Step::Applied(1));
}

pub async fn two_sources_are_apart<F: Fixture>(fixture: &F) {
    let garden = World::new(fixture.fresh().await).await;
    garden
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    garden.bulk(&[join("knows", "ann", "bob", 1)]).await;
    let in_garden = garden.resources("person", 10).await;

    let mut house = World::bare_named(garden.store, "house").await;
    house.define_types().await;
    assert_eq!(house.resources("person", 10).await, []);
    let refused = house.refused(&[join("knows", "ann", "bob", 1)]).await;
    assert_eq!(verdict_codes(&refused), [404]);
    house.put(&[create("person", "ann", 9)]).await;
    house.put(&[delete("person", "ann")]).await;

    let (store, source) = (&house.store, &garden.source);
    let number = garden.types[0].number;
    let now = store.resources(source, number, None, 10).await;
    assert_eq!(now.expect("they are listed"), in_garden);
}

pub async fn two_deletions_of_a_source_leave_the_next_one<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    let store = &world.store;
    let mut source = world.source.clone();
    for round in 0..20 {
        // Whichever comes first: the source that is there afterwards was created after the deletion, or not at all.
        let again = async { store.put_source(&source.key, world.now()).await };
        let (one, two, _) = futures::join!(
            store.delete_source(&source, false),
            store.delete_source(&source, false),
            again
        );
        assert!(
            one.is_ok() || two.is_ok(),
            "one of them deletes it: {one:?}, {two:?}"
        );
        let (next, _) = store
            .put_source(&source.key, world.now())
            .await
            .expect("it is there or is created");
        assert_ne!(next.number, source.number, "round {round}");
        let found = store.source(&source.key).await.expect("it is read");
        assert_eq!(found, Some(next.clone()), "round {round}");
        source = next;
    }
}

pub async fn a_number_is_not_given_twice_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world
        .store
        .delete_source(&world.source, false)
        .await
        .expect("an empty source goes");
    let world = reopen_or_skip!(fixture, world, "numbers of sources over a reopen");
    assert_eq!(world.store.sources(None, 10).await.expect("they are listed"), []);
    let (next, _) = world
        .store
        .put_source(&world.source.key, world.now())
        .await
        .expect("it is created");
    assert_ne!(next.number, world.source.number);
}

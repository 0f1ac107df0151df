//! The store as a whole.

use granary_core::operation::TargetType;
use granary_core::schema::{DefinitionKind, accept};

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::{Result, Store, StoreError, Stored};

pub async fn the_hash_key_stays<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let key = world.store.hash_key();
    assert_eq!(world.store.hash_key(), key);
    let world = reopen_or_skip!(fixture, world, "the hash key over a reopen");
    assert_eq!(world.store.hash_key(), key);
}

pub async fn a_closed_store_takes_no_writes<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("person", "ann", 1)]).await;
    world.accept(&[create("person", "bob", 1)]).await;
    let lane = world.claim().await.expect("the lane has work");
    let upload = world.upload(&[create("person", "cyd", 1)]).await;
    let upload = upload.expect("operations are spooled");
    let seen = world.definitions().await;
    let profile = accept(
        DefinitionKind::Profile,
        &key("thing"),
        PROFILE.as_bytes(),
        &seen.list,
        &Default::default(),
        &Default::default(),
    );
    let profile = profile.expect("a good profile");
    let now = world.now();

    world.store.close().await.expect("a store closes");
    world.store.close().await.expect("closing again does nothing");

    let (store, source) = (&world.store, &world.source);
    unavailable(store.put_source(&key("other"), now).await);
    unavailable(store.delete_source(source, false).await);
    unavailable(store.put_definition(source, &profile, seen.revision, now).await);
    let kind = DefinitionKind::Profile;
    unavailable(
        store
            .delete_definition(source, kind, &key("place"), seen.revision)
            .await,
    );
    unavailable(world.begin(TargetType::Resource).await.map(|_| ()));
    unavailable(upload.accept(world.revision, now).await);
    unavailable(store.apply_chunk(&lane, WHOLE, now).await);
    unavailable(world.try_write(&[create("person", "dan", 1)]).await);
}

fn unavailable<T: std::fmt::Debug>(outcome: Result<T>) {
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "expected Unavailable, got {outcome:?}"
    );
}

pub async fn what_was_shown_is_there_after_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[
            create("person", "ann", 1),
            create("person", "bob", 2),
            create("place", "rome", 3),
            upsert("person", "bob", 4),
        ])
        .await;
    world
        .bulk(&[join("livesIn", "ann", "rome", 1), join("knows", "ann", "bob", 2)])
        .await;
    world.put(&[create("person", "cyd", 5)]).await;
    let before = (
        world.resources("person", 10).await,
        world.resources("place", 10).await,
        world.edges("livesIn", &Default::default(), 10).await,
        world.edges("knows", &Default::default(), 10).await,
    );
    assert_eq!((before.0.len(), before.2.len()), (3, 1));
    let world = reopen_or_skip!(fixture, world, "records over a reopen");
    let after = (
        world.resources("person", 10).await,
        world.resources("place", 10).await,
        world.edges("livesIn", &Default::default(), 10).await,
        world.edges("knows", &Default::default(), 10).await,
    );
    assert_eq!(after, before);
    let found = world.store.source(&world.source.key).await;
    assert_eq!(found.expect("a source is read"), Some(world.source.clone()));
    let (source, stored) = world
        .store
        .put_source(&world.source.key, world.now())
        .await
        .expect("a source is there");
    assert_eq!((source, stored), (world.source.clone(), Stored::Replaced));
    let inward = crate::EdgeFilter {
        to: Some(rid("bob")),
        ..Default::default()
    };
    assert_eq!(ids(&world.edges("knows", &inward, 10).await), ["ann.bob"]);
}

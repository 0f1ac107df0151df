//! API keys.

use granary_core::access::{ApiKey, KeyName, KeyRecord, Role, Sources};
use granary_core::error::ErrorType;
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::time::Timestamp;

use super::world::*;
use super::{Fixture, refusal, refused_with, reopen_or_skip};
use crate::{Store, StoreError, StoreLimits, StoredKeys};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_750_000_000_000 + second * 1_000)
}

/// The key with this number, which is its order among them.
fn numbered(number: u8) -> ApiKey {
    ApiKey::from_parts(
        Ksuid::from_parts(at(i64::from(number)), [number; 16]),
        [number; 32],
    )
}

fn record(number: u8, role: Role, sources: &[&str]) -> KeyRecord {
    let key = numbered(number);
    KeyRecord {
        id: key.id(),
        name: number
            .is_multiple_of(2)
            .then(|| KeyName::parse(&format!("número {number}")).expect("a name")),
        role,
        sources: Sources::parse(sources.iter().copied()).expect("sources"),
        hash: key.hash(),
        created_at: at(i64::from(number)),
        last_used_at: None,
    }
}

/// What is told of keys, one line each.
fn told(keys: &StoredKeys) -> Vec<String> {
    let line = |key: &KeyRecord| {
        let KeyRecord {
            id,
            name,
            role,
            sources,
            hash,
            created_at,
            last_used_at,
        } = key;
        let used = last_used_at.map(|at| at.to_string());
        format!(
            "{id} {name:?} {role:?} {sources:?} {:?} {created_at} {used:?}",
            hash.as_bytes()
        )
    };
    keys.keys.iter().map(line).collect()
}

impl<S: Store> World<S> {
    async fn keys(&self) -> StoredKeys {
        let keys = self.store.access().keys().await.expect("keys are read");
        let revision = self.store.access().keys_revision().await;
        assert_eq!(revision.expect("a revision is read"), keys.revision);
        keys
    }

    async fn add_keys(&self, records: &[KeyRecord]) {
        for record in records {
            self.store
                .access()
                .create_key(record)
                .await
                .expect("a key is stored");
        }
    }
}

pub async fn keys_are_kept_as_they_were_created_and_listed_by_id<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let none = world.keys().await;
    assert_eq!((none.revision, none.keys.len()), (0, 0));
    let [a, b, c] = [
        record(1, Role::Admin, &["*"]),
        record(2, Role::Writer, &["clinic", "other"]),
        record(3, Role::Reader, &["clinic"]),
    ];
    world.add_keys(&[b.clone(), c.clone(), a.clone()]).await;
    let found = world.keys().await;
    let keys = vec![a, b, c];
    assert_eq!(told(&found), told(&StoredKeys { revision: 0, keys }));
    for (number, key) in (1..).zip(&found.keys) {
        assert!(key.hash.is_of(&numbered(number)));
    }
}

pub async fn the_revision_of_keys_moves_with_each_that_comes_or_goes<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut seen = vec![world.keys().await.revision];
    world.add_keys(&[record(1, Role::Admin, &["*"])]).await;
    seen.push(world.keys().await.revision);
    world.add_keys(&[record(2, Role::Reader, &["*"])]).await;
    seen.push(world.keys().await.revision);
    for number in [1, 2] {
        let gone = world.store.access().revoke_key(numbered(number).id()).await;
        assert_eq!(gone.expect("a key is revoked").id, numbered(number).id());
        seen.push(world.keys().await.revision);
    }
    // Also of a store whose keys are gone it says that there were some.
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert!(world.keys().await.keys.is_empty());
}

pub async fn a_key_is_revoked_once_and_alone<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .add_keys(&[
            record(1, Role::Admin, &["*"]),
            record(2, Role::Writer, &["clinic"]),
        ])
        .await;
    let (access, id) = (world.store.access(), numbered(1).id());
    access.revoke_key(id).await.expect("a key is revoked");
    let before = world.keys().await;
    refused_with(access.revoke_key(id).await, ErrorType::NotFound);
    let after = world.keys().await;
    assert_eq!(before.revision, after.revision);
    assert_eq!(told(&after).len(), 1);
    assert_eq!(after.keys[0].id, numbered(2).id());
}

pub async fn the_last_use_of_a_key_only_goes_forward<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .add_keys(&[record(1, Role::Admin, &["*"]), record(2, Role::Reader, &["*"])])
        .await;
    let before = world.keys().await.revision;
    let access = world.store.access();
    let (one, two, none) = (numbered(1).id(), numbered(2).id(), numbered(3).id());
    for (used, expected) in [
        (vec![(one, at(10)), (none, at(10))], (Some(at(10)), None)),
        (vec![(two, at(5)), (one, at(9))], (Some(at(10)), Some(at(5)))),
        (vec![], (Some(at(10)), Some(at(5)))),
        (vec![(one, at(11))], (Some(at(11)), Some(at(5)))),
    ] {
        access.note_use(&used).await.expect("a use is noted");
        let keys = world.keys().await;
        let last: Vec<_> = keys.keys.iter().map(|key| key.last_used_at).collect();
        assert_eq!(last, [expected.0, expected.1]);
        assert_eq!(keys.revision, before);
    }
}

pub async fn the_limit_of_keys_is_kept<F: Fixture>(fixture: &F) {
    let limits = StoreLimits {
        api_keys: 2,
        ..StoreLimits::from(&Limits::default())
    };
    let world = World::new(fixture.with_limits(limits).await).await;
    world
        .add_keys(&[record(1, Role::Admin, &["*"]), record(2, Role::Reader, &["*"])])
        .await;
    let access = world.store.access();
    let third = record(3, Role::Reader, &["*"]);
    let error = refusal(access.create_key(&third).await);
    assert_eq!(error.error_type, ErrorType::ContentTooLarge);
    assert!(error.message.contains("apiKeys of 2"), "{error}");
    access
        .revoke_key(numbered(1).id())
        .await
        .expect("a key is revoked");
    access.create_key(&third).await.expect("there is room again");
}

pub async fn keys_stay_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .add_keys(&[
            record(1, Role::Admin, &["*"]),
            record(2, Role::Writer, &["clinic", "other"]),
            record(3, Role::Reader, &["clinic"]),
        ])
        .await;
    let access = world.store.access();
    access
        .revoke_key(numbered(1).id())
        .await
        .expect("a key is revoked");
    let used = [(numbered(3).id(), at(77))];
    access.note_use(&used).await.expect("a use is noted");
    let before = world.keys().await;
    let world = reopen_or_skip!(fixture, world, "keys over a reopen");
    let after = world.keys().await;
    assert_eq!((told(&after), after.revision), (told(&before), before.revision));
    world.add_keys(&[record(4, Role::Reader, &["*"])]).await;
    assert!(world.keys().await.revision > before.revision);
}

pub async fn a_closed_store_changes_no_key<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.add_keys(&[record(1, Role::Admin, &["*"])]).await;
    world.store.close().await.expect("a store closes");
    let access = world.store.access();
    let id = numbered(1).id();
    let outcomes = [
        access.create_key(&record(2, Role::Admin, &["*"])).await,
        access.revoke_key(id).await.map(drop),
        access.note_use(&[(id, at(1))]).await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
}

//! A source at one moment, and what is put back as it was.

use std::time::Duration;

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::schema::DefinitionKind::Profile;
use granary_core::schema::accept;
use granary_core::task::TaskKind;

use super::world::*;
use super::{Fixture, refused_with, reopen_or_skip};
use crate::{
    Definitions, KeptDefinition, Record, Result, SourceSnapshot, Store, StoreError, Write, Written, may_go_on,
};

const HELD_MAX: Duration = Duration::from_secs(600);

/// What a source has: definitions, then the records of each type in the order of the definitions.
struct All {
    definitions: Definitions,
    records: Vec<(String, Record)>,
}

async fn snapshot<S: Store>(world: &World<S>) -> Box<dyn SourceSnapshot> {
    let snapshot = world.store.snapshot(&world.source, HELD_MAX).await;
    snapshot.expect("a snapshot is taken")
}

/// Everything in a snapshot, by pages of this size.
async fn all_of(snapshot: &mut dyn SourceSnapshot, types: &[&str], page: usize) -> Result<All> {
    let definitions = snapshot.definitions().clone();
    let mut records: Vec<(String, Record)> = Vec::new();
    for name in types {
        let stored = definitions
            .list
            .iter()
            .find(|stored| stored.key.as_str() == *name);
        let number = stored.expect("the type is there").number;
        let mut after = None;
        loop {
            let next = match &after {
                Some(edge @ granary_core::operation::RecordId::Relationship { .. }) => {
                    let (from, to) = ends(edge);
                    snapshot.relationships(number, Some((&from, &to)), page).await?
                }
                Some(granary_core::operation::RecordId::Resource(id)) => {
                    snapshot.resources(number, Some(id), page).await?
                }
                None if ["person", "place"].contains(name) => snapshot.resources(number, None, page).await?,
                None => snapshot.relationships(number, None, page).await?,
            };
            let more = may_go_on(&next, page);
            after = next.last().map(|record| record.id.clone());
            records.extend(next.into_iter().map(|record| ((*name).to_owned(), record)));
            if !more || after.is_none() {
                break;
            }
        }
    }
    Ok(All { definitions, records })
}

const TYPES: [&str; 4] = ["person", "place", "livesIn", "knows"];

/// A history by every way of writing: bulk requests large and small, single writes, identifiers, imported times.
async fn lived<S: Store>(world: &World<S>) {
    let people: Vec<Op> = (0..40)
        .map(|n| {
            let op = create("person", &format!("p-{n:02}"), n).with_body(noise(3_000, u64::from(n)));
            match n % 3 {
                0 => op.identified_by(&[&format!("tax:{n}:official")]),
                1 => op.imported(i64::from(n), Some(i64::from(n) + 5)),
                _ => op,
            }
        })
        .collect();
    world.bulk(&people).await;
    world
        .bulk(&[create("place", "here", 1), create("place", "there", 1)])
        .await;
    world.put(&[upsert("person", "p-01", 100)]).await;
    world.put(&[upsert("person", "p-01", 101)]).await;
    world
        .bulk(&[upsert("person", "p-02", 102), delete("person", "p-05")])
        .await;
    let edges: Vec<Op> = (0..10)
        .map(|n| {
            join(
                "knows",
                &format!("p-{:02}", n + 10),
                &format!("p-{:02}", n + 20),
                n,
            )
        })
        .collect();
    world.bulk(&edges).await;
    world.put(&[join("livesIn", "p-10", "here", 1)]).await;
    world.bulk(&[rejoin("livesIn", "p-10", "here", 2)]).await;
}

pub async fn a_snapshot_is_of_one_moment<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    lived(&world).await;
    let mut held = snapshot(&world).await;
    let before = all_of(&mut *snapshot(&world).await, &TYPES, 100)
        .await
        .expect("it is read");
    assert_eq!(before.records.len(), 39 + 2 + 1 + 10);

    // All of it changes: replaced, deleted with edges, created, in bulk and at once; definitions too.
    world
        .bulk(&[upsert("person", "p-00", 200), create("person", "p-000", 1)])
        .await;
    world.put(&[delete("person", "p-10")]).await;
    world.put(&[create("place", "elsewhere", 1)]).await;
    world.define(Profile, "later", PROFILE).await;
    let people: Vec<Op> = (0..40)
        .map(|n| upsert("person", &format!("p-{n:02}"), n + 300))
        .collect();
    world.bulk(&people).await;

    for page in [1, 7, 100] {
        let now = all_of(&mut *held, &TYPES, page).await.expect("it is read");
        assert_eq!(now.definitions.list, before.definitions.list);
        assert_eq!(now.records, before.records, "pages of {page}");
    }
    drop(held);
    let after = all_of(&mut *snapshot(&world).await, &TYPES, 100)
        .await
        .expect("it is read");
    assert_ne!(after.records, before.records);
    assert_eq!(after.definitions.list.len(), before.definitions.list.len() + 1);
}

pub async fn a_source_that_is_gone_has_no_snapshot<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .store
        .delete_source(&world.source, true)
        .await
        .expect("it goes");
    let none = world.store.snapshot(&world.source, HELD_MAX).await;
    refused_with(none.map(|_| ()), ErrorType::NotFound);
}

/// The definitions as they are put back.
fn kept(definitions: &Definitions) -> Vec<KeptDefinition> {
    let accepted = |stored: &granary_core::schema::StoredDefinition| {
        let (json, none) = (stored.json.as_bytes(), Default::default());
        let of = accept(
            stored.kind,
            &stored.key,
            json,
            &definitions.list,
            &none,
            &Limits::default(),
        );
        KeptDefinition {
            accepted: of.expect("what was accepted is accepted again"),
            revision: stored.revision,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    };
    definitions.list.iter().map(accepted).collect()
}

pub async fn what_is_put_back_is_as_it_was<F: Fixture>(fixture: &F) {
    let mut world = World::new(fixture.fresh().await).await;
    world.define(Profile, "place", PROFILE).await;
    lived(&world).await;
    let was = all_of(&mut *snapshot(&world).await, &TYPES, 100)
        .await
        .expect("it is read");

    let now = world.now();
    let (source, _) = world
        .store
        .put_source(&key("again"), now)
        .await
        .expect("a source");
    let restored = world
        .store
        .restore_definitions(&source, &kept(&was.definitions))
        .await;
    restored.expect("definitions are put back");
    let mut again = world;
    again.source = source;
    again.refresh().await;
    let (mut ops, mut versions) = (Vec::new(), Vec::new());
    for (name, record) in &was.records {
        let notations: Vec<String> = match record.identifiers.is_empty() {
            true => Vec::new(),
            false => serde_json::from_slice(&record.identifiers).expect("a list of notations"),
        };
        let op = match &record.id {
            granary_core::operation::RecordId::Resource(id) => create(name, id.as_str(), 0),
            edge => {
                let (from, to) = ends(edge);
                join(name, from.as_str(), to.as_str(), 0)
            }
        };
        let head = record.head;
        let op = op.with_body(record.body.to_vec());
        let op = op.imported(head.created_at.millis(), Some(head.updated_at.millis()));
        let notations: Vec<&str> = notations.iter().map(String::as_str).collect();
        ops.push(match notations.is_empty() {
            true => op,
            false => op.identified_by(&notations),
        });
        versions.push(head.version);
    }
    let write = Write {
        source: again.source.clone(),
        task_id: again.task_id(TaskKind::Bundle),
        target_type: None,
        types: again.types.clone(),
        batch: again.batch(&ops),
        definitions_revision: again.revision,
        guard: None,
        versions: Some(versions),
        idempotent: None,
    };
    let written = again
        .store
        .write(write, again.now())
        .await
        .expect("it is written");
    assert!(matches!(written, Written::Persisted { .. }), "{written:?}");
    let again = reopen_or_skip!(fixture, again, "what_is_put_back_is_as_it_was");
    let is = all_of(&mut *snapshot(&again).await, &TYPES, 100)
        .await
        .expect("it is read");
    let shown = |all: &All| -> Vec<_> {
        { all.definitions.list.iter() }
            .map(|d| {
                (
                    d.key.clone(),
                    d.revision,
                    d.json.clone(),
                    d.created_at,
                    d.updated_at,
                )
            })
            .collect()
    };
    assert_eq!(shown(&is), shown(&was));
    assert!(is.definitions.list.iter().any(|stored| stored.revision == 2));
    assert_eq!(is.records.len(), was.records.len());
    let mut versions = std::collections::BTreeSet::new();
    for ((name, is), (_, was)) in is.records.iter().zip(&was.records) {
        let shown = |record: &Record| {
            let head = record.head;
            let (body, identifiers) = (record.body.clone(), record.identifiers.clone());
            (
                record.id.clone(),
                head.version,
                head.created_at,
                head.updated_at,
                body,
                identifiers,
            )
        };
        assert_eq!(shown(is), shown(was), "{name}");
        versions.insert(is.head.version);
    }
    assert_eq!(versions, [1, 2, 3].into());
    assert_eq!(again.identified("person", "tax:3:official", 10).await, ["p-03"]);
    // From there on all goes on as ever.
    again.put(&[upsert("person", "p-01", 500)]).await;
    let record = again
        .record("person", &resource("p-01"))
        .await
        .expect("it is there");
    assert_eq!(record.head.version, 4);
}

pub async fn definitions_are_put_back_into_a_source_that_holds_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let definitions = kept(&world.definitions().await);
    let into =
        async |world: &World<F::Store>| world.store.restore_definitions(&world.source, &definitions).await;
    refused_with(into(&world).await, ErrorType::FailedPrecondition);

    let mut world = World::bare_named(world.store, "other").await;
    into(&world).await.expect("it holds nothing");
    world.refresh().await;
    refused_with(into(&world).await, ErrorType::FailedPrecondition);
    world
        .put(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let edge = world.put(&[join("partner", "ann", "bob", 1)]).await;
    assert_eq!(edge.len(), 1);
    world.undefine(Profile, "person").await.expect_err("it is in use");

    world
        .store
        .delete_source(&world.source, true)
        .await
        .expect("it goes");
    refused_with(into(&world).await, ErrorType::NotFound);
    let world = World::bare_named(world.store, "other").await;
    world.store.close().await.expect("it closes");
    let refused = into(&world).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

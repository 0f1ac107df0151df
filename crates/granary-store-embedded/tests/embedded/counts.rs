//! Counts of live bodies: they only choose what is collected, and are exact all the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, KeyspaceCreateOptions};
use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{Step, Store as _, StoreLimits};
use granary_store_embedded::{Collection, EmbeddedStore};
use serde::Deserialize;

use crate::OnDisk;
use crate::collect::everything;

/// Where a body is, as rows of heads say it; what follows the number of a segment is not read.
#[derive(Deserialize)]
enum Place {
    Nowhere,
    Bodies,
    Segment(u32),
}

type Head = (u32, u64, i64, i64, [u8; 16], Option<[u8; 16]>, bool, Place);
type Count = (Option<u64>, u64, u64, u64, bool, u64, Option<i64>);

/// Sees that a store that is closed counts for each segment the heads that point to it; how many do in all.
fn are_exact(folder: &Path) -> u64 {
    let db = Database::builder(folder.join("db")).open().unwrap();
    let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default).unwrap();
    let mut pointing: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let source = |key: &[u8]| u32::from_be_bytes(*key.first_chunk().unwrap());
    for name in ["heads", "edges"] {
        for row in keyspace(name).iter() {
            let (key, value) = row.into_inner().unwrap();
            let (.., place): Head = postcard::from_bytes(&value).unwrap();
            if let Place::Segment(segment) = place {
                *pointing.entry((source(&key), segment)).or_default() += 1;
            }
        }
    }
    let total = pointing.values().sum();
    for row in keyspace("counts").iter() {
        let (key, value) = row.into_inner().unwrap();
        let (_, _, _, records, _, live, _): Count = postcard::from_bytes(&value).unwrap();
        let segment = u32::from_be_bytes(key[4..].try_into().unwrap());
        let found = pointing.remove(&(source(&key), segment)).unwrap_or_default();
        assert_eq!(live, found, "segment {segment} of {records}");
        assert!(live <= records);
    }
    assert!(pointing.is_empty(), "{pointing:?} are not counted");
    total
}

/// Stores whose counts are looked at whenever they are closed.
struct Counted {
    inner: OnDisk,
    steps: AtomicU64,
    found: AtomicU64,
}

impl Fixture for Counted {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        self.inner.with_limits(limits).await
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        let (folder, limits) = self.inner.folder(&store);
        store.close().await.unwrap();
        drop(store);
        self.found.fetch_add(are_exact(&folder), Ordering::Relaxed);
        Some(self.inner.open(&folder, limits))
    }

    async fn tend(&self, store: &EmbeddedStore) {
        if self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            store.collect().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_leave_exact_counts() {
    let fixture = Counted {
        inner: OnDisk {
            collection: Collection {
                total_percent: 100,
                ..everything()
            },
            ..OnDisk::in_memory()
        },
        steps: AtomicU64::new(0),
        found: AtomicU64::new(0),
    };
    histories(&fixture, 70_000..70_120).await;
    assert!(fixture.found.into_inner() > 200, "there was something to count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_goes_with_its_ends_is_counted_once() {
    let fixture = OnDisk {
        collection: Collection::by_hand(),
        ..OnDisk::in_memory()
    };
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let id = |at: u64| format!("id-{at:03}");
    let people = (0..100).map(|at| create("person", &id(at), 0).with_body(noise(1_000, at)));
    world.bulk(&people.collect::<Vec<_>>()).await;
    let edges = (1..100).flat_map(|at| {
        let edge =
            |from: u64, to: u64| join("knows", &id(from), &id(to), 0).with_body(noise(800, from * 100 + to));
        [edge(0, at), edge(at, (at + 1) % 100)]
    });
    world.bulk(&edges.collect::<Vec<_>>()).await;
    // Both ends in one bundle; an edge that is removed, and one that is written, beside its end.
    world
        .put(&[delete("person", &id(10)), delete("person", &id(11))])
        .await;
    world
        .put(&[part("knows", &id(20), &id(21)), delete("person", &id(20))])
        .await;
    world
        .put(&[
            delete("person", &id(30)),
            create("person", &id(30), 1),
            rejoin("knows", &id(30), &id(31), 1),
        ])
        .await;
    // With more edges than a chunk removes, and some of them written again before they are.
    let task = world
        .accept(&[delete("person", &id(0)), create("person", &id(0), 1)])
        .await;
    let lane = world.claim().await.unwrap();
    assert_eq!(world.step(&lane, operations(2)).await, Step::Applied(2));
    world
        .put(&[
            rejoin("knows", &id(0), &id(50), 1),
            rejoin("knows", &id(0), &id(51), 1),
        ])
        .await;
    world.drain(&lane, operations(7)).await;
    world.settle().await;
    assert!(world.task(&task).await.task.completed_at.is_some());
    let left = world.edge_ids("knows").await.len() as u64;
    world.store.close().await.unwrap();
    drop(world);
    // Three people and what was written by hand are not in segments.
    assert_eq!(are_exact(&folder), 100 - 5 + left - 3);
}

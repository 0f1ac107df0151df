//! Single writes beside a task of the same source (`writes.rs` of the store).

use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use granary_store::suite::world::*;
use granary_store::{Result, Store as _, Written};
use granary_store_embedded::{Collection, EmbeddedStore, RunStep, Runs};

use crate::limits;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A store whose chunks stop before their commit, the lock of their source in hand: each tells that it has, and waits
/// until it may go on. They have so many operations, or one while single writes come.
fn stopping(folder: &std::path::Path, operations: usize) -> (EmbeddedStore, Receiver<()>, SyncSender<()>) {
    let (reached, has_reached) = sync_channel(0);
    let (go_on, may_go_on) = sync_channel::<()>(0);
    let may_go_on = Mutex::new(may_go_on);
    let observer = move |step| {
        if step == RunStep::Written && reached.send(()).is_ok() {
            _ = may_go_on.lock().unwrap().recv();
        }
    };
    let runs = Runs {
        operations,
        operations_beside_writes: 1,
        heads_min: 1,
        observer: Some(Arc::new(observer)),
    };
    let store = EmbeddedStore::open_with(folder, limits(), runs, Collection::default()).unwrap();
    (store, has_reached, go_on)
}

/// Applies what there is.
async fn applied(world: Arc<World<EmbeddedStore>>) {
    let lane = world.claim().await.unwrap();
    world.drain(&lane, operations(1)).await;
    world.store.release_lane(lane).await;
}

/// Begins a write and leaves it in the queue.
fn begun<'a>(world: &'a World<EmbeddedStore>, op: Op) -> Pin<Box<dyn Future<Output = Result<Written>> + 'a>> {
    let mut write = Box::pin(async move { world.try_write(&[op]).await });
    let begun = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending());
    write
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_are_carried_out_between_two_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let (store, has_reached, go_on) = stopping(folder.path(), 1);
    let world = Arc::new(World::new(store).await);
    let task = world
        .accept(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let applying = tokio::spawn(applied(Arc::clone(&world)));
    has_reached.recv_timeout(LONG).unwrap();
    let kept: Vec<_> = (0..20)
        .map(|at| begun(&world, upsert("person", "eve", at)))
        .collect();
    // Nobody waits for this one.
    drop(begun(&world, create("person", "kim", 1)));
    go_on.send(()).unwrap();
    has_reached.recv_timeout(LONG).unwrap();
    // The next chunk has the lock by now, and keeps it.
    let mut versions = Vec::new();
    for write in kept {
        let written = tokio::time::timeout(LONG, write).await.unwrap().unwrap();
        let Written::Persisted { records, .. } = written else {
            panic!("an upsert was refused");
        };
        versions.push(records[0].as_ref().unwrap().head.version);
    }
    assert_eq!(versions, (1..=20).collect::<Vec<_>>(), "one after the other");
    assert!(world.record("person", &resource("kim")).await.is_some());
    assert_eq!(world.task(&task).await.cursor, 1);
    go_on.send(()).unwrap();
    tokio::time::timeout(LONG, applying).await.unwrap().unwrap();
    world.settle().await;
    let task = world.task(&task).await;
    assert_eq!(codes(&world.receipts(&task).await), [200, 200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_short_while_writes_come() {
    let folder = tempfile::tempdir().unwrap();
    let (store, has_reached, go_on) = stopping(folder.path(), 4);
    let world = Arc::new(World::new(store).await);
    let people: Vec<Op> = (0..8)
        .map(|at| create("person", &format!("id-{at}"), at))
        .collect();
    world.accept(&people).await;
    let applying = tokio::spawn(applied(Arc::clone(&world)));
    has_reached.recv_timeout(LONG).unwrap();
    let write = begun(&world, upsert("person", "eve", 1));
    // Four operations, then one, then the three that are left.
    for _ in 0..2 {
        go_on.send(()).unwrap();
        has_reached.recv_timeout(LONG).unwrap();
    }
    go_on.send(()).unwrap();
    tokio::time::timeout(LONG, applying).await.unwrap().unwrap();
    assert!(has_reached.try_recv().is_err(), "there was a fourth chunk");
    write.await.unwrap();
}

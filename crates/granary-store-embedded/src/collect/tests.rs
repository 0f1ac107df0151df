//! What needs a look inside: reads that began before a round ended.

use std::sync::mpsc;
use std::time::Duration;

use granary_core::limits::Limits;
use granary_core::operation::RecordId;
use granary_store::suite::world::*;
use granary_store::{Store as _, StoreLimits};

use super::*;
use crate::rows::{self, HeadRow};
use crate::{EmbeddedStore, Runs, keys};

/// A store that collects all there is when it is asked to, and tells each step.
fn opened(folder: &std::path::Path) -> (EmbeddedStore, mpsc::Receiver<CollectStep>) {
    let (told, steps) = mpsc::channel();
    let told = Mutex::new(told);
    let collection = Collection {
        look_every: None,
        dead_kept: Duration::ZERO,
        observer: Some(Arc::new(move |step| _ = lock(&told).send(step))),
        ..Collection::default()
    };
    let limits = StoreLimits::from(&Limits::default());
    let store = EmbeddedStore::open_with(folder, limits, Runs::default(), collection).unwrap();
    (store, steps)
}

fn people(body: u64) -> Vec<Op> {
    let op = |at: u64| upsert("person", &format!("id-{at:03}"), 0).with_body(noise(900, at + body));
    (0..100).map(op).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_stays_for_as_long_as_a_read_may_want_it() {
    use fjall::Readable as _;

    let folder = tempfile::tempdir().unwrap();
    let (store, steps) = opened(folder.path());
    let world = World::new(store.clone()).await;
    world.bulk(&people(0)).await;
    world.bulk(&people(1_000)[..90]).await;
    // A read that is slow: it has its snapshot, and no body yet.
    let held = store.inner.sync.published();
    let collecting = store.clone();
    let round = tokio::spawn(async move { collecting.collect().await });
    let durable = || {
        let step = steps.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_ne!(step, CollectStep::Unread, "somebody reads");
        step == CollectStep::Durable
    };
    while !durable() {}
    // What is shown by now is read from the new place, and a later snapshot does not hold the file.
    assert_eq!(world.body("person", "id-099").await, Some(noise(900, 99)));
    world.put(&[upsert("person", "id-099", 7)]).await;
    let nothing = steps.recv_timeout(Duration::from_millis(200));
    assert!(nothing.is_err(), "{nothing:?} came while somebody reads");
    for (id, body) in [("id-000", None), ("id-099", Some(noise(900, 99)))] {
        let id = granary_core::keys::ResourceId::parse(id).unwrap();
        let key = keys::resource(world.source.number, world.number("person"), &id);
        let row = held.get(&store.inner.keyspaces.heads, &key).unwrap().unwrap();
        let row: HeadRow = rows::decode(&row, "heads").unwrap();
        let record = store
            .inner
            .with_body(&held, &key, RecordId::Resource(id), &row)
            .unwrap();
        assert!(body.is_none_or(|body| record.body == body));
    }
    drop(held);
    for step in [CollectStep::Unread, CollectStep::Removed] {
        assert_eq!(steps.recv_timeout(Duration::from_secs(60)).unwrap(), step);
    }
    assert_eq!(round.await.unwrap().unwrap().rounds, 1);
    assert_eq!(world.body("person", "id-099").await, Some(body(7).to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_closes_waits_for_no_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, steps) = opened(folder.path());
    let world = World::new(store.clone()).await;
    world.bulk(&people(0)).await;
    world.bulk(&people(1_000)[..90]).await;
    let held = store.inner.sync.published();
    let collecting = store.clone();
    let round = tokio::spawn(async move { collecting.collect().await });
    while steps.recv_timeout(Duration::from_secs(60)).unwrap() != CollectStep::Durable {}
    store.close().await.unwrap();
    assert!(round.await.unwrap().is_err());
    drop((held, world, store));
    // What nobody names any more goes at the start.
    let (store, _steps) = opened(folder.path());
    let bodies = std::fs::read_dir(folder.path().join("segments")).unwrap();
    let bodies = bodies.filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "bodies");
    assert_eq!(
        bodies.count(),
        2,
        "that of the second request, and what was moved"
    );
    let world = World::found(store).await;
    assert_eq!(world.body("person", "id-099").await, Some(noise(900, 99)));
}

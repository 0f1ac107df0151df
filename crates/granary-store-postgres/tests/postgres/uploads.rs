//! Uploads whose node went, or that were not renewed; and segments, which stay with their task and go without one.

use granary_store::suite::world::*;
use granary_store::{Store, StoreError};

use crate::world::{Database, ends, until};

#[track_caller]
fn unavailable<T: std::fmt::Debug>(outcome: granary_store::Result<T>) -> String {
    match outcome {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("expected to be told to try again, got {other:?}"),
    }
}

fn persons(count: usize) -> Vec<Op> {
    (0..count)
        .map(|at| create("person", &format!("p{at}"), 0))
        .collect()
}

/// More than one segment.
const MANY: usize = 9_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_not_renewed_is_swept_and_not_accepted() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let other = database.joins(&world).await;
    let upload = world.upload(&persons(MANY)).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM granary.segment"), 2);
    assert!(!other.store.free_space(100).await.unwrap(), "it is renewed");
    database.sql("UPDATE granary.upload SET expires_at = now() - interval '1 second'");
    while other.store.free_space(100).await.unwrap() {}
    assert_eq!(database.count("SELECT count(*) FROM granary.segment"), 0);
    let why = unavailable(upload.accept(world.revision, world.now()).await);
    assert!(why.contains("send the request again"), "{why}");
    world.spooled().await;
    let left = "SELECT (SELECT count(*) FROM granary.segment) + (SELECT count(*) FROM granary.task) \
                + (SELECT count(*) FROM granary.upload)";
    until("nothing is left", async || database.count(left) == 0).await;
    assert!(world.claim().await.is_none());
    assert_eq!(world.spooled().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_being_swept_is_not_accepted() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let upload = world.upload(&persons(4_096)).await.unwrap();
    // As the sweep leaves it before it removes what was spooled.
    database.sql("UPDATE granary.upload SET abandoned = true");
    let why = unavailable(upload.accept(world.revision, world.now()).await);
    assert!(why.contains("send the request again"), "{why}");
    assert_eq!(database.count("SELECT count(*) FROM granary.task"), 0);
}

/// Sending it again would write into whatever source has the key by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_source_went_and_was_freed_is_told_so() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let other = database.joins(&world).await;
    let upload = world.upload(&persons(MANY)).await.unwrap();
    let mut goes_on = world.upload(&persons(MANY)).await.unwrap();
    other.store.delete_source(&other.source, true).await.unwrap();
    while other.store.free_space(10_000).await.unwrap() {}
    let gone = |outcome: granary_store::Result<()>| match outcome {
        Err(StoreError::Refused(error)) => assert_eq!(error.code, 404),
        other => panic!("expected to be told that the source is gone, got {other:?}"),
    };
    gone(upload.accept(world.revision, world.now()).await.map(drop));
    gone(goes_on.push(world.batch(&persons(MANY))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_lost_a_segment_is_not_accepted() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    for gone in ["number = 0", "number = 1", "true"] {
        let upload = world.upload(&persons(MANY)).await.unwrap();
        database.sql(&format!("DELETE FROM granary.segment WHERE {gone}"));
        let why = unavailable(upload.accept(world.revision, world.now()).await);
        assert!(why.contains("lost a part of the request"), "{why}");
        let left = "SELECT (SELECT count(*) FROM granary.segment) + (SELECT count(*) FROM granary.task) \
                    + (SELECT count(*) FROM granary.upload)";
        until("nothing is left", async || {
            world.spooled().await;
            database.count(left) == 0
        })
        .await;
        assert!(world.claim().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upload_is_renewed() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let upload = world.upload(&persons(3)).await.unwrap();
    // Nearly expired: its node renews it without being asked.
    database.sql("UPDATE granary.upload SET expires_at = now() + interval '30 seconds'");
    until("it is renewed", async || {
        let renewed = "SELECT count(*) FROM granary.upload WHERE expires_at > now() + interval '50 seconds'";
        database.count(renewed) == 1
    })
    .await;
    upload.accept(world.revision, world.now()).await.unwrap();
    world.apply_all(WHOLE).await;
    assert_eq!(world.resources("person", 10).await.len(), 3);
}

/// The node that accepted it has lost the answer, and takes it for one that was cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_accepted_keeps_its_operations_whatever_its_node_believes() {
    let database = Database::new();
    let proxy = granary_test_postgres::Proxy::start(database.cluster.addr()).unwrap();
    let proxy = std::sync::Arc::new(proxy);
    let url = granary_test_postgres::Cluster::url_at(proxy.addr(), &database.name);
    let world = World::new(crate::world::node(url).await).await;
    let upload = world.upload(&persons(MANY)).await.unwrap();
    // The client goes away while the commit is on its way: the call is dropped.
    let (sent, when_sent) = tokio::sync::oneshot::channel();
    let mut sent = Some(sent);
    proxy.drop_next_reply_after(move |bytes| {
        let mut words = bytes.windows(7);
        if words.any(|word| word == b"COMMIT\0")
            && let Some(sent) = sent.take()
        {
            let _ = sent.send(());
        }
        false
    });
    let accepting = tokio::spawn({
        let (revision, now) = (world.revision, world.now());
        async move { upload.accept(revision, now).await.map(drop) }
    });
    let _ = when_sent.await;
    accepting.abort();
    let _ = accepting.await;
    until("it is decided", async || {
        world.spooled().await;
        database.count("SELECT count(*) FROM granary.upload") == 0
    })
    .await;
    // It is accepted, with all that it holds, or it has left nothing.
    let tasks = database.count("SELECT count(*) FROM granary.task");
    let segments = database.count("SELECT count(*) FROM granary.segment");
    assert!(
        [(0, 0), (1, 3)].contains(&(tasks, segments)),
        "{tasks} tasks with {segments} segments"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_row_of_an_upload_says_whether_its_segments_go() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let upload = world.upload(&persons(MANY)).await.unwrap();
    // As an acceptance leaves it whose answer was lost: a task without an upload.
    database.sql("DELETE FROM granary.upload");
    drop(upload);
    ends(world.spooled()).await;
    assert_eq!(database.count("SELECT count(*) FROM granary.segment"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_a_segment_stay_where_an_operation_failed() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    // The statement that frees bodies is prepared by now, and the one that keeps them is not.
    for at in 0..8 {
        world.bulk(&[create("person", &format!("kept{at}"), 0)]).await;
    }
    assert_eq!(
        database.count("SELECT count(*) FROM granary.segment WHERE bodies IS NOT NULL"),
        0
    );
    for _ in 0..8 {
        let failed = world.bulk(&[create("person", "kept0", 0)]).await;
        assert_eq!(failed.task.counts.failure, 1);
    }
    assert_eq!(
        database.count("SELECT count(*) FROM granary.segment WHERE bodies IS NOT NULL"),
        8
    );
}

//! Answers that do not come: cut, frozen, or the server died. Nothing is done twice, and nothing that was answered is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use granary_store::suite::world::*;
use granary_store::{Step, Store, StoreError, Written};
use granary_store_postgres::PostgresStore;
use granary_test_postgres::{Cluster, Durability, Proxy};

use crate::world::{Database, ends, new_database, node, until};

/// A node behind a connection that can be cut.
struct Behind {
    database: Database,
    proxy: Arc<Proxy>,
    world: World<PostgresStore>,
}

impl Behind {
    async fn new() -> Self {
        let database = Database::new();
        let proxy = Arc::new(Proxy::start(database.cluster.addr()).unwrap());
        let url = Cluster::url_at(proxy.addr(), &database.name);
        let world = World::new(node(url).await).await;
        Self {
            database,
            proxy,
            world,
        }
    }

    /// Loses the next commit: its answer, or the commit itself, before it reaches the database.
    fn lose_commit(&self, how: Lost) -> Arc<AtomicBool> {
        let lost = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&lost);
        let database = self.database.cluster;
        let name = self.database.name.clone();
        self.proxy.drop_next_reply_after(move |sent| {
            if !sent.windows(7).any(|word| word == b"COMMIT\0") || seen.swap(true, Ordering::SeqCst) {
                return false;
            }
            if how == Lost::Commit {
                // The database ends the transaction before it reads on.
                let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE datname = current_database() AND pid <> pg_backend_pid()";
                database.sql(&name, all);
                let left = "SELECT count(*) FROM pg_stat_activity \
                            WHERE datname = current_database() AND pid <> pg_backend_pid()";
                let since = std::time::Instant::now();
                while database.sql(&name, left) != "0" {
                    assert!(since.elapsed().as_secs() < 60, "the connections do not end");
                }
            }
            true
        });
        lost
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// The commit reaches the database, its answer does not come back.
    Answer,
    /// The commit does not reach the database.
    Commit,
}

const WAYS: [Lost; 2] = [Lost::Answer, Lost::Commit];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_commit_is_lost_is_written_once() {
    for how in WAYS {
        let behind = Behind::new().await;
        let Behind { database, world, .. } = &behind;
        let lost = behind.lose_commit(how);
        let written = ends(world.try_write(&[create("person", "heron", 1)])).await;
        assert!(lost.load(Ordering::SeqCst), "the commit was lost");
        assert!(
            matches!(written, Ok(Written::Persisted { .. })),
            "{how:?}: {written:?}"
        );
        let record = world.record("person", &resource("heron")).await.unwrap();
        assert_eq!(record.head.version, 1);
        assert_eq!(database.count("SELECT count(*) FROM granary.task"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptance_whose_commit_is_lost_is_one_task() {
    for how in WAYS {
        let behind = Behind::new().await;
        let world = &behind.world;
        let ops = [create("person", "heron", 1), create("person", "crane", 1)];
        // Its segment is written, and committed, by the acceptance: that is not the commit to be lost.
        let many: Vec<Op> = (0..4_096)
            .map(|at| create("person", &format!("p{at}"), 0))
            .collect();
        let mut upload = world.upload(&many).await.unwrap();
        upload.push(world.batch(&ops)).await.unwrap();
        let lost = behind.lose_commit(how);
        let task = ends(upload.accept(world.revision, world.now())).await;
        assert!(lost.load(Ordering::SeqCst), "the commit was lost");
        match task {
            Ok(task) => {
                assert_eq!(behind.database.count("SELECT count(*) FROM granary.task"), 1);
                assert_eq!(behind.database.count("SELECT count(*) FROM granary.upload"), 0);
                world.apply_all(WHOLE).await;
                let counts = world.task(&task).await.task.counts;
                assert_eq!((counts.success, counts.failure), (4_098, 0));
            }
            // It was the commit of a segment: nothing was accepted.
            Err(StoreError::Unavailable(_)) => {
                until("nothing is left", async || {
                    world.spooled().await;
                    behind.database.count(
                        "SELECT (SELECT count(*) FROM granary.segment) + (SELECT count(*) FROM granary.task)",
                    ) == 0
                })
                .await;
            }
            other => panic!("{how:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_one_segment_whose_commit_is_lost_is_one_task() {
    for how in WAYS {
        let behind = Behind::new().await;
        let world = &behind.world;
        // Exactly one segment, written before: the only commit left is that of the acceptance.
        let many: Vec<Op> = (0..4_096)
            .map(|at| create("person", &format!("p{at}"), 0))
            .collect();
        let upload = world.upload(&many).await.unwrap();
        let lost = behind.lose_commit(how);
        let task = ends(upload.accept(world.revision, world.now())).await;
        assert!(lost.load(Ordering::SeqCst), "the commit was lost");
        let task = task.unwrap_or_else(|error| panic!("{how:?}: {error:?}"));
        assert_eq!(behind.database.count("SELECT count(*) FROM granary.task"), 1);
        world.apply_all(WHOLE).await;
        let counts = world.task(&task).await.task.counts;
        assert_eq!((counts.success, counts.failure), (4_096, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_whose_commit_is_lost_is_applied_once() {
    for how in WAYS {
        let behind = Behind::new().await;
        let world = &behind.world;
        let ops: Vec<Op> = (0..9).map(|at| create("person", &format!("p{at}"), 0)).collect();
        let task = world.accept(&ops).await;
        let lane = world.claim().await.unwrap();
        assert_eq!(world.step(&lane, operations(3)).await, Step::Applied(3));
        let lost = behind.lose_commit(how);
        let _ = ends(world.store.apply_chunk(&lane, operations(3), world.now())).await;
        assert!(lost.load(Ordering::SeqCst), "the commit was lost");
        world.store.release_lane(lane).await;
        // The lane is its own still, or comes back with the end of its lease.
        until("all is applied", async || {
            if let Some(lane) = world.claim().await {
                world.drain(&lane, operations(3)).await;
                world.store.release_lane(lane).await;
            }
            world.task(&task).await.task.completed_at.is_some()
        })
        .await;
        let receipts = world.receipts(&world.task(&task).await).await;
        assert_eq!(
            codes(&receipts),
            [200; 9],
            "{how:?}: a create that was tried twice would be 409"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_the_server_was_killed() {
    let cluster = Cluster::start(Durability::On).unwrap();
    let name = new_database(&cluster);
    let url = cluster.url(&name);
    let world = Arc::new(World::new(node(url).await).await);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        tokio::spawn(async move {
            let (mut written, mut unknown) = (Vec::new(), Vec::new());
            for at in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let id = format!("p{at}");
                match world.try_write(&[create("person", &id, 0)]).await {
                    Ok(Written::Persisted { .. }) => written.push(id),
                    Err(StoreError::Unavailable(_)) => unknown.push(id),
                    other => panic!("{other:?}"),
                }
            }
            (written, unknown)
        })
    };
    for _ in 0..3 {
        let number = || async { world.resources("person", 1_000).await.len() };
        let before = number().await;
        until("some are written", async || number().await > before + 5).await;
        cluster.kill().unwrap();
        cluster.restart().unwrap();
        until("it serves again", async || {
            world.store.check_writable().await.is_ok()
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    let (written, unknown) = ends(writer).await.unwrap();
    let there = ids(&world.resources("person", 1_000).await);
    for id in &written {
        assert!(there.contains(id), "{id} was answered");
    }
    assert!(
        there
            .iter()
            .all(|id| written.contains(id) || unknown.contains(id))
    );
    let tasks = there.len().to_string();
    assert_eq!(cluster.sql(&name, "SELECT count(*) FROM granary.task"), tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_connection_is_given_up_and_not_used_again() {
    let behind = Behind::new().await;
    behind.proxy.freeze();
    let begun = Instant::now();
    let outcome = ends(behind.world.try_write(&[create("person", "heron", 1)])).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(100),
        "{:?}",
        begun.elapsed()
    );
    let probed = ends(behind.world.store.check_writable()).await;
    assert!(matches!(probed, Err(StoreError::Unavailable(_))), "{probed:?}");
    behind.proxy.thaw();
    let written = ends(behind.world.try_write(&[upsert("person", "heron", 1)])).await;
    assert!(matches!(written, Ok(Written::Persisted { .. })), "{written:?}");
    let record = behind.world.record("person", &resource("heron")).await.unwrap();
    assert_eq!(record.head.version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_not_waited_for_are_not_used_again() {
    let behind = Behind::new().await;
    let (database, store) = (&behind.database, &behind.world.store);
    let connected = "SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let before = database.sql(connected);
    assert_ne!(before, "{}");
    behind.proxy.freeze();
    // As many as there may be connections: none of them stays in the pool.
    let probes = (0..8).map(|_| store.check_writable());
    let probed = ends(futures::future::join_all(probes)).await;
    assert!(probed.iter().all(Result::is_err), "{probed:?}");
    behind.proxy.thaw();
    let still = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ('{before}')");
    until("those from before are gone", async || {
        store.check_writable().await.unwrap();
        database.count(&still) == 0
    })
    .await;
}

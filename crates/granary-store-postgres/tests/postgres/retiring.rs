//! Tasks that are kept no longer leave the tables, whichever nodes remove them.

use std::collections::BTreeSet;
use std::sync::Arc;

use granary_core::time::Timestamp;
use granary_store::suite::world::*;
use granary_store::{Retention, Store};
use granary_store_postgres::PostgresStore;

use crate::check::checked;
use crate::world::{Database, ends};

/// Rows of tasks and of what they hold.
const ROWS: &str = "SELECT (SELECT count(*) FROM granary.segment) + (SELECT count(*) FROM granary.task) \
                    + (SELECT count(*) FROM granary.receipts)";

fn before(since: Timestamp) -> Retention {
    Retention {
        lane_since: since,
        at_once_since: since,
        bytes_max: u64::MAX,
        spared_since: since,
        removed_since: Timestamp::EPOCH,
    }
}

/// Takes all steps, each of so many rows; how many tasks went.
async fn retire(world: &World<PostgresStore>, kept: &Retention, rows: usize) -> u64 {
    let mut tasks = 0;
    loop {
        let retired = world.store.retire_tasks(kept, world.now(), rows).await.unwrap();
        tasks += retired.tasks;
        if !retired.more {
            return tasks;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_task_held_leaves_the_tables() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let creates: Vec<Op> = (0..5_000)
        .map(|at| create("person", &format!("p{at}"), 0))
        .collect();
    for _ in 0..2 {
        world.bulk(&creates).await;
    }
    for at in 0..300 {
        world.put(&[upsert("person", "ann", at)]).await;
    }
    assert!(database.count(ROWS) > 900);
    let mut tasks = 0;
    for _ in 0..5 {
        let kept = before(world.now());
        tasks += world
            .store
            .retire_tasks(&kept, world.now(), 2)
            .await
            .unwrap()
            .tasks;
        assert_eq!(checked(database.url()).await.findings, []);
    }
    assert!(database.count("SELECT count(*) FROM granary.removed_task WHERE NOT cleared") > 0);
    assert_eq!(tasks + retire(&world, &before(world.now()), 2).await, 302);
    assert_eq!(database.count(ROWS), 0);
    let known = "SELECT count(*) FROM granary.removed_task WHERE cleared";
    assert_eq!(database.count(known), 2);
    let forgotten = Retention {
        removed_since: world.now(),
        ..before(Timestamp::EPOCH)
    };
    retire(&world, &forgotten, 1).await;
    assert_eq!(database.count("SELECT count(*) FROM granary.removed_task"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_nodes_remove_each_task_once_while_a_source_goes() {
    let database = Database::new();
    let world = Arc::new(World::new(database.node().await).await);
    let other = World::bare_named(database.node().await, "other").await;
    let mut other = other;
    other.define_types().await;
    for _ in 0..20 {
        world.bulk(&[delete("person", "nobody")]).await;
        other.bulk(&[delete("person", "nobody")]).await;
        world.put(&[upsert("person", "ann", 1)]).await;
    }
    let kept = before(Timestamp::from_millis(i64::MAX));
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = database.joins(&world).await;
        nodes.push(tokio::spawn(async move { retire(&node, &kept, 3).await }));
    }
    let gone = other.store.delete_source(&other.source, true).await;
    gone.unwrap();
    while other.store.free_space(7).await.unwrap() {}
    let mut tasks = 0;
    for node in nodes {
        tasks += ends(node).await.unwrap();
    }
    // What another node was at, or the source took along.
    tasks += retire(&world, &kept, 3).await;
    assert!((40..=60).contains(&tasks), "{tasks}");
    assert_eq!(database.count(ROWS), 0);
    let left = "SELECT count(*) FROM granary.removed_task";
    assert_eq!(database.count(left), 20, "and nothing of the source that went");
    let numbers = database.sql("SELECT DISTINCT source FROM granary.removed_task");
    let numbers: BTreeSet<&str> = numbers.lines().collect();
    assert!(numbers.into_iter().eq([&*world.source.number.to_string()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_nodes_together_remove_no_more_than_is_too_much() {
    const TASKS: u64 = 160;
    let database = Database::new();
    let world = World::new(database.node().await).await;
    for _ in 0..TASKS {
        world.bulk(&[delete("person", "nobody")]).await;
    }
    let taken = "SELECT sum(512 + total * 64 + failures * 128 + bytes) FROM granary.task";
    let kept = Retention {
        bytes_max: database.count(taken) / 2,
        spared_since: world.now(),
        ..before(Timestamp::EPOCH)
    };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = database.joins(&world).await;
        nodes.push(tokio::spawn(async move { retire(&node, &kept, 3).await }));
    }
    let mut tasks = 0;
    for node in nodes {
        tasks += ends(node).await.unwrap();
    }
    // Each may have removed some since it counted.
    assert!((TASKS / 2..=TASKS / 2 + 3 * 16).contains(&tasks), "{tasks}");
}

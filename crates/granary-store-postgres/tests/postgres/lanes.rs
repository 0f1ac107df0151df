//! Lanes among nodes: leases, fences, and operations that end their node.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use granary_core::error::ErrorType;
use granary_core::schema::DefinitionKind;
use granary_store::suite::world::*;
use granary_store::{Lane, Step, Store};
use granary_store_postgres::{PostgresOptions, PostgresStore};
use granary_test_postgres::{Cluster, Proxy};

use crate::world::{Database, claimed, ends, limits, options, until};

fn persons(count: usize) -> Vec<Op> {
    (0..count)
        .map(|at| create("person", &format!("p{at}"), 0))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_whose_node_is_gone_is_claimed_after_its_lease_and_not_before() {
    let database = Database::new();
    let first = World::new(database.node().await).await;
    let second = database.joins(&first).await;
    first.accept(&persons(3)).await;
    let lease = Duration::from_secs(1);
    let before = Instant::now();
    let held = first.claim().await.unwrap();
    assert!(
        second.claim().await.is_none() || before.elapsed() >= lease,
        "it is held"
    );
    let lane = claimed(&second).await;
    assert!(
        before.elapsed() >= lease,
        "not before its lease has ended: {:?}",
        before.elapsed()
    );
    assert!(lane.fence > held.fence);
    // The first was only slow, and has nothing more to say.
    assert_eq!(first.step(&held, WHOLE).await, Step::Lost);
    assert_eq!(second.step(&lane, WHOLE).await, Step::Applied(3));
    first.store.release_lane(held).await;
    assert_eq!(
        second.step(&lane, WHOLE).await,
        Step::Idle,
        "it was not the first's to give back"
    );
    assert_eq!(second.resources("person", 10).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_renews_the_lease() {
    let database = Database::new();
    let first = World::new(database.node().await).await;
    let second = database.joins(&first).await;
    first.accept(&persons(30_000)).await;
    let lane = first.claim().await.unwrap();
    let since = Instant::now();
    let mut last = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        let begun = Instant::now();
        if first.step(&lane, operations(1)).await == Step::Lost {
            assert!(
                last.elapsed() > Duration::from_secs(1),
                "it was renewed {:?} ago",
                last.elapsed()
            );
            return;
        }
        last = begun;
        assert!(second.claim().await.is_none() || last.elapsed() > Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_moved_behind_a_worker_takes_its_lane() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let task = world.accept(&persons(10)).await;
    let lane = world.claim().await.unwrap();
    assert_eq!(world.step(&lane, operations(4)).await, Step::Applied(4));
    database.sql("UPDATE granary.lane SET fence = fence + 1, lease_until = '-infinity'");
    assert_eq!(world.step(&lane, operations(4)).await, Step::Lost);
    world.store.release_lane(lane).await;
    let lane = claimed(&world).await;
    world.drain(&lane, WHOLE).await;
    let receipts = world.receipts(&world.task(&task).await).await;
    assert_eq!(
        codes(&receipts),
        [200; 10],
        "a create that was tried twice would be 409"
    );
    let versions = "SELECT count(*) FROM granary.resource WHERE version = 1";
    assert_eq!(database.count(versions), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_nodes_share_two_hundred_lanes() {
    const LANES: usize = 200;
    let database = Database::new();
    let calm = |database: &Database| PostgresOptions {
        // Long enough that a busy machine does not lose one.
        lease: Duration::from_secs(60),
        ..options(database.url(), limits())
    };
    let mut store = PostgresStore::open(calm(&database)).await.unwrap();
    let mut all = HashSet::new();
    for at in 0..LANES {
        let mut world = World::bare_named(store, &format!("source{at}")).await;
        world.define(DefinitionKind::Profile, "person", PROFILE).await;
        world.accept(&persons(3)).await;
        all.insert(world.source.number);
        store = world.store;
    }
    let held: Arc<Mutex<HashSet<u32>>> = Arc::default();
    let served: Arc<Mutex<HashMap<u32, u64>>> = Arc::default();
    let mut workers = Vec::new();
    for _ in 0..4 {
        let store = PostgresStore::open(calm(&database)).await.unwrap();
        let (held, served) = (Arc::clone(&held), Arc::clone(&served));
        workers.push(tokio::spawn(async move {
            loop {
                let Some(lane) = store.claim_lane().await.unwrap() else {
                    // The others may be about to give some back.
                    if served
                        .lock()
                        .unwrap()
                        .values()
                        .filter(|count| **count == 3)
                        .count()
                        == LANES
                    {
                        return;
                    }
                    tokio::task::yield_now().await;
                    continue;
                };
                let number = lane.source.number;
                assert!(held.lock().unwrap().insert(number), "{number} is held by two");
                let now = lane.source.created_at;
                let step = store.apply_chunk(&lane, operations(1), now).await.unwrap();
                if let Step::Applied(count) = step {
                    *served.lock().unwrap().entry(number).or_default() += count;
                }
                held.lock().unwrap().remove(&number);
                store.release_lane(lane).await;
            }
        }));
    }
    for worker in workers {
        ends(worker).await.unwrap();
    }
    let served = served.lock().unwrap();
    assert_eq!(served.keys().copied().collect::<HashSet<_>>(), all);
    assert!(
        served.values().all(|count| *count == 3),
        "each operation once: {served:?}"
    );
    assert_eq!(
        database.count("SELECT count(*) FROM granary.task WHERE completed_at IS NULL"),
        0
    );
}

/// A node that ends without a word: its lease is over, and it never said that it lives.
async fn dies(database: &Database, world: World<PostgresStore>) {
    drop(world);
    database.sql("UPDATE granary.lane SET lease_until = '-infinity' WHERE owner IS NOT NULL");
}

async fn suspect(database: &Database, world: &World<impl Sized>) -> (World<PostgresStore>, Lane) {
    for _ in 0..20 {
        let node = database.joins(world).await;
        let lane = claimed(&node).await;
        if lane.suspect {
            assert!(lane.taken_over);
            return (node, lane);
        }
        dies(database, node).await;
    }
    panic!("a lane that was left again and again is suspect");
}

/// Ends a node in the midst of the operation that it tries alone: its chunk stands at the lock of a record.
async fn dies_trying(database: &Database, node: World<PostgresStore>, lane: Lane) {
    database.sql(
        "CREATE OR REPLACE FUNCTION granary.hang() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER hang BEFORE INSERT ON granary.resource FOR EACH ROW \
         WHEN (NEW.id = 'deadly') EXECUTE FUNCTION granary.hang();",
    );
    let now = node.now();
    let doing = tokio::spawn(async move {
        // A connection that is lost before it is in the midst of it is no death.
        loop {
            let _ = node.store.apply_chunk(&lane, operations(1), now).await;
        }
    });
    let trying =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until("it is in the midst of it", async || database.count(trying) == 1).await;
    doing.abort();
    let _ = doing.await;
    // The database ends what a connection does that is gone.
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep'",
    );
    until("it has ended", async || database.count(trying) == 0).await;
    database.sql("UPDATE granary.lane SET lease_until = '-infinity'");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_three_nodes_died_of_is_left_out_and_the_rest_goes_on() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let ops = [create("person", "deadly", 0), create("person", "good", 0)];
    let task = world.accept(&ops).await;
    for _ in 0..3 {
        let (node, lane) = suspect(&database, &world).await;
        dies_trying(&database, node, lane).await;
    }
    let (node, lane) = suspect(&database, &world).await;
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    let receipts = node.receipts(&node.task(&task).await).await;
    assert_eq!(codes(&receipts), [500, 200]);
    assert_eq!(
        receipts[0].error.as_ref().unwrap().error_type,
        ErrorType::Internal
    );
    assert_eq!(node.record("person", &resource("deadly")).await, None);
    // What comes next begins without suspicion.
    assert_eq!(
        database.sql("SELECT attempts, deaths, trier FROM granary.lane"),
        "0|0|"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_at_a_task_that_is_cancelled_say_nothing_of_the_next() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let task = world.accept(&[create("person", "deadly", 0)]).await;
    let next = world.accept(&[create("person", "good", 0)]).await;
    for _ in 0..3 {
        let (node, lane) = suspect(&database, &world).await;
        dies_trying(&database, node, lane).await;
    }
    // One that waits behind it changes nothing.
    let last = world.accept(&[create("person", "last", 0)]).await;
    world.cancel(&last).await.unwrap();
    assert_eq!(
        database.sql("SELECT trier IS NULL, deaths FROM granary.lane"),
        "f|2"
    );
    world.cancel(&task).await.unwrap();
    assert_eq!(
        database.sql("SELECT attempts, deaths, trier FROM granary.lane"),
        "0|0|"
    );
    let node = database.joins(&world).await;
    let lane = claimed(&node).await;
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    assert_eq!(codes(&node.receipts(&node.task(&next).await).await), [200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_stays_suspect_where_a_node_died_of_a_later_operation() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let ops = [create("person", "good", 0), create("person", "deadly", 0)];
    let task = world.accept(&ops).await;
    let (node, lane) = suspect(&database, &world).await;
    // It gets on, so the take-overs before are forgotten.
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    dies_trying(&database, node, lane).await;
    for _ in 0..2 {
        let node = database.joins(&world).await;
        let lane = claimed(&node).await;
        assert!(lane.suspect, "many operations at once would end this node too");
        dies_trying(&database, node, lane).await;
    }
    let node = database.joins(&world).await;
    let lane = claimed(&node).await;
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    assert_eq!(codes(&node.receipts(&node.task(&task).await).await), [200, 500]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_no_death() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    world.accept(&[create("person", "slow", 0)]).await;
    let (node, lane) = suspect(&database, &world).await;
    // Each attempt at the operation fails, and its node lives.
    database.sql(
        "CREATE FUNCTION granary.fail() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'the disk is full' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER fail BEFORE INSERT ON granary.resource FOR EACH ROW EXECUTE FUNCTION granary.fail();",
    );
    let (mut node, mut lane) = (node, lane);
    for _ in 0..5 {
        let failed = node.store.apply_chunk(&lane, operations(1), node.now()).await;
        failed.expect_err("it cannot be written");
        until("it has said that it lives", async || {
            database.sql("SELECT trier IS NULL FROM granary.lane") == "t"
        })
        .await;
        // It gives the lane up without a word, and another takes it.
        dies(&database, node).await;
        (node, lane) = suspect(&database, &world).await;
    }
    assert_eq!(database.count("SELECT deaths FROM granary.lane"), 0);
    database.sql("DROP TRIGGER fail ON granary.resource");
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    assert!(
        node.record("person", &resource("slow")).await.is_some(),
        "it was not left out"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_were_cut_off_take_back_that_they_died() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    world.accept(&[create("person", "slow", 0)]).await;
    database.sql(
        "CREATE FUNCTION granary.hang() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$; \
         CREATE TRIGGER hang BEFORE INSERT ON granary.resource FOR EACH ROW EXECUTE FUNCTION granary.hang();",
    );
    let left = "UPDATE granary.lane SET attempts = 5, owner = 'gone', lease_until = '-infinity'";
    let hanging = "pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event = 'PgSleep')";
    let (mut proxies, mut trying) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        database.sql(left);
        let proxy = Proxy::start(database.cluster.addr()).unwrap();
        let url = Cluster::url_at(proxy.addr(), &database.name);
        let node = World::at(&world, crate::world::node(url).await);
        let lane = claimed(&node).await;
        assert!(lane.suspect);
        let now = node.now();
        trying.push(tokio::spawn(async move {
            let _ = node.store.apply_chunk(&lane, operations(1), now).await;
            node
        }));
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {hanging}");
        until("it is in the midst of it", async || database.count(&count) == 1).await;
        // The database gives it up, and it does not hear of that.
        proxy.freeze();
        let ended = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {hanging}");
        database.sql(&ended);
        until("it has ended", async || database.count(&count) == 0).await;
        proxies.push(proxy);
    }
    database.sql(left);
    database.sql("DROP TRIGGER hang ON granary.resource");
    let node = database.joins(&world).await;
    let lane = claimed(&node).await;
    let now = node.now();
    let last = tokio::spawn(async move { (node.store.apply_chunk(&lane, operations(1), now).await, node) });
    until("all three are given up", async || {
        database.count("SELECT deaths FROM granary.lane") == 3
    })
    .await;
    for proxy in &proxies {
        proxy.thaw();
    }
    let (step, node) = ends(last).await.unwrap();
    assert_eq!(step.unwrap(), Step::Applied(1));
    assert!(
        node.record("person", &resource("slow")).await.is_some(),
        "it was not left out"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_of_a_deleted_record_go_by_the_hundred_also_where_operations_go_one_by_one() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let people: Vec<String> = (0..300).map(|number| format!("p{number}")).collect();
    let persons: Vec<Op> = people.iter().map(|id| create("person", id, 1)).collect();
    world.bulk(&persons).await;
    world.bulk(&[create("person", "hub", 1)]).await;
    let edges: Vec<Op> = people.iter().map(|id| join("knows", "hub", id, 1)).collect();
    world.bulk(&edges).await;
    world
        .accept(&[delete("person", "hub"), create("person", "after", 1)])
        .await;
    let (node, lane) = suspect(&database, &world).await;
    assert_eq!(node.step(&lane, operations(1)).await, Step::Applied(1));
    let mut tidied = 0;
    while node.step(&lane, operations(1)).await == Step::Tidied {
        tidied += 1;
    }
    assert!((2..=3).contains(&tidied), "{tidied} steps for 300 edges");
    assert!(node.record("person", &resource("after")).await.is_some());
    assert_eq!(database.count("SELECT count(*) FROM granary.edge"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_given_back_is_not_suspect() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    world.accept(&persons(1)).await;
    for _ in 0..6 {
        let node = database.joins(&world).await;
        let lane = claimed(&node).await;
        assert!(!lane.suspect && !lane.taken_over);
        // By itself, and with the stop of its node.
        match lane.fence % 2 {
            0 => node.store.release_lane(lane).await,
            _ => node.store.close().await.unwrap(),
        }
    }
}

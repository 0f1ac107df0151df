//! The schema: made once, kept as it was released, and shared with nodes of the versions before and after.

use granary_store::suite::world::*;
use granary_store::{Store, StoreError};
use granary_store_postgres::{PostgresStore, SCHEMA_VERSION};

use crate::world::{Database, ends, limits, options, until};

/// A database of the first version, as it was released. Not to be edited.
const SCHEMA_V1: &str = include_str!("schema_v1.sql");
/// The migration that makes it.
const MIGRATION_1: &str = include_str!("../../migrations/0001.sql");

/// A short run: a write, a request, and what they left.
async fn see_that_it_works(database: &Database) {
    // With ids that none before it has given.
    let found = World::found(database.node().await).await;
    let mut world = database.joins(&found).await;
    if world.types.is_empty() {
        world.define_types().await;
    }
    world.put(&[upsert("person", "heron", 1)]).await;
    let persons = [upsert("person", "crane", 1), upsert("person", "heron", 2)];
    let mut codes = world.outcome(&persons).await;
    codes.extend(world.outcome(&[rejoin("knows", "heron", "crane", 0)]).await);
    assert!(codes.iter().all(|code| [200, 304].contains(code)), "{codes:?}");
    assert_eq!(ids(&world.resources("person", 10).await), ["crane", "heron"]);
    assert_eq!(world.edge_ids("knows").await.len(), 1);
    world.store.close().await.unwrap();
}

async fn refusal(database: &Database) -> String {
    match PostgresStore::open(options(database.url(), limits())).await {
        Err(StoreError::Unavailable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opens"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_nodes_that_start_at_once_make_one_schema() {
    for _ in 0..5 {
        let database = Database::new();
        let opening = (0..8).map(|_| {
            let url = database.url();
            tokio::spawn(async move {
                PostgresStore::open(options(url, limits()))
                    .await
                    .unwrap()
                    .hash_key()
            })
        });
        let mut keys = Vec::new();
        for opened in opening.collect::<Vec<_>>() {
            keys.push(ends(opened).await.unwrap());
        }
        keys.dedup();
        assert_eq!(keys.len(), 1, "one key of hashes");
        assert_eq!(database.count("SELECT count(*) FROM granary.store"), 1);
        let versions = database.count("SELECT count(*) FROM granary.migration");
        assert_eq!(
            versions,
            u64::try_from(SCHEMA_VERSION).unwrap(),
            "each migration once"
        );
        see_that_it_works(&database).await;
    }
}

#[test]
fn what_was_released_is_not_edited() {
    assert!(
        SCHEMA_V1.contains(MIGRATION_1),
        "a change of the schema is a new migration"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_the_first_version_works() {
    let database = Database::new();
    database.sql(SCHEMA_V1);
    see_that_it_works(&database).await;
    let newest = "SELECT max(version) FROM granary.migration";
    assert_eq!(database.count(newest), u64::try_from(SCHEMA_VERSION).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_long_behind_a_migration_that_waits_for_a_reader() {
    let database = Database::new();
    database.sql(SCHEMA_V1);
    let (cluster, name) = (database.cluster, database.name.clone());
    let reader = std::thread::spawn(move || {
        // Ended below, which is an error here.
        let reads = "BEGIN; LOCK TABLE granary.task IN ACCESS SHARE MODE; SELECT pg_sleep(120)";
        let _ = cluster.try_sql(&name, reads);
    });
    let reads = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until("it reads", async || {
        database.count(&format!("SELECT count(*) {reads}")) == 1
    })
    .await;
    let url = database.url();
    let opening = tokio::spawn(async move { PostgresStore::open(options(url, limits())).await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    for _ in 0..3 {
        until("the migration waits for the table", async || {
            database.count(waiting) == 1
        })
        .await;
        // As long as a node waits for an answer at the least.
        database.sql("SET statement_timeout = '10s'; SELECT count(*) FROM granary.task");
    }
    database.sql(&format!("SELECT pg_terminate_backend(pid) {reads}"));
    reader.join().unwrap();
    ends(opening).await.unwrap().unwrap();
    see_that_it_works(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_a_later_version_added_to_works() {
    let database = Database::new();
    see_that_it_works(&database).await;
    let next = SCHEMA_VERSION + 1;
    database.sql(&format!(
        "INSERT INTO granary.migration (version, works_from) VALUES ({next}, {SCHEMA_VERSION}); \
         ALTER TABLE granary.resource ADD COLUMN later text; ALTER TABLE granary.task ADD COLUMN later int4 DEFAULT 3; \
         ALTER TABLE granary.lane ADD COLUMN later text; ALTER TABLE granary.receipts ADD COLUMN later bytea; \
         CREATE TABLE granary.later (bucket int2 PRIMARY KEY);"
    ));
    see_that_it_works(&database).await;
    assert_eq!(
        database.count("SELECT count(*) FROM granary.migration"),
        next as u64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_needs_a_later_version_is_refused_and_says_so() {
    let database = Database::new();
    see_that_it_works(&database).await;
    let next = SCHEMA_VERSION + 1;
    database.sql(&format!(
        "INSERT INTO granary.migration (version, works_from) VALUES ({next}, {next})"
    ));
    let why = refusal(&database).await;
    assert!(
        why.contains("start a newer granary") && why.contains(&next.to_string()),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_another_encoding_is_refused_and_says_so() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let mut database = Database::new();
        database.name = format!("in_{}", encoding.to_lowercase());
        database.cluster.sql(
            "postgres",
            &format!(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
                database.name
            ),
        );
        let why = refusal(&database).await;
        assert!(why.contains("UTF8") && why.contains(encoding), "{why}");
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'granary'";
        assert_eq!(database.count(schemas), 0, "nothing was made there");
    }
}

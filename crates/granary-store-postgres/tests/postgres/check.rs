//! The check of a database: it finds nothing in what histories leave, and finds each thing that is broken on purpose.

use granary_core::keys::ConceptCode;
use granary_core::terminology::{Change, Concept, Vocabulary};
use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{CheckReport, CheckRules, Store as _, StoreError, StoreLimits};
use granary_store_postgres::PostgresStore;
use granary_test_postgres::Cluster;

use crate::world::{Database, InPostgres, limits, new_database, options};

pub(crate) async fn checked(url: String) -> CheckReport {
    PostgresStore::check(options(url, limits()), check_rules())
        .await
        .unwrap()
}

fn count(report: &CheckReport, what: &str) -> u64 {
    let found = report.looked_at.iter().find(|(known, _)| *known == what);
    found.map_or(0, |(_, count)| *count)
}

/// Stores that are checked whenever they are opened again.
#[derive(Default)]
struct Checked(InPostgres);

impl Fixture for Checked {
    type Store = PostgresStore;

    async fn with_limits(&self, limits: StoreLimits) -> PostgresStore {
        self.0.with_limits(limits).await
    }

    async fn reopen(&self, store: PostgresStore) -> Option<PostgresStore> {
        // Some of their bodies count as equal to others.
        let rules = CheckRules {
            body_fits: |_, _, _| true,
            ..check_rules()
        };
        let report = PostgresStore::check(options(self.0.url(&store), limits()), rules).await;
        assert_eq!(report.unwrap().findings, []);
        self.0.reopen(store).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_in_what_histories_leave() {
    histories(&Checked::default(), 72_000..72_020).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_that_is_missing_or_changed_is_found() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    let people: Vec<Op> = (0..1_200)
        .map(|at| {
            create("person", &format!("id-{at:04}"), at).identified_by(&[&format!("tax:{at}:official")])
        })
        .collect();
    world.bulk(&people).await;
    world
        .bulk(&[create("person", "id-0001", 1), delete("person", "id-0009")])
        .await;
    let edges: Vec<Op> = (0..5)
        .map(|at| join("knows", &format!("id-{at:04}"), &format!("id-{:04}", at + 1), 1))
        .collect();
    world.bulk(&edges).await;
    let titled = Vocabulary {
        title: "Colours".into(),
        description: None,
    };
    let terminology = world.store.terminology();
    let colours = vec![Change::Create(key("colours"), titled)];
    terminology
        .change_vocabularies(colours, world.now())
        .await
        .unwrap();
    let red = vec![Change::Create(
        ConceptCode::parse("red").unwrap(),
        Concept::default(),
    )];
    terminology
        .change_concepts(&key("colours"), red, world.now())
        .await
        .unwrap();
    let sound = checked(database.url()).await;
    assert_eq!(sound.findings, []);
    for (what, number) in [
        ("resources", 1_199),
        ("relationships", 5),
        ("identifiers", 1_199),
        ("tasks", 3),
        ("receipts", 1_207),
        ("vocabularies", 1),
        ("concepts", 1),
    ] {
        assert_eq!(count(&sound, what), number, "{what}");
    }
    world.store.close().await.unwrap();
    drop(world);
    for (at, (sql, told)) in [
        (
            "UPDATE granary.resource SET data = replace(data, '7', '8') WHERE id = 'id-0007'",
            "the body of 'person' 'id-0007'",
        ),
        (
            "UPDATE granary.edge SET data = '{\"data\":{\"name\":\"x\"}}' WHERE from_id = 'id-0002'",
            "the body of 'knows' 'id-0002.id-0003'",
        ),
        (
            "DELETE FROM granary.identifier WHERE id = 'id-0100'",
            "'person' 'id-0100' is not found by its identifiers",
        ),
        (
            "UPDATE granary.identifier SET digest = '\\x00' WHERE id = 'id-0101'",
            "'id-0101' is not found by its identifiers",
        ),
        (
            "DELETE FROM granary.resource WHERE id = 'id-0200'",
            "'id-0200' is found by an identifier and is not there",
        ),
        (
            "DELETE FROM granary.resource WHERE id = 'id-0003'",
            "'knows id-0003.id-0004' is an edge without one of its ends",
        ),
        (
            "DELETE FROM granary.definition WHERE key = 'knows'",
            "is an edge of a type that is not defined",
        ),
        (
            "UPDATE granary.definition SET json = '{' WHERE key = 'person'",
            "cannot be compiled",
        ),
        (
            "DELETE FROM granary.receipts WHERE ctid = (SELECT min(ctid) FROM granary.receipts)",
            "receipts",
        ),
        (
            "UPDATE granary.receipts SET body = set_byte(body, 9, get_byte(body, 9) # 16)",
            "receipts",
        ),
        (
            "UPDATE granary.segment SET operations = set_byte(operations, 9, get_byte(operations, 9) # 16)",
            "its operations cannot be read",
        ),
        ("UPDATE granary.task SET cursor = cursor - 1", "it has decided"),
        (
            "DELETE FROM granary.task",
            "receipts of 3 tasks that are not there are never removed",
        ),
        (
            "INSERT INTO granary.removed_task SELECT bucket, source, ksuid, 0, 0, true FROM granary.task",
            "3 tasks are there and are said to be removed",
        ),
        ("DELETE FROM granary.concept", "says it has 1 concepts"),
    ]
    .into_iter()
    .enumerate()
    {
        // Nobody may be connected to what is copied; the store has let go, and its connections may still be about to end.
        let (copied, broken) = (&database.name, format!("{}_broken_{at}", database.name));
        let others =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{copied}'");
        database.cluster.sql("postgres", &others);
        database.cluster.create_database(&broken, Some(copied));
        database.cluster.sql(&broken, sql);
        let report = checked(database.cluster.url(&broken)).await;
        let all: Vec<&str> = report
            .findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert!(all.iter().any(|what| what.contains(told)), "{sql}: {all:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_are_looked_at_where_the_database_can() {
    let database = Database::new();
    let world = World::new(database.node().await).await;
    world.bulk(&[create("person", "ann", 1)]).await;
    let report = checked(database.url()).await;
    assert_eq!(count(&report, "indexes of PostgreSQL"), 0);
    assert!(
        report.notes[0].contains("CREATE EXTENSION amcheck"),
        "{:?}",
        report.notes
    );
    database.sql("CREATE EXTENSION amcheck");
    let report = checked(database.url()).await;
    assert!(
        count(&report, "indexes of PostgreSQL") > 10,
        "{:?}",
        report.looked_at
    );
    assert_eq!(report.notes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_a_store_is_left_as_it_is() {
    let cluster = Cluster::shared();
    let name = new_database(cluster);
    let refused = PostgresStore::check(options(cluster.url(&name), limits()), check_rules()).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("no granary store")),
        "{refused:?}"
    );
    assert_eq!(
        cluster.sql(
            &name,
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'granary'"
        ),
        "0"
    );
}

//! Through PgBouncer, which runs each transaction of a connection on another one of the server; and over TLS.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::{chunks, definitions, lanes, purges, records, relationships, uploads, writes};
use granary_store::{Store, StoreError, StoreLimits};
use granary_store_postgres::{PostgresOptions, PostgresStore, Statements};
use granary_test_postgres::{Cluster, Durability, PgBouncer};

use crate::world::{limits, new_database, options};

/// Stores behind PgBouncer.
#[derive(Default)]
struct Pooled {
    stores: Mutex<HashMap<[u8; 16], (String, StoreLimits)>>,
}

fn pooler() -> &'static PgBouncer {
    static POOLER: OnceLock<PgBouncer> = OnceLock::new();
    POOLER.get_or_init(|| PgBouncer::start(Cluster::shared()).unwrap())
}

async fn open(url: &str, limits: StoreLimits) -> PostgresStore {
    let unnamed = PostgresOptions {
        statements: Statements::Unnamed,
        ..options(url.to_owned(), limits)
    };
    PostgresStore::open(unnamed).await.unwrap()
}

impl Fixture for Pooled {
    type Store = PostgresStore;

    async fn with_limits(&self, limits: StoreLimits) -> PostgresStore {
        let url = pooler().url(&new_database(Cluster::shared()));
        let store = open(&url, limits).await;
        self.stores
            .lock()
            .unwrap()
            .insert(store.hash_key(), (url, limits));
        store
    }

    async fn reopen(&self, store: PostgresStore) -> Option<PostgresStore> {
        let (url, limits) = self.stores.lock().unwrap()[&store.hash_key()].clone();
        store.close().await.unwrap();
        drop(store);
        Some(open(&url, limits).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_agree_through_a_pooler() {
    histories(&Pooled::default(), 0..20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_store_does_is_done_through_a_pooler() {
    let pooled = Pooled::default();
    chunks::every_action_on_a_resource_present_and_absent(&pooled).await;
    chunks::every_action_on_an_edge_present_and_absent(&pooled).await;
    chunks::single_writes_go_between_two_chunks(&pooled).await;
    definitions::of_two_definitions_stored_at_once_one_is_told_to_look_again(&pooled).await;
    lanes::many_workers_never_hold_one_lane_together(&pooled).await;
    lanes::a_task_accepted_while_its_lane_is_released_is_not_forgotten(&pooled).await;
    purges::a_purge_deletes_every_record_of_its_type(&pooled).await;
    records::resources_are_listed_in_byte_order_with_every_page_size(&pooled).await;
    relationships::a_deleted_resource_takes_its_edges_along(&pooled).await;
    uploads::bodies_of_every_size_come_back(&pooled).await;
    writes::of_two_creates_at_once_one_succeeds(&pooled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_and_the_certificate_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, secret) = (
        folder.path().join("certificate.pem"),
        folder.path().join("key.pem"),
    );
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&secret)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl is installed, on Debian: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cluster = Cluster::start(Durability::Off).unwrap();
    // The key in the folder of the server, whose user alone may read it.
    let copy = |name: &str, text: &str| {
        let sql = format!(
            "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat > {name}'"
        );
        cluster.sql("postgres", &sql);
    };
    copy("server.crt", fs::read_to_string(&certificate).unwrap().trim());
    copy("server.key", fs::read_to_string(&secret).unwrap().trim());
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.restart().unwrap();
    let name = new_database(&cluster);
    let with = |mode: &str, root: bool| PostgresOptions {
        root_certificate: root.then(|| certificate.clone()),
        ..options(format!("{}?sslmode={mode}", cluster.url(&name)), limits())
    };
    let store = PostgresStore::open(with("require", true)).await.unwrap();
    store.check_writable().await.unwrap();
    let encrypted = |name: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = '{name}'"
        );
        cluster.sql("postgres", &sql)
    };
    assert_ne!(encrypted("granary"), "0");
    drop(store);
    // Where plain text would do, too, any certificate does; it is encrypted all the same.
    let preferring = PostgresStore::open(with("prefer&application_name=preferring", false)).await;
    let preferring = preferring.unwrap();
    preferring.check_writable().await.unwrap();
    assert_ne!(encrypted("preferring"), "0");
    match PostgresStore::open(with("require", false)).await {
        Err(StoreError::Unavailable(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a certificate that nobody vouches for is refused"),
    }
    // A server without TLS is not spoken to where it is asked for.
    let plain = Cluster::shared();
    let url = format!("{}?sslmode=require", plain.url(&new_database(plain)));
    let refused = PostgresStore::open(options(url, limits())).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
}

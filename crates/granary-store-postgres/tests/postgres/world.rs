//! Stores in databases of their own, on a cluster of the tests.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use granary_core::limits::Limits;
use granary_store::suite::Fixture;
use granary_store::suite::world::World;
use granary_store::{Lane, Store, StoreLimits};
use granary_store_postgres::{PostgresOptions, PostgresStore, Statements};
use granary_test_postgres::Cluster;

/// How a store of the tests works with the database with this URL.
pub(crate) fn options(url: String, limits: StoreLimits) -> PostgresOptions {
    PostgresOptions {
        url,
        connections: 8,
        statements: Statements::Prepared,
        root_certificate: None,
        lease: Duration::from_secs(1),
        limits,
    }
}

/// The limits of a store that nothing is to be refused by.
pub(crate) fn limits() -> StoreLimits {
    StoreLimits::from(&Limits::default())
}

/// A database that nobody else has, without tables.
pub(crate) fn new_database(cluster: &Cluster) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("granary_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    cluster.create_database(&name, None);
    name
}

/// A node that works with the database at this URL.
pub(crate) async fn node(url: String) -> PostgresStore {
    PostgresStore::open(options(url, limits())).await.unwrap()
}

/// A database of its own on the cluster that the tests share, and what nodes there know.
pub(crate) struct Database {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        let cluster = Cluster::shared();
        let name = new_database(cluster);
        Self { cluster, name }
    }

    pub(crate) fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// One more node, with its own connections.
    pub(crate) async fn node(&self) -> PostgresStore {
        node(self.url()).await
    }

    /// A node that works in a source that another has made.
    pub(crate) async fn joins(&self, world: &World<impl Sized>) -> World<PostgresStore> {
        World::at(world, self.node().await)
    }

    #[track_caller]
    pub(crate) fn sql(&self, text: &str) -> String {
        self.cluster.sql(&self.name, text)
    }

    /// The number that a statement answers.
    #[track_caller]
    pub(crate) fn count(&self, text: &str) -> u64 {
        self.sql(text).parse().unwrap()
    }
}

/// Sees that a call ends: no wait is for ever.
pub(crate) async fn ends<T>(call: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(120);
    tokio::time::timeout(patience, call)
        .await
        .expect("a call ends in some answer")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(60);
    if tokio::time::timeout(patience, waiting).await.is_err() {
        panic!("waited in vain until {what}");
    }
}

/// Claims the lane that has work. On a busy machine a claim, or what gave the lane back, may not have come through.
pub(crate) async fn claimed<S: Store>(world: &World<S>) -> Lane {
    let found = Mutex::new(None);
    until("the lane can be claimed", async || {
        let lane = world.claim().await;
        let is_there = lane.is_some();
        *found.lock().unwrap() = lane;
        is_there
    })
    .await;
    found.into_inner().unwrap().unwrap()
}

/// Stores in databases. The database of a store is found again by its secret key.
#[derive(Default)]
pub(crate) struct InPostgres {
    stores: Mutex<HashMap<[u8; 16], (String, StoreLimits)>>,
}

impl InPostgres {
    /// The URL of the database of a store.
    pub(crate) fn url(&self, store: &PostgresStore) -> String {
        self.stores.lock().unwrap()[&store.hash_key()].0.clone()
    }
}

impl Fixture for InPostgres {
    type Store = PostgresStore;

    async fn with_limits(&self, limits: StoreLimits) -> PostgresStore {
        let cluster = Cluster::shared();
        let url = cluster.url(&new_database(cluster));
        let store = PostgresStore::open(options(url.clone(), limits)).await.unwrap();
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
        Some(PostgresStore::open(options(url, limits)).await.unwrap())
    }
}

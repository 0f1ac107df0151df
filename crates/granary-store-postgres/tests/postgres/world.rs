//! Stores in databases of their own, on a cluster of the tests.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use granary_core::limits::Limits;
use granary_store::suite::Fixture;
use granary_store::{Store as _, StoreLimits};
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

/// Stores in databases. The database of a store is found again by its secret key.
#[derive(Default)]
pub(crate) struct InPostgres {
    stores: Mutex<HashMap<[u8; 16], (String, StoreLimits)>>,
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

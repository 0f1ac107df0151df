//! The behaviours of every store, shown by the embedded store, and what is its own: its folder.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use granary_store::suite::Fixture;
use granary_store::{Store as _, StoreLimits};
use granary_store_embedded::EmbeddedStore;

/// Stores on disk. The folder of a store is found again by its secret key.
#[derive(Default)]
struct OnDisk {
    folders: Mutex<HashMap<[u8; 16], tempfile::TempDir>>,
    limits: Mutex<HashMap<[u8; 16], StoreLimits>>,
}

impl OnDisk {
    fn folder(&self, store: &EmbeddedStore) -> PathBuf {
        self.folders.lock().unwrap()[&store.hash_key()].path().to_owned()
    }
}

impl Fixture for OnDisk {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), limits).unwrap();
        self.folders.lock().unwrap().insert(store.hash_key(), folder);
        self.limits.lock().unwrap().insert(store.hash_key(), limits);
        store
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        let folder = self.folder(&store);
        let limits = self.limits.lock().unwrap()[&store.hash_key()];
        store.close().await.unwrap();
        drop(store);
        Some(EmbeddedStore::open(&folder, limits).unwrap())
    }
}

granary_store::behaviours!(OnDisk::default());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_agree_with_the_reference_and_with_decide_alone() {
    granary_store::suite::history::histories(&OnDisk::default(), 0..300).await;
}

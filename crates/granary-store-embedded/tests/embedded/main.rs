//! The behaviours of every store, shown by the embedded store, and what is its own: its folder.
//!
//! Nearly all the time goes to syncs; `TMPDIR=/dev/shm` makes them free.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod beside;
mod check;
mod collect;
mod collect_crash;
mod counts;
mod crash;
mod damage;
mod figures;
mod folder;
mod format_v1;
mod marks;
mod retiring;
mod runs;
mod trials;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use granary_core::limits::Limits;
use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::{Store as _, StoreLimits};
use granary_store_embedded::{Collection, EmbeddedStore, Runs};

/// Stores on disk. The folder of a store is found again by its secret key.
#[derive(Default)]
struct OnDisk {
    parent: Option<PathBuf>,
    runs: Runs,
    collection: Collection,
    stores: Mutex<HashMap<[u8; 16], (tempfile::TempDir, StoreLimits)>>,
}

impl OnDisk {
    /// Where there is a folder in memory, in that: histories are about decisions, and half of what they do is to sync.
    fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        Self {
            parent: memory.is_dir().then(|| memory.to_owned()),
            ..Self::default()
        }
    }

    /// Opens a store in a folder.
    fn open(&self, folder: &Path, limits: StoreLimits) -> EmbeddedStore {
        EmbeddedStore::open_with(folder, limits, self.runs.clone(), self.collection.clone()).unwrap()
    }

    fn new_folder(&self) -> tempfile::TempDir {
        match &self.parent {
            Some(parent) => tempfile::tempdir_in(parent).unwrap(),
            None => tempfile::tempdir().unwrap(),
        }
    }

    fn folder(&self, store: &EmbeddedStore) -> (PathBuf, StoreLimits) {
        let stores = self.stores.lock().unwrap();
        let (folder, limits) = &stores[&store.hash_key()];
        (folder.path().to_owned(), *limits)
    }
}

impl Fixture for OnDisk {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        let folder = self.new_folder();
        let store = self.open(folder.path(), limits);
        let mut stores = self.stores.lock().unwrap();
        stores.insert(store.hash_key(), (folder, limits));
        store
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        let (folder, limits) = self.folder(&store);
        store.close().await.unwrap();
        drop(store);
        Some(self.open(&folder, limits))
    }
}

/// The limits of a store that nothing is to be refused by.
fn limits() -> StoreLimits {
    StoreLimits::from(&Limits::default())
}

granary_store::behaviours!(OnDisk::default());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_agree_with_the_reference_and_with_decide_alone() {
    histories(&OnDisk::in_memory(), 0..300).await;
}

//! The behaviours of every store, shown by the reference store.

use granary_store::memory::MemoryStore;
use granary_store::suite::Fixture;
use granary_store::{Store as _, StoreLimits};

struct InMemory;

impl Fixture for InMemory {
    type Store = MemoryStore;

    async fn with_limits(&self, limits: StoreLimits) -> MemoryStore {
        MemoryStore::new(limits)
    }

    async fn reopen(&self, store: MemoryStore) -> Option<MemoryStore> {
        store.close().await.expect("a store closes");
        None
    }
}

granary_store::behaviours!(InMemory);

#[tokio::test]
async fn histories_agree_with_decide_alone() {
    granary_store::suite::history::histories(&InMemory, 0..1_000).await;
}

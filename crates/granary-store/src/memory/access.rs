//! API keys in a map.

use std::collections::BTreeMap;

use async_trait::async_trait;
use granary_core::access::KeyRecord;
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;

use super::MemoryStore;
use crate::{Access, Result, StoreError, StoredKeys};

/// The keys of a store.
#[derive(Default)]
pub(super) struct Keys {
    revision: u64,
    all: BTreeMap<Ksuid, KeyRecord>,
}

#[async_trait]
impl Access for MemoryStore {
    async fn keys_revision(&self) -> Result<u64> {
        Ok(self.state().keys.revision)
    }

    async fn keys(&self) -> Result<StoredKeys> {
        let keys = &self.state().keys;
        Ok(StoredKeys {
            revision: keys.revision,
            keys: keys.all.values().cloned().collect(),
        })
    }

    async fn create_key(&self, key: &KeyRecord) -> Result<()> {
        let mut state = self.state();
        state.check_open()?;
        state.limits.admit_key(state.keys.all.len())?;
        state.keys.revision += 1;
        state.keys.all.insert(key.id, key.clone());
        Ok(())
    }

    async fn revoke_key(&self, id: Ksuid) -> Result<KeyRecord> {
        let mut state = self.state();
        state.check_open()?;
        let gone = state.keys.all.remove(&id);
        let gone = gone.ok_or_else(|| StoreError::no_key(&id))?;
        state.keys.revision += 1;
        Ok(gone)
    }

    async fn note_use(&self, used: &[(Ksuid, Timestamp)]) -> Result<()> {
        let mut state = self.state();
        state.check_open()?;
        for (id, at) in used {
            if let Some(key) = state.keys.all.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
        Ok(())
    }
}

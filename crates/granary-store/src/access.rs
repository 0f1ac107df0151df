//! API keys in a store. They belong to no source.

use async_trait::async_trait;
use granary_core::access::KeyRecord;
use granary_core::error::ErrorObject;
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;

use crate::{Result, StoreError, StoreLimits};

/// The keys of a store at one moment.
#[derive(Clone, Debug, Default)]
pub struct StoredKeys {
    /// Grows with every key that is created or revoked; 0 in a store that has never had one.
    pub revision: u64,
    /// All of them, in the order of their ids.
    pub keys: Vec<KeyRecord>,
}

/// The API keys of a store. Like [`Store`](crate::Store): each change is atomic and durable when it has returned, and
/// reads show only what is durable. There are few (limit `apiKeys`), so that all are read at once.
#[async_trait]
pub trait Access: Send + Sync {
    /// The revision of the keys: what tells whether those that were read are still the ones in force.
    async fn keys_revision(&self) -> Result<u64>;

    /// All keys.
    async fn keys(&self) -> Result<StoredKeys>;

    /// Stores a key with an id that no other has had.
    async fn create_key(&self, key: &KeyRecord) -> Result<()>;

    /// Removes a key, and answers what it was; `NOT_FOUND` where there is none.
    async fn revoke_key(&self, id: Ksuid) -> Result<KeyRecord>;

    /// Notes when keys were used last. An earlier moment than the one that is noted, and a key that is gone, change
    /// nothing; the revision stays.
    async fn note_use(&self, used: &[(Ksuid, Timestamp)]) -> Result<()>;
}

impl StoreLimits {
    /// Refuses one more key where there are `count` already.
    pub fn admit_key(&self, count: usize) -> Result<()> {
        if count as u64 >= self.api_keys {
            return Err(StoreError::Refused(ErrorObject::over_limit(
                "the number of API keys",
                "apiKeys",
                self.api_keys,
            )));
        }
        Ok(())
    }
}

impl StoreError {
    /// There is no such key.
    pub fn no_key(id: &Ksuid) -> Self {
        Self::Refused(ErrorObject::not_found(format!("key '{id}' does not exist")))
    }
}

//! A source as it is at one moment, read page by page; and definitions on their way back into one.

use async_trait::async_trait;
use granary_core::keys::ResourceId;
use granary_core::operation::TypeNumber;
use granary_core::schema::{AcceptedDefinition, StoredDefinition};
use granary_core::time::Timestamp;

use crate::{Definitions, Record, Result};

/// A source at one moment: all that it answers is of that, whatever is written meanwhile. What it holds in the store, old
/// rows or files, is free once it is dropped. Once its source is deleted it may fail.
#[async_trait]
pub trait SourceSnapshot: Send {
    /// The definitions.
    fn definitions(&self) -> &Definitions;

    /// Pages of resources, as [`Store::resources`](crate::Store::resources).
    async fn resources(
        &mut self,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>>;

    /// Pages of edges, as [`Store::relationships`](crate::Store::relationships) without a filter.
    async fn relationships(
        &mut self,
        number: TypeNumber,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>>;
}

/// A definition that is put back as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDefinition {
    /// What it says.
    pub accepted: AcceptedDefinition,
    /// Its revision,
    pub revision: u64,
    /// when it was first stored,
    pub created_at: Timestamp,
    /// and when it was last replaced.
    pub updated_at: Timestamp,
}

impl KeptDefinition {
    /// The same with the number that it has in its source now.
    pub fn numbered(&self, number: TypeNumber) -> StoredDefinition {
        StoredDefinition {
            kind: self.accepted.kind(),
            key: self.accepted.key().clone(),
            number,
            revision: self.revision,
            json: self.accepted.json().into(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

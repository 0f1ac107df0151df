//! Single writes: one operation, checked like those of a bulk request, written at once.

use bytes::Bytes;
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, RelationshipId, ResourceId};
use granary_core::task::TaskId;
use granary_store::Record;

use crate::engine::{Engine, InFlight};

/// What a single write did to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// There was none.
    Created,
    /// There was one; it was replaced, or it was equal and stayed.
    Replaced,
    /// It is gone.
    Deleted,
}

/// A single write that persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persisted {
    /// The task that it leaves (`s_…`).
    pub task_id: TaskId,
    /// What it did.
    pub outcome: WriteOutcome,
    /// The record as it is now; `None` where it was deleted.
    pub record: Option<Record>,
}

impl Engine {
    /// Creates a resource of the type in the path from the body of the call.
    pub async fn create_resource(
        &self,
        place: InFlight,
        source: &Key,
        type_key: &str,
        body: Bytes,
    ) -> Result<Persisted, ErrorObject> {
        let _ = (place, source, type_key, body);
        Err(ErrorObject::invalid("not yet"))
    }

    /// Stores a resource under the id in the path, replacing the one that exists.
    pub async fn upsert_resource(
        &self,
        place: InFlight,
        source: &Key,
        type_key: &str,
        id: &ResourceId,
        body: Bytes,
    ) -> Result<Persisted, ErrorObject> {
        let _ = (place, source, type_key, id, body);
        Err(ErrorObject::invalid("not yet"))
    }

    /// Deletes a resource with its edges.
    pub async fn delete_resource(
        &self,
        place: InFlight,
        source: &Key,
        type_key: &str,
        id: &ResourceId,
    ) -> Result<Persisted, ErrorObject> {
        let _ = (place, source, type_key, id);
        Err(ErrorObject::invalid("not yet"))
    }

    /// Creates an edge of the type in the path from the body of the call.
    pub async fn create_relationship(
        &self,
        place: InFlight,
        source: &Key,
        type_key: &str,
        body: Bytes,
    ) -> Result<Persisted, ErrorObject> {
        let _ = (place, source, type_key, body);
        Err(ErrorObject::invalid("not yet"))
    }

    /// Deletes an edge.
    pub async fn delete_relationship(
        &self,
        place: InFlight,
        source: &Key,
        type_key: &str,
        id: &RelationshipId,
    ) -> Result<Persisted, ErrorObject> {
        let _ = (place, source, type_key, id);
        Err(ErrorObject::invalid("not yet"))
    }
}

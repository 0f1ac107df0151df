//! Changes of definitions: accepted beside the others of the source, or refused with every fault.

use bytes::Bytes;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::schema::{DefinitionKind, StoredDefinition};
use granary_store::Stored;

use crate::engine::Engine;

impl Engine {
    /// Creates or replaces a definition.
    pub async fn put_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
        json: Bytes,
    ) -> Result<(StoredDefinition, Stored), ErrorObject> {
        let _ = (source, kind, key, json);
        Err(ErrorObject::invalid("not yet"))
    }

    /// Deletes a definition, unless a record, another definition or a task not yet ended names it.
    pub async fn delete_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
    ) -> Result<(), ErrorObject> {
        let _ = (source, kind, key);
        Err(ErrorObject::invalid("not yet"))
    }
}

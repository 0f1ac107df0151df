//! Changes of definitions: accepted beside the others of the source, or refused with every fault.

use bytes::Bytes;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::schema::{self, DefinitionKind, StoredDefinition};
use granary_store::{StoreError, Stored};

use crate::engine::{CHANGED_TRIES_MAX, Engine};
use crate::error::{error_object, internal};

impl Engine {
    /// Creates or replaces a definition.
    pub async fn put_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
        json: Bytes,
    ) -> Result<(StoredDefinition, Stored), ErrorObject> {
        let (engine, source, key) = (self.clone(), source.clone(), key.clone());
        self.to_its_end(async move {
            let source = engine.source(&source).await?;
            let store = engine.store();
            for _ in 0..CHANGED_TRIES_MAX {
                let seen = store.definitions(&source).await.map_err(error_object)?;
                let heads = store.terminology().vocabulary_heads().await;
                let vocabularies = heads.map_err(error_object)?.keys().cloned().collect();
                let (inner, key, json) = (engine.inner.clone(), key.clone(), json.clone());
                // Patterns are compiled, and the others are read: too long for a thread that serves others.
                let accepting = tokio::task::spawn_blocking(move || {
                    schema::accept(kind, &key, &json, &seen.list, &vocabularies, &inner.limits)
                        .map(|accepted| (accepted, seen.revision))
                });
                let (accepted, revision) = accepting.await.map_err(|_| internal())??;
                let now = engine.inner.clock.now();
                match store.put_definition(&source, &accepted, revision, now).await {
                    Err(StoreError::DefinitionsChanged) => {}
                    done => return done.map_err(error_object),
                }
            }
            Err(error_object(StoreError::DefinitionsChanged))
        })
        .await
    }

    /// Deletes a definition, unless a record, another definition or a task not yet ended names it.
    pub async fn delete_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
    ) -> Result<(), ErrorObject> {
        let (engine, source, key) = (self.clone(), source.clone(), key.clone());
        self.to_its_end(async move {
            let source = engine.source(&source).await?;
            let store = engine.store();
            for _ in 0..CHANGED_TRIES_MAX {
                let seen = store.definitions(&source).await.map_err(error_object)?;
                if !seen
                    .list
                    .iter()
                    .any(|known| known.kind == kind && known.key == key)
                {
                    let what = name(kind);
                    return Err(ErrorObject::not_found(format!("{what} '{key}' does not exist")));
                }
                if kind == DefinitionKind::Profile
                    && let Some(found) = schema::who_uses(&key, &seen.list)
                {
                    return Err(ErrorObject::failed_precondition(format!(
                        "profile '{key}' is in use: {} '{}' names it at {}; change that first",
                        name(found.kind),
                        found.key,
                        found.path
                    )));
                }
                match store.delete_definition(&source, kind, &key, seen.revision).await {
                    Err(StoreError::DefinitionsChanged) => {}
                    done => return done.map_err(error_object),
                }
            }
            Err(error_object(StoreError::DefinitionsChanged))
        })
        .await
    }
}

fn name(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Profile => "profile",
        DefinitionKind::RelationshipDefinition => "relationship definition",
    }
}

//! Changes of definitions: accepted beside the others of the source, or refused with every fault.

use bytes::Bytes;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::schema::{self, DefinitionKind, StoredDefinition};
use granary_store::{Definitions, StoreError, Stored};

use crate::engine::{CHANGED_TRIES_MAX, DEFINING, Engine};
use crate::error::{error_object, internal};
use crate::expected::{Expected, tag_of_definition};

/// A definition that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// The definition as it is now.
    pub definition: StoredDefinition,
    /// What the write did.
    pub stored: Stored,
    /// Its tag.
    pub tag: String,
}

impl Engine {
    /// Creates or replaces a definition, if the one that is there is as expected.
    pub async fn put_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
        json: Bytes,
        expected: Expected,
    ) -> Result<Defined, ErrorObject> {
        let (engine, source, key) = (self.clone(), source.clone(), key.clone());
        self.to_its_end(async move {
            let source = engine.source(&source).await?;
            let _alone = engine.inner.defining[source.number as usize % DEFINING]
                .lock()
                .await;
            let store = engine.store();
            for _ in 0..CHANGED_TRIES_MAX {
                let seen = store.definitions(&source).await.map_err(error_object)?;
                let current = find(&seen, kind, &key).map(|known| tag_of_definition(&source, known));
                let heads = store.terminology().vocabulary_heads().await;
                let vocabularies = heads.map_err(error_object)?.keys().cloned().collect();
                let (inner, of_key, json) = (engine.inner.clone(), key.clone(), json.clone());
                // Patterns are compiled, and the others are read: too long for a thread that serves others.
                let accepting = tokio::task::spawn_blocking(move || {
                    schema::accept(kind, &of_key, &json, &seen.list, &vocabularies, &inner.limits)
                        .map(|accepted| (accepted, seen.revision))
                });
                let (accepted, revision) = accepting.await.map_err(|_| internal())??;
                // What is stored is judged beside the definitions that were seen, so this holds until then.
                expected.check(&named(kind, &key), current.as_deref())?;
                let now = engine.inner.clock.now();
                match store.put_definition(&source, &accepted, revision, now).await {
                    Err(StoreError::DefinitionsChanged) => {}
                    Err(failure) => return Err(error_object(failure)),
                    Ok((definition, stored)) => {
                        let tag = tag_of_definition(&source, &definition);
                        return Ok(Defined {
                            definition,
                            stored,
                            tag,
                        });
                    }
                }
            }
            Err(error_object(StoreError::DefinitionsChanged))
        })
        .await
    }

    /// Deletes a definition that is as expected, unless a record, another definition or a task not yet ended names it.
    pub async fn delete_definition(
        &self,
        source: &Key,
        kind: DefinitionKind,
        key: &Key,
        expected: Expected,
    ) -> Result<(), ErrorObject> {
        let (engine, source, key) = (self.clone(), source.clone(), key.clone());
        self.to_its_end(async move {
            let source = engine.source(&source).await?;
            let _alone = engine.inner.defining[source.number as usize % DEFINING]
                .lock()
                .await;
            let store = engine.store();
            for _ in 0..CHANGED_TRIES_MAX {
                let seen = store.definitions(&source).await.map_err(error_object)?;
                let current = find(&seen, kind, &key).map(|known| tag_of_definition(&source, known));
                expected.check(&named(kind, &key), current.as_deref())?;
                if current.is_none() {
                    let message = format!("{} does not exist", named(kind, &key));
                    return Err(ErrorObject::not_found(message));
                }
                if kind == DefinitionKind::Profile
                    && let Some(found) = schema::who_uses(&key, &seen.list)
                {
                    return Err(ErrorObject::failed_precondition(format!(
                        "profile '{key}' is in use: {} '{}' names it at {}; change that first",
                        found.kind.noun(),
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

fn find<'a>(seen: &'a Definitions, kind: DefinitionKind, key: &Key) -> Option<&'a StoredDefinition> {
    seen.list
        .iter()
        .find(|known| known.kind == kind && known.key == *key)
}

fn named(kind: DefinitionKind, key: &Key) -> String {
    format!("{} '{key}'", kind.noun())
}

//! Definitions of sources in a list.

use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition};
use granary_core::time::Timestamp;

use super::State;
use crate::{KeptDefinition, Result, Source, StoreError, Stored, names_known};

impl State {
    pub(super) fn put_definition(
        &mut self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        let (limits, vocabularies) = (self.limits, self.vocabulary_heads());
        let source = self.open(source)?;
        if source.definitions.revision != seen {
            return Err(StoreError::DefinitionsChanged);
        }
        names_known(definition, &vocabularies)?;
        let same = |d: &StoredDefinition| d.kind == definition.kind() && d.key == *definition.key();
        let place = source.definitions.list.iter().position(same);
        let mut stored = StoredDefinition {
            kind: definition.kind(),
            key: definition.key().clone(),
            number: source.next_number,
            revision: 1,
            json: definition.json().into(),
            created_at: now,
            updated_at: now,
        };
        let did = match place {
            None => {
                limits.admit_definition(source.definitions.list.len())?;
                source.next_number += 1;
                source.definitions.list.push(stored.clone());
                source
                    .definitions
                    .list
                    .sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
                Stored::Created
            }
            Some(place) => {
                let current = &source.definitions.list[place];
                if let Some(refusal) = definition.refused_while_records_exist(current)
                    && source.in_use(current.number).is_some()
                {
                    return Err(StoreError::Refused(refusal));
                }
                stored.number = current.number;
                stored.revision = current.revision + 1;
                stored.created_at = current.created_at;
                source.definitions.list[place] = stored.clone();
                Stored::Replaced
            }
        };
        source.definitions.revision += 1;
        Ok((stored, did))
    }

    pub(super) fn delete_definition(
        &mut self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        let source = self.open(source)?;
        if source.definitions.revision != seen {
            return Err(StoreError::DefinitionsChanged);
        }
        let same = |d: &StoredDefinition| d.kind == kind && d.key == *key;
        let Some(place) = source.definitions.list.iter().position(same) else {
            return Err(StoreError::Refused(ErrorObject::not_found(format!(
                "'{key}' does not exist"
            ))));
        };
        if let Some(why) = source.in_use(source.definitions.list[place].number) {
            return Err(StoreError::precondition(format!("'{key}' is in use: {why}")));
        }
        source.definitions.list.remove(place);
        source.definitions.revision += 1;
        Ok(())
    }

    pub(super) fn restore_definitions(
        &mut self,
        source: &Source,
        definitions: &[KeptDefinition],
    ) -> Result<()> {
        let (limits, vocabularies) = (self.limits, self.vocabulary_heads());
        let source = self.open(source)?;
        if let Some(holds) = source.holds() {
            return Err(StoreError::source_must_be_empty(&source.source.key, holds));
        }
        for kept in definitions {
            names_known(&kept.accepted, &vocabularies)?;
            limits.admit_definition(source.definitions.list.len())?;
            source.definitions.list.push(kept.numbered(source.next_number));
            source.next_number += 1;
        }
        source
            .definitions
            .list
            .sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
        source.definitions.revision += 1;
        Ok(())
    }
}

//! The definitions of one source: accepted one by one beside the others, compiled together once.

use crate::error::{ErrorObject, ErrorType};
use crate::keys::Key;
use crate::limits::Limits;
use crate::operation::{TypeNumber, TypeRef};
use crate::time::Timestamp;

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum DefinitionKind {
    /// The schema of a resource type.
    Profile,
    /// The schema of a relationship type.
    RelationshipDefinition,
}

/// One definition as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDefinition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its key, unique in its source among the definitions of its kind.
    pub key: Key,
    /// The number of the type, never given twice in a source.
    pub number: TypeNumber,
    /// Starts at 1 and grows with every replacement.
    pub revision: u64,
    /// The definition, compact.
    pub json: Box<str>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it was last replaced.
    pub updated_at: Timestamp,
}

/// A definition that makes sense beside the others of its source; only [`accept`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedDefinition {
    kind: DefinitionKind,
    key: Key,
    json: Box<str>,
}

impl AcceptedDefinition {
    /// What it defines.
    pub fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The definition as it was sent, without white space between tokens.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Why it may not replace `current` while records of that type exist, if it may not (contract, section 4).
    pub fn refused_while_records_exist(&self, current: &StoredDefinition) -> Option<ErrorObject> {
        let _ = current;
        None
    }
}

/// Accepts the definition `json` for `key` beside the `others` of its source, or refuses it with every fault.
/// A definition of the same kind and key among the others is the one that it replaces.
pub fn accept(
    kind: DefinitionKind,
    key: &Key,
    json: &[u8],
    others: &[StoredDefinition],
    limits: &Limits,
) -> Result<AcceptedDefinition, ErrorObject> {
    let _ = (kind, key, json, others, limits);
    Err(ErrorObject::new(ErrorType::Unimplemented, "not yet"))
}

/// A definition that names a profile, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What the definition defines.
    pub kind: DefinitionKind,
    /// Its key.
    pub key: Key,
    /// Pointer to the place that names the profile, such as `/from/profileKey`.
    pub path: String,
}

/// The first definition that names the profile `key`, other than the profile itself.
pub fn who_uses(key: &Key, others: &[StoredDefinition]) -> Option<Use> {
    let _ = (key, others);
    None
}

/// All definitions of one source, compiled once; shared by every check of that source.
#[derive(Debug)]
pub struct Schema {
    types: Vec<TypeRef>,
}

impl Schema {
    /// Compiles the definitions of a source. What was accepted compiles; anything else is our fault (`INTERNAL`).
    pub fn compile(definitions: &[StoredDefinition]) -> Result<Self, ErrorObject> {
        let _ = definitions;
        Ok(Self { types: Vec::new() })
    }

    /// Every type that an operation can be on: `type_index` of an operation is an index into this. CONTAINED
    /// profiles are not in it.
    pub fn types(&self) -> &[TypeRef] {
        &self.types
    }

    /// The index of the ROOT profile `key`.
    pub fn resource_type(&self, key: &str) -> Option<u32> {
        let _ = key;
        None
    }

    /// The index of the relationship definition `key`.
    pub fn relationship_type(&self, key: &str) -> Option<u32> {
        let _ = key;
        None
    }
}

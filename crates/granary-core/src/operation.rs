//! Operations that have passed the check: what is spooled, decided and applied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keys::{Key, ResourceId};
use crate::meta::SentMeta;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Stores a record that must not exist.
    Create,
    /// Stores a record, replacing the one that exists.
    Upsert,
    /// Deletes a record that must exist.
    Delete,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Create, Self::Upsert, Self::Delete];

    /// The value of `action` on the wire, such as `CREATE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Upsert => "UPSERT",
            Self::Delete => "DELETE",
        }
    }

    /// The member that holds its payload, such as `create`.
    pub const fn payload(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

/// What the operations of a request are on; never both in one bulk request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetType {
    /// Resources.
    Resource,
    /// Relationships.
    Relationship,
}

/// The number of a type (a profile or a relationship definition) inside its source, never given twice.
pub type TypeNumber = u32;

/// What deciding and storing need to know of a type, taken from the schema that the operation was checked by.
/// It travels with the operations, so a definition changed later does not change how they are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRef {
    /// Its key.
    pub key: Key,
    /// Its number.
    pub number: TypeNumber,
    /// `None` for a resource type; what an edge of it joins for a relationship type.
    pub edge: Option<EdgeEnds>,
}

impl TypeRef {
    /// Which kind of record it is the type of.
    pub const fn target_type(&self) -> TargetType {
        match self.edge {
            None => TargetType::Resource,
            Some(_) => TargetType::Relationship,
        }
    }
}

/// Both ends of a relationship type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEnds {
    /// Where edges start.
    pub from: EdgeEnd,
    /// Where edges end.
    pub to: EdgeEnd,
}

/// One end of a relationship type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEnd {
    /// The key of the profile at this end.
    pub profile: Key,
    /// Its number.
    pub number: TypeNumber,
    /// True where one resource may have at most one edge of this type at this end (`0:1`, `1:1`).
    pub at_most_one: bool,
}

/// A keyed hash of what a create or an upsert would store: equal content has an equal hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 16]);

/// Which record an operation is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordId {
    /// A resource.
    Resource(ResourceId),
    /// The edge between two resources.
    Relationship {
        /// Where it starts.
        from: ResourceId,
        /// Where it ends.
        to: ResourceId,
    },
}

impl RecordId {
    /// Which kind of record it names.
    pub const fn target_type(&self) -> TargetType {
        match self {
            Self::Resource(_) => TargetType::Resource,
            Self::Relationship { .. } => TargetType::Relationship,
        }
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resource(id) => id.fmt(f),
            Self::Relationship { from, to } => write!(f, "{from}.{to}"),
        }
    }
}

/// One operation that has passed the check. Its body, where it has one, is kept beside it by whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// Which entry of the request's table of types its type is.
    pub type_index: u32,
    /// The record it is on. The id of a create without one was made when the operation was checked.
    pub id: RecordId,
    /// The hash of its content; `None` for a delete.
    pub hash: Option<ContentHash>,
    /// What it says of the record's meta, where it says anything.
    pub meta: Option<Box<SentMeta>>,
}

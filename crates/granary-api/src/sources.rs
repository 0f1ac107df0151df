//! Sources: `/catalog/v1/sources` (contract, section 3).

use granary_core::keys::Key;
use granary_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `PUT /catalog/v1/sources/{s}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceWrite {
    /// What kind of source.
    #[serde(rename = "type")]
    pub source_type: SourceType,
}

/// What kind of source; there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceType {
    /// A registry: records checked against profiles.
    #[default]
    Registry,
}

/// A source, as read, listed and answered by its PUT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its key.
    pub key: Key,
    /// What kind of source.
    #[serde(rename = "type")]
    pub source_type: SourceType,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The query of `DELETE /catalog/v1/sources/{s}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceDeleteQuery {
    /// True: the source goes with all it holds. False: refused while it holds data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
}

/// The answer of deleting a source, a profile or a relationship definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The key that is free again.
    pub key: Key,
}

//! Relationships: `…/relationships/{type}` (contract, section 3).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::description::described;
use crate::resources::{Meta, Resource};

/// One end of a relationship.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RelationshipEnd")]
pub struct End {
    /// The id of the resource.
    pub id: String,
    /// The type of the resource: the key of a profile.
    #[serde(rename = "type")]
    pub type_key: String,
}

/// The body of `POST …/relationships/{type}`. The server checks it against the definition as it stands; this is how a
/// client writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationshipWrite {
    /// Where it starts.
    pub from: End,
    /// Where it ends.
    pub to: End,
    /// Its properties, where the definition names any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// What the client says of it: times of a historical import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Box<RawValue>>,
}

/// A relationship, as read and listed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Relationship {
    /// Its id: `{fromId}.{toId}`.
    pub id: String,
    /// Its type: the key of a relationship definition.
    #[serde(rename = "type")]
    pub type_key: String,
    /// Where it starts.
    pub from: End,
    /// Where it ends.
    pub to: End,
    /// Its properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<described::Data>")]
    pub data: Option<Box<RawValue>>,
    /// Times and version.
    pub meta: Meta,
    /// With `?includes=`: the resources at its ends that were asked for, by their type, all of one moment with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub includes: Option<BTreeMap<String, Vec<Resource>>>,
}

/// The query of `GET …/relationships/{type}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelationshipsQuery {
    /// Only those that start at the resource with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only those that end at the resource with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How many to answer at most; 50 unless said, up to the limit `listLimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

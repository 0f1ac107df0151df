//! Resources: `…/resources/{type}` (contract, section 3).

use granary_core::keys::Key;
use granary_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::description::described;
use crate::relationships::Relationship;

/// The body of `POST …/resources/{type}` and `PUT …/resources/{type}/{id}`. The server checks it against the profile
/// as it stands; this is how a client writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceWrite {
    /// The id it is to have. On a create, absent: the server makes one; on an upsert the path says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its properties.
    pub data: Box<RawValue>,
    /// Its contained resources by contain key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contained: Option<Box<RawValue>>,
    /// What the client says of it: times and identifiers of a historical import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Box<RawValue>>,
}

/// A resource, as read and listed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// Its type: the key of a profile.
    #[serde(rename = "type")]
    pub type_key: String,
    /// Its properties, as they were sent.
    #[schemars(with = "described::Data")]
    pub data: Box<RawValue>,
    /// Its contained resources by contain key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<described::Contained>")]
    pub contained: Option<Box<RawValue>>,
    /// Times and version.
    pub meta: Meta,
}

/// What the server keeps beside a record (contract, section 4).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its identifiers as they were sent, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<described::Identifier>>")]
    pub identifier: Option<Box<RawValue>>,
    /// The source that it is in.
    pub source: Key,
    /// Starts at 1 and grows by one with each write that changes the record.
    pub version: u64,
}

/// The answer of a single write (contract, sections 3 and 7): the task that it was, and the record it left. A delete
/// leaves none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Written")]
pub struct SingleWrite {
    /// Its task, of the kind `SINGLE`.
    pub task_id: String,
    /// Always [`SingleStatus::Persisted`]: a write that failed answers an error object.
    pub status: SingleStatus,
    /// The resource, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// The relationship, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<Relationship>,
}

/// The query of `GET …/resources/{type}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesQuery {
    /// Only resources with this identifier, as `system:value:use`, each part percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// How many to answer at most; 50 unless said, up to the limit `listLimit`. A stream (NDJSON) without it answers all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The query of a single create or upsert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteQuery {
    /// True: check only, store nothing; answers [`crate::bulk::BulkValid`] or what is wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate_only: bool,
}

/// What became of a single write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SingleStatus {
    /// It is stored, and a crash does not take it back.
    Persisted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_resource_comes_back_as_sent() {
        let wire = concat!(
            r#"{"taskId":"s_1","status":"PERSISTED","resource":{"id":"LX-LUX","type":"airport","data":{"lat":1.10},"#,
            r#""meta":{"createdAt":"2026-01-31T08:15:30.250Z","updatedAt":"2026-01-31T08:15:30.250Z","source":"air","version":1}}}"#
        );
        let write: SingleWrite = serde_json::from_str(wire).unwrap();
        assert_eq!(serde_json::to_string(&write).unwrap(), wire);
    }
}

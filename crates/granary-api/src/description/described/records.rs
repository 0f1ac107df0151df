//! Resources, contained resources, relationships.

use std::borrow::Cow;

use granary_core::keys::Key;
use granary_core::meta::Triple;
use granary_core::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::relationships::End as RelationshipEnd;

named! {
    Data,
    /// The properties of a record, as its profile or relationship definition says.
    |_| json_schema!({"type": "object", "additionalProperties": true})
}

/// A span of time; what is not given is open.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    /// An id of the client's.
    id: Option<String>,
    /// Its first moment: a date or a date-time.
    start: Option<String>,
    /// Its last moment: a date or a date-time.
    end: Option<String>,
}

/// What a record is also found by.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identifier {
    /// An id of the client's.
    id: Option<String>,
    /// Who gave it: a URI, and not `mdm`.
    #[schemars(length(max = Triple::SYSTEM_BYTES_MAX))]
    system: Option<String>,
    /// The identifier.
    #[schemars(length(max = Triple::VALUE_BYTES_MAX))]
    value: Option<String>,
    /// What it is used for: a code, and not `source`.
    #[serde(rename = "use")]
    #[schemars(length(max = Triple::USE_BYTES_MAX))]
    usage: Option<String>,
    /// When it is valid.
    period: Option<Period>,
}

/// What a client says of a record beside its content: a historical import.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SentMeta {
    /// When it was created; not in the future.
    created_at: Option<Timestamp>,
    /// When it was last changed; needs `createdAt`, and is not before it.
    updated_at: Option<Timestamp>,
    /// All of its identifiers.
    identifier: Option<Vec<Identifier>>,
}

/// A contained resource as it is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainedWrite {
    /// Its id, unique in its parent; made where it is absent.
    id: Option<String>,
    /// The key of its CONTAINED profile.
    #[serde(rename = "type")]
    type_key: Key,
    /// Its properties.
    data: Data,
    /// What it contains itself, by contain key.
    contained: Option<SentContained>,
}

named! {
    SentContained,
    /// Contained resources by contain key.
    |generator| {
        let list = generator.subschema_for::<Vec<ContainedWrite>>();
        json_schema!({"type": "object", "additionalProperties": list})
    }
}

/// A contained resource.
#[derive(JsonSchema)]
pub(crate) struct ContainedResource {
    /// Its id, unique in its parent.
    id: String,
    /// The key of its CONTAINED profile.
    #[serde(rename = "type")]
    type_key: Key,
    /// Its properties.
    data: Data,
    /// What it contains itself, by contain key.
    contained: Option<Contained>,
}

named! {
    Contained,
    /// Contained resources by contain key.
    |generator| {
        let list = generator.subschema_for::<Vec<ContainedResource>>();
        json_schema!({"type": "object", "additionalProperties": list})
    }
}

/// A resource as a single write sends it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceWrite {
    /// The id it is to have: on a create made where it is absent, on an upsert that of the path.
    id: Option<String>,
    /// Its type: that of the path, and best left out.
    #[serde(rename = "type")]
    type_key: Option<String>,
    /// Its properties.
    data: Data,
    /// Its contained resources by contain key.
    contained: Option<SentContained>,
    /// What the client says of it.
    meta: Option<SentMeta>,
}

/// A relationship as a single write sends it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationshipWrite {
    /// Its id: that of its ends joined by a dot, and best left out.
    id: Option<String>,
    /// Its type: that of the path, and best left out.
    #[serde(rename = "type")]
    type_key: Option<String>,
    /// Where it starts.
    from: RelationshipEnd,
    /// Where it ends.
    to: RelationshipEnd,
    /// Its properties.
    data: Option<Data>,
    /// What the client says of it.
    meta: Option<SentMeta>,
}

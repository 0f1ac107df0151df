//! Operations of bulk requests and bundles, and patches.

use std::borrow::Cow;

use granary_core::keys::ResourceId;
use granary_core::operation::Action;
use granary_core::receipt::ReceiptStatus;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{ConceptDelete, ConceptNamed, Data, SentContained, SentMeta, VocabularyDelete, VocabularyNamed};
use crate::relationships::End as RelationshipEnd;

/// An operation: an action, and a payload under its name.
macro_rules! operations {
    ($name:ident, $doc:literal, $create:ident, $upsert:ident, $delete:ident) => {
        #[doc = $doc]
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let payloads = [
                    (Action::Create, generator.subschema_for::<$create>()),
                    (Action::Upsert, generator.subschema_for::<$upsert>()),
                    (Action::Delete, generator.subschema_for::<$delete>()),
                ];
                let actions = payloads.map(|(action, payload)| {
                    serde_json::json!({
                        "type": "object",
                        "title": format!("{} {}", stringify!($name), action.payload()),
                        "properties": {
                            "action": {"type": "string", "const": action.name()},
                            action.payload(): payload,
                        },
                        "required": ["action", action.payload()],
                        "additionalProperties": false,
                    })
                });
                json_schema!({"description": $doc, "oneOf": actions})
            }
        }
    };
}

operations!(
    ResourceOperation,
    "One operation on one resource.",
    ResourceCreate,
    ResourceUpsert,
    ResourceDelete
);
operations!(
    RelationshipOperation,
    "One operation on one relationship.",
    RelationshipUpsert,
    RelationshipUpsert,
    RelationshipDelete
);
operations!(
    VocabularyOperation,
    "One operation on one vocabulary.",
    VocabularyNamed,
    VocabularyNamed,
    VocabularyDelete
);
operations!(
    ConceptOperation,
    "One operation on one concept.",
    ConceptNamed,
    ConceptNamed,
    ConceptDelete
);

/// A resource to be created.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceCreate {
    /// The id it is to have; made where it is absent. In a bundle also a token such as `@rootId`, which stands for the id
    /// that is made.
    id: Option<String>,
    /// Its type: the key of a ROOT profile.
    #[serde(rename = "type")]
    type_key: String,
    /// Its properties.
    data: Data,
    /// Its contained resources by contain key.
    contained: Option<SentContained>,
    /// What the client says of it.
    meta: Option<SentMeta>,
}

/// A resource to be stored, whether it exists or not.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceUpsert {
    /// Its id.
    id: ResourceId,
    /// Its type: the key of a ROOT profile.
    #[serde(rename = "type")]
    type_key: String,
    /// Its properties.
    data: Data,
    /// Its contained resources by contain key.
    contained: Option<SentContained>,
    /// What the client says of it.
    meta: Option<SentMeta>,
}

/// A resource to be deleted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceDelete {
    /// Its id.
    id: ResourceId,
    /// Its type: the key of a ROOT profile.
    #[serde(rename = "type")]
    type_key: String,
}

/// A relationship to be stored.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationshipUpsert {
    /// Its id: that of its ends joined by a dot, and best left out.
    id: Option<String>,
    /// Its type: the key of a relationship definition.
    #[serde(rename = "type")]
    type_key: String,
    /// Where it starts.
    from: RelationshipEnd,
    /// Where it ends.
    to: RelationshipEnd,
    /// Its properties.
    data: Option<Data>,
    /// What the client says of it.
    meta: Option<SentMeta>,
}

/// A relationship to be deleted, named by `id` or by `from` and `to`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationshipDelete {
    /// Its id: that of its ends joined by a dot.
    id: Option<String>,
    /// Its type: the key of a relationship definition.
    #[serde(rename = "type")]
    type_key: String,
    /// Where it starts.
    from: Option<RelationshipEnd>,
    /// Where it ends.
    to: Option<RelationshipEnd>,
}

/// A bulk request: operations, carried out in their order.
macro_rules! bulk_request {
    ($name:ident, $operation:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Carried out in this order.
            #[schemars(length(min = 1))]
            operations: Vec<$operation>,
        }
    };
}

bulk_request!(ResourceBulkRequest, ResourceOperation, "Operations on resources.");
bulk_request!(
    RelationshipBulkRequest,
    RelationshipOperation,
    "Operations on relationships."
);
bulk_request!(
    VocabularyBulkRequest,
    VocabularyOperation,
    "Operations on vocabularies."
);
bulk_request!(ConceptBulkRequest, ConceptOperation, "Operations on concepts.");

/// An operation of a task, as it was sent.
#[derive(JsonSchema)]
pub(crate) struct TaskOperation {
    /// Which operation of the task, counted from 0.
    index: u64,
    /// What became of it.
    status: ReceiptStatus,
    /// The operation, with the id that it was given; absent where it was removed.
    operation: Option<SentOperation>,
    /// True where it is kept no longer.
    removed: Option<bool>,
}

named! {
    SentOperation,
    /// An operation as it was sent: an action, and a payload under its name.
    |generator| {
        let action = generator.subschema_for::<Action>();
        let payload = serde_json::json!({"type": "object", "additionalProperties": true});
        json_schema!({
            "type": "object",
            "properties": {
                "action": action, "create": payload.clone(), "upsert": payload.clone(), "delete": payload,
            },
            "required": ["action"],
            "additionalProperties": false,
        })
    }
}

named! {
    JsonPatch,
    /// A JSON Patch (RFC 6902) on the data of a relationship: add, remove, replace, test.
    |_| {
        let operation = |names: &[&str], value: bool| {
            let mut members = serde_json::json!({
                "op": {"type": "string", "enum": names},
                "path": {"type": "string", "description": "A pointer (RFC 6901) into the data."},
            });
            let mut required = vec!["op", "path"];
            if value {
                members["value"] = serde_json::json!({});
                required.push("value");
            }
            serde_json::json!({"type": "object", "properties": members, "required": required})
        };
        json_schema!({
            "type": "array",
            "items": {"oneOf": [operation(&["add", "replace", "test"], true), operation(&["remove"], false)]},
        })
    }
}

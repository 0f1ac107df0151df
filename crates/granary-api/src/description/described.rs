//! What the domain reads by itself, or the server writes by itself, and so is no struct of the wire: bodies of definitions,
//! records and operations. These types are there to be described; nothing makes one.

#![expect(dead_code, reason = "only described")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use granary_core::keys::{ConceptCode, Key, ResourceId};
use granary_core::meta::Triple;
use granary_core::operation::Action;
use granary_core::profile::Cardinality;
use granary_core::profile::types::TYPES;
use granary_core::receipt::ReceiptStatus;
use granary_core::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::relationships::End as RelationshipEnd;

/// A schema with a name, made by hand.
macro_rules! named {
    ($name:ident, $(#[doc = $doc:literal])+ $schema:expr) => {
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let make: fn(&mut SchemaGenerator) -> Schema = $schema;
                let mut schema = make(generator);
                let lines = [$($doc),+].map(str::trim).join(" ");
                schema.insert("description".to_owned(), lines.into());
                schema
            }
        }
    };
}

// --- definitions ---

named! {
    PropertyType,
    /// The type of a property. What each accepts is in `docs/types.md`.
    |_| json_schema!({"type": "string", "enum": TYPES.iter().map(|shape| shape.name()).collect::<Vec<_>>()})
}

named! {
    CardinalityName,
    /// How many there may be: none or one, any number, exactly one, one or more.
    |_| json_schema!({"type": "string", "enum": Cardinality::NAMES})
}

named! {
    Data,
    /// The properties of a record, as its profile or relationship definition says.
    |_| json_schema!({"type": "object", "additionalProperties": true})
}

/// A profile: the schema of one resource type.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileWrite {
    /// `ROOT` where its records stand alone, which is so unless said; `CONTAINED` where they live inside others.
    #[serde(rename = "type")]
    kind: Option<ProfileKindName>,
    /// For people.
    description: Option<String>,
    /// Its properties by their keys.
    properties: BTreeMap<String, Property>,
    /// What its records may contain, by contain key.
    contained: Option<BTreeMap<String, ContainRule>>,
}

/// Whether the records of a profile stand alone.
#[derive(JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ProfileKindName {
    /// They stand alone.
    Root,
    /// They live inside a parent.
    Contained,
}

/// What may stand under one contain key.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainRule {
    /// Keys of CONTAINED profiles.
    types: Vec<Key>,
    /// How many there may be.
    cardinality: CardinalityName,
}

/// A property of a profile or of a relationship definition.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Property {
    /// Its type. Required, but for the fields of a complex type, which have theirs already.
    #[serde(rename = "type")]
    property_type: Option<PropertyType>,
    /// For people.
    description: Option<String>,
    /// Of an array: what its elements are.
    items: Option<Box<Property>>,
    /// Of an object: its members. Of a complex type: rules on its fields.
    properties: Option<BTreeMap<String, Property>>,
    /// All that apply must hold.
    rules: Option<Vec<Rule>>,
    /// Of a code or a coding: the vocabulary that its values are from.
    binding: Option<Binding>,
}

/// A rule object: all that it says must hold, where its condition does.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// True: the value is there and not null.
    required: Option<bool>,
    /// The least value, or the fewest characters or elements.
    min: Option<f64>,
    /// The largest value, or the most characters or elements.
    max: Option<f64>,
    /// The values that there are.
    #[serde(rename = "enum")]
    options: Option<Vec<TextOrNumber>>,
    /// An ECMAScript regular expression, searched for.
    pattern: Option<String>,
    /// Where it applies.
    when: Option<Condition>,
}

named! {
    TextOrNumber,
    /// A value of an `enum`.
    |_| json_schema!({"anyOf": [{"type": "string"}, {"type": "number"}]})
}

named! {
    Condition,
    /// One operator. A path is dotted, from the root of the record's data; `[current]` is the element that the rule is on.
    |generator| {
        let condition = generator.subschema_for::<Condition>();
        let path_to = |value: Value| serde_json::json!({
            "type": "object", "additionalProperties": value, "minProperties": 1, "maxProperties": 1,
        });
        let value = serde_json::json!({"type": ["string", "number", "boolean"]});
        let values = serde_json::json!({"type": "array", "items": value, "minItems": 1});
        let conditions = serde_json::json!({"type": "array", "items": condition, "minItems": 1});
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
            "properties": {
                "eq": path_to(value.clone()),
                "lt": path_to(value.clone()),
                "gt": path_to(value),
                "any": path_to(values.clone()),
                "all": path_to(values),
                "and": conditions.clone(),
                "or": conditions,
                "not": condition,
            },
        })
    }
}

/// Which vocabulary the values are from.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    /// The vocabulary.
    vocabulary: BoundVocabulary,
}

/// A vocabulary, and how strictly it binds.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BoundVocabulary {
    /// The key of the vocabulary.
    key: Key,
    /// Whether other values are refused.
    strength: BindingStrength,
}

/// How strictly a vocabulary binds.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BindingStrength {
    /// Other values are taken.
    Preferred,
    /// Other values are refused.
    Required,
}

/// A relationship definition: the schema of one relationship type.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationshipDefinitionWrite {
    /// For people.
    description: Option<String>,
    /// Where its edges start.
    from: DefinitionEnd,
    /// Where its edges end.
    to: DefinitionEnd,
    /// The properties of its edges by their keys.
    properties: Option<BTreeMap<String, Property>>,
}

/// One end of a relationship definition.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct DefinitionEnd {
    /// The key of the ROOT profile at this end.
    profile_key: Key,
    /// What the edge is called as seen from this end: one key, or several joined by dots.
    include_key: String,
    /// How many edges of this type one resource of this end may have.
    include_cardinality: CardinalityName,
}

/// A stored definition: its own members as they were sent, and what the server keeps beside them.
macro_rules! stored {
    ($name:ident, $sent:ty, $doc:literal) => {
        #[doc = $doc]
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                with_stored(<$sent>::json_schema(generator), $doc, generator)
            }
        }
    };
}

fn with_stored(mut schema: Schema, description: &str, generator: &mut SchemaGenerator) -> Schema {
    let moment = generator.subschema_for::<Timestamp>().to_value();
    let beside = [
        ("key", "Its key.", generator.subschema_for::<Key>().to_value()),
        (
            "revision",
            "Which revision this is, counted from 1.",
            serde_json::json!({"type": "integer", "format": "int64", "minimum": 1}),
        ),
        ("createdAt", "When its first revision was stored.", moment.clone()),
        ("updatedAt", "When this revision was stored.", moment),
    ];
    for (name, said, mut schema_of) in beside {
        schema_of["description"] = said.into();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert(name.to_owned(), schema_of);
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.push(name.into());
        }
    }
    schema.insert("description".to_owned(), description.into());
    schema
}

stored!(
    Profile,
    ProfileWrite,
    "A stored profile: its own members as they were sent, with its key, revision and times."
);
stored!(
    RelationshipDefinition,
    RelationshipDefinitionWrite,
    "A stored relationship definition: its own members as they were sent, with its key, revision and times."
);

// --- records ---

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

// --- operations ---

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

// --- the rest ---

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

/// A vocabulary as it is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyWrite {
    /// What it is called.
    #[schemars(length(min = 1))]
    title: String,
    /// What it is for.
    description: Option<String>,
}

/// A vocabulary in an operation.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyNamed {
    /// Its key.
    key: Key,
    /// What it is called.
    #[schemars(length(min = 1))]
    title: String,
    /// What it is for.
    description: Option<String>,
}

/// A vocabulary to be deleted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyDelete {
    /// Its key.
    key: Key,
}

/// A concept as it is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptWrite {
    /// What it means.
    definition: Option<String>,
    /// What it is called, by language (BCP 47).
    designation: Option<BTreeMap<String, String>>,
}

/// A concept in an operation.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptNamed {
    /// Its code.
    code: ConceptCode,
    /// What it means.
    definition: Option<String>,
    /// What it is called, by language (BCP 47).
    designation: Option<BTreeMap<String, String>>,
}

/// A concept to be deleted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptDelete {
    /// Its code.
    code: ConceptCode,
}

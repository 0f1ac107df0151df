//! Profiles and relationship definitions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granary_core::keys::Key;
use granary_core::profile::Cardinality;
use granary_core::profile::types::TYPES;
use granary_core::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

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

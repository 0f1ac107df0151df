//! What the domain reads by itself, or the server writes by itself, and so is no struct of the wire: bodies of definitions,
//! records and operations. These types are there to be described; nothing makes one.

#![expect(dead_code, reason = "only described")]

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

mod definitions;
mod operations;
mod records;
mod terminology;

pub(crate) use definitions::{Profile, ProfileWrite, RelationshipDefinition, RelationshipDefinitionWrite};
pub(crate) use operations::{
    ConceptBulkRequest, JsonPatch, RelationshipBulkRequest, RelationshipOperation, ResourceBulkRequest,
    ResourceOperation, TaskOperation, VocabularyBulkRequest,
};
pub(crate) use records::{
    Contained, ContainedResource, ContainedWrite, Data, Identifier, RelationshipWrite, ResourceWrite,
    SentContained, SentMeta,
};
pub(crate) use terminology::{
    ConceptDelete, ConceptNamed, ConceptWrite, VocabularyDelete, VocabularyNamed, VocabularyWrite,
};

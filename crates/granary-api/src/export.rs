//! Exports and imports: `GET …/export`, `POST …/import`. An export is NDJSON: a header, the definitions, the resources and
//! the relationships of one moment, each in the order of keys and ids, and at the end how many there were. One that breaks
//! off has no end.

use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::definitions::Definition;
use crate::description::described;
use crate::relationships::Relationship;
use crate::resources::Resource;

/// The format that this version writes, and the newest that it reads.
pub const EXPORT_FORMAT: u32 = 1;

/// One line of an export: an object with one member.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExportLine {
    /// The first line.
    Export(ExportHeader),
    /// A profile.
    Profile(#[schemars(with = "described::Profile")] Definition),
    /// A relationship definition.
    RelationshipDefinition(#[schemars(with = "described::RelationshipDefinition")] Definition),
    /// A resource, as it is read by its id.
    Resource(#[schemars(with = "Resource")] Box<RawValue>),
    /// A relationship, as it is read by its id.
    Relationship(#[schemars(with = "Relationship")] Box<RawValue>),
    /// The last line of one that is whole.
    End(ExportCounts),
    /// The last line of one that is not: why.
    Error(ErrorObject),
}

/// What an export is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportHeader {
    /// The format of its lines.
    pub format: u32,
    /// The source.
    pub source: Key,
    /// The type whose records it has; absent where it has all of them.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_key: Option<Key>,
    /// The moment that all of it is of.
    pub exported_at: Timestamp,
}

/// How many of each an export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportCounts {
    /// Profiles.
    pub profiles: u64,
    /// Relationship definitions.
    pub relationship_definitions: u64,
    /// Resources.
    pub resources: u64,
    /// Relationships.
    pub relationships: u64,
}

/// The query of `GET …/export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Records of this type alone; definitions are all there.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_key: Option<String>,
}

/// The query of `POST …/import`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// True: an export that broke off is taken as far as it goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// The answer of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The source that it was put into.
    pub source: Key,
    /// What was put into it.
    #[serde(flatten)]
    pub counts: ExportCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        for wire in [
            r#"{"export":{"format":1,"source":"air","exportedAt":"2026-01-31T08:15:30.250Z"}}"#,
            r#"{"export":{"format":1,"source":"air","type":"airport","exportedAt":"2026-01-31T08:15:30.250Z"}}"#,
            concat!(
                r#"{"profile":{"key":"p","revision":2,"createdAt":"2026-01-31T08:15:30.250Z","#,
                r#""updatedAt":"2026-01-31T08:15:30.250Z","properties":{"a":{"type":"decimal","rules":[{"min":1.10}]}}}}"#
            ),
            r#"{"resource":{"id":"LUX","data":{"lat":1.10}}}"#,
            r#"{"end":{"profiles":1,"relationshipDefinitions":0,"resources":2,"relationships":3}}"#,
        ] {
            let line: ExportLine = serde_json::from_str(wire).unwrap();
            assert_eq!(serde_json::to_string(&line).unwrap(), wire);
        }
        for wrong in [
            "{}",
            r#"{"end":{}}"#,
            r#"{"record":{}}"#,
            r#"{"resource":{},"end":{}}"#,
        ] {
            assert!(serde_json::from_str::<ExportLine>(wrong).is_err(), "{wrong}");
        }
    }
}

//! A source to check against, and short ways to check.

use crate::check::{Checker, Rejection, Tokens};
use crate::error::ErrorObject;
use crate::keys::Key;
use crate::limits::Limits;
use crate::operation::{Operation, TargetType};
use crate::schema::{DefinitionKind, Schema, StoredDefinition};
use crate::time::Timestamp;
use crate::vocabulary::Vocabularies;

pub(super) const PROVIDER: &str = r#"{
    "properties": {
        "name": {"type": "symbol", "rules": [{"required": true}]},
        "practiceNumber": {"type": "integer", "rules": [{"min": 1, "max": 9999999}]},
        "specialities": {"type": "array", "items": {"type": "symbol", "rules": [{"min": 2}]}, "rules": [{"max": 3}]},
        "status": {"type": "code", "rules": [{"enum": ["active", "retired"]}]},
        "license": {"type": "symbol", "rules": [{"pattern": "^[A-Z]{2}\\d+$"}, {"max": 6}]},
        "fee": {"type": "decimal", "rules": [{"min": 0.5}, {"max": 1e3}]},
        "grade": {"type": "decimal", "rules": [{"enum": [1.5, 2]}]},
        "rank": {"type": "integer", "rules": [{"enum": [1, 2, 3]}]},
        "active": {"type": "boolean"},
        "born": {"type": "date"},
        "seen": {"type": "datetime"},
        "stamp": {"type": "instant"},
        "opens": {"type": "time"},
        "site": {"type": "url"},
        "system": {"type": "uri"},
        "notes": {"type": "markdown"},
        "address": {"type": "object", "properties": {
            "city": {"type": "symbol", "rules": [{"required": true}]},
            "lines": {"type": "array", "items": {"type": "symbol"}}
        }},
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "phones": {"type": "array", "items": {"type": "object", "properties": {
            "number": {"type": "symbol", "rules": [{"required": true}]}
        }}}
    },
    "contained": {
        "offices": {"types": ["office"], "cardinality": "0:*"},
        "main": {"types": ["office", "home"], "cardinality": "0:1"}
    }
}"#;

pub(super) const OFFICE: &str = r#"{"type": "CONTAINED",
    "properties": {"city": {"type": "symbol", "rules": [{"required": true}]}},
    "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}}}"#;
pub(super) const ROOM: &str = r#"{"type": "CONTAINED", "properties": {"door": {"type": "integer"}},
    "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}}}"#;
pub(super) const HOME: &str = r#"{"type": "CONTAINED", "properties": {}}"#;
pub(super) const STRICT: &str = r#"{"properties": {}, "contained": {
    "one": {"types": ["home"], "cardinality": "1:1"}, "some": {"types": ["home"], "cardinality": "1:*"}}}"#;
pub(super) const WORKS_AT: &str = r#"{"from": {"profileKey": "provider", "includeKey": "worksAt", "includeCardinality": "0:*"},
    "to": {"profileKey": "clinic", "includeKey": "staff", "includeCardinality": "0:1"},
    "properties": {"since": {"type": "date"}}}"#;
pub(super) const OWNS: &str = r#"{"from": {"profileKey": "provider", "includeKey": "owns", "includeCardinality": "0:*"},
    "to": {"profileKey": "clinic", "includeKey": "owner", "includeCardinality": "1:1"},
    "properties": {"share": {"type": "decimal", "rules": [{"required": true}]}}}"#;

pub(super) fn stored(kind: DefinitionKind, key: &str, number: u32, json: &str) -> StoredDefinition {
    StoredDefinition {
        kind,
        key: Key::parse(key).unwrap(),
        number,
        revision: 1,
        json: json.into(),
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

pub(super) fn definitions() -> Vec<StoredDefinition> {
    use DefinitionKind::{Profile, RelationshipDefinition};
    [
        (Profile, "provider", PROVIDER),
        (Profile, "office", OFFICE),
        (Profile, "room", ROOM),
        (Profile, "home", HOME),
        (
            Profile,
            "clinic",
            r#"{"properties": {"name": {"type": "symbol"}}}"#,
        ),
        (Profile, "strict", STRICT),
        (RelationshipDefinition, "worksAt", WORKS_AT),
        (RelationshipDefinition, "owns", OWNS),
    ]
    .into_iter()
    .zip(10..)
    .map(|((kind, key, json), number)| stored(kind, key, number, json))
    .collect()
}

pub(super) fn schema() -> Schema {
    Schema::compile(&definitions()).unwrap()
}

/// Hands a checker with invented surroundings to `check`.
pub(super) fn with_checker<T>(
    target: TargetType,
    limits: &Limits,
    check: impl FnOnce(&mut Checker<'_>) -> T,
) -> T {
    let surroundings = Surroundings {
        schema: &schema(),
        vocabularies: Vocabularies::none(),
        tokens: None,
    };
    surroundings.with_checker(target, limits, check)
}

/// What operations are checked by.
pub(super) struct Surroundings<'s> {
    pub(super) schema: &'s Schema,
    pub(super) vocabularies: &'s Vocabularies,
    pub(super) tokens: Option<&'s Tokens>,
}

impl Surroundings<'_> {
    pub(super) fn with_checker<T>(
        &self,
        target: TargetType,
        limits: &Limits,
        check: impl FnOnce(&mut Checker<'_>) -> T,
    ) -> T {
        let mut number = 0_u128;
        // Ids of contained resources take the first eight bytes.
        let mut random = || {
            number += (1 << 64) + 1;
            number.to_be_bytes()
        };
        check(&mut Checker {
            schema: self.schema,
            target,
            vocabularies: self.vocabularies,
            tokens: self.tokens,
            limits,
            hash_key: [7; 16],
            now: Timestamp::from_millis(1_750_000_000_000),
            random: &mut random,
        })
    }

    /// Checks one operation of a bulk request and tells its body.
    pub(super) fn check(&self, target: TargetType, json: &str) -> Checked {
        self.with_checker(target, &Limits::default(), |checker| {
            let mut body = b"before".to_vec();
            let checked = checker.operation(json.as_bytes(), &mut body);
            let body = String::from_utf8(body).unwrap();
            let rest = body.strip_prefix("before").unwrap();
            assert!(checked.is_ok() || rest.is_empty(), "{rest}");
            checked.map(|operation| (operation, rest.to_owned()))
        })
    }
}

pub(super) type Checked = Result<(Operation, String), Rejection>;

/// Checks one operation of a bulk request and tells its body.
pub(super) fn check(target: TargetType, json: &str) -> Checked {
    let surroundings = Surroundings {
        schema: &schema(),
        vocabularies: Vocabularies::none(),
        tokens: None,
    };
    surroundings.check(target, json)
}

pub(super) fn resource(json: &str) -> Checked {
    check(TargetType::Resource, json)
}

pub(super) fn edge(json: &str) -> Checked {
    check(TargetType::Relationship, json)
}

pub(super) fn error(checked: Checked) -> ErrorObject {
    match checked {
        Err(Rejection::Invalid(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Pointer and rule of each fault.
pub(super) fn places(error: &ErrorObject) -> Vec<(&str, &str)> {
    error
        .details
        .iter()
        .map(|d| (d.path.as_deref().unwrap(), d.rule.as_deref().unwrap()))
        .collect()
}

/// Checks that an operation has exactly these faults.
#[track_caller]
pub(super) fn faults(checked: Checked, expected: &[(&str, &str)]) -> ErrorObject {
    let error = error(checked);
    let mut found = places(&error);
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{error:#?}");
    for detail in &error.details {
        let first = detail.message.chars().next().unwrap();
        assert!(
            !first.is_uppercase() && !detail.message.ends_with('.'),
            "{}",
            detail.message
        );
    }
    error
}

/// A create of a provider with this data.
pub(super) fn create(data: &str) -> Checked {
    resource(&format!(
        r#"{{"action":"CREATE","create":{{"type":"provider","data":{data}}}}}"#
    ))
}

//! A source to check against.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use granary_core::check::Checker;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, Schema, StoredDefinition, accept};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;

/// Properties of every simple type and every rule: those that the peer of the check knows.
pub(crate) const PLAIN: &str = r#"{"properties": {
    "name": {"type": "symbol", "rules": [{"required": true}, {"max": 12}]},
    "number": {"type": "integer", "rules": [{"min": -3, "max": 9999999}]},
    "rank": {"type": "integer", "rules": [{"enum": [1, 2, 3]}]},
    "fee": {"type": "decimal", "rules": [{"min": 0.5}, {"max": 1e3}]},
    "grade": {"type": "decimal", "rules": [{"enum": [1.5, 2]}]},
    "status": {"type": "code", "rules": [{"enum": ["active", "on leave"]}]},
    "license": {"type": "symbol", "rules": [{"pattern": "^[A-Z]{2}[0-9]+$"}, {"min": 3, "max": 6}]},
    "active": {"type": "boolean"},
    "born": {"type": "date"},
    "seen": {"type": "datetime"},
    "stamp": {"type": "instant"},
    "opens": {"type": "time"},
    "system": {"type": "uri"},
    "notes": {"type": "markdown"},
    "tags": {"type": "array", "items": {"type": "symbol", "rules": [{"min": 2}]}, "rules": [{"max": 3}]},
    "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    "place": {"type": "object", "properties": {
        "city": {"type": "symbol", "rules": [{"required": true}]},
        "lines": {"type": "array", "items": {"type": "symbol"}}}},
    "phones": {"type": "array", "rules": [{"min": 1}], "items": {"type": "object", "properties": {
        "number": {"type": "symbol", "rules": [{"required": true}]}}}}}}"#;

/// All else: complex types, references, conditions, what is contained.
const PERSON: &str = r#"{"properties": {
    "name": {"type": "symbol"},
    "site": {"type": "url"},
    "page": {"type": "xhtml"},
    "home": {"type": "address"},
    "names": {"type": "array", "items": {"type": "humanname"}},
    "phone": {"type": "contactpoint"},
    "kind": {"type": "coding"},
    "when": {"type": "period"},
    "at": {"type": "geopoint"},
    "photo": {"type": "attachment"},
    "ids": {"type": "array", "items": {"type": "identifier"}},
    "boss": {"type": "reference"},
    "age": {"type": "integer", "rules": [{"min": 18, "when": {"eq": {"name": "a*"}}}]},
    "lines": {"type": "array", "items": {"type": "object", "properties": {
        "code": {"type": "code"},
        "count": {"type": "integer", "rules": [
            {"required": true, "when": {"eq": {"lines[current].code": "x"}}},
            {"max": 3, "when": {"not": {"any": {"lines[current].code": ["x", "y"]}}}}]}}}}},
    "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}, "main": {"types": ["room", "hall"], "cardinality": "0:1"}}}"#;
const ROOM: &str = r#"{"type": "CONTAINED", "properties": {"door": {"type": "integer", "rules": [{"required": true}]}},
    "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}}}"#;
const HALL: &str = r#"{"type": "CONTAINED", "properties": {}, "contained": {"rooms": {"types": ["room"], "cardinality": "1:*"}}}"#;
const KNOWS: &str = r#"{"from": {"profileKey": "person", "includeKey": "knows", "includeCardinality": "0:*"},
    "to": {"profileKey": "plain", "includeKey": "known", "includeCardinality": "0:1"},
    "properties": {"since": {"type": "date"}, "share": {"type": "decimal", "rules": [{"min": 0, "max": 1}]}}}"#;

/// A definition as a store keeps it.
pub(crate) fn stored(kind: DefinitionKind, key: &str, number: u32, json: &str) -> StoredDefinition {
    StoredDefinition {
        kind,
        key: key.parse().expect("a key"),
        number,
        revision: 1,
        json: json.into(),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}

/// Accepts a definition of the key `thing` beside `others`.
pub(crate) fn accepted(
    kind: DefinitionKind,
    json: &[u8],
    others: &[StoredDefinition],
) -> Result<AcceptedDefinition, ErrorObject> {
    static KEY: LazyLock<Key> = LazyLock::new(|| "thing".parse().expect("a key"));
    static VOCABULARIES: LazyLock<BTreeSet<Key>> =
        LazyLock::new(|| ["colours".parse().expect("a key")].into());
    accept(kind, &KEY, json, others, &VOCABULARIES, &LIMITS)
}

/// The definitions of the source.
pub(crate) static DEFINITIONS: LazyLock<Vec<StoredDefinition>> = LazyLock::new(|| {
    use DefinitionKind::{Profile, RelationshipDefinition};
    let all = [
        (Profile, "plain", PLAIN),
        (Profile, "room", ROOM),
        (Profile, "hall", HALL),
        (Profile, "person", PERSON),
        (RelationshipDefinition, "knows", KNOWS),
    ];
    (1..)
        .zip(all)
        .map(|(number, (kind, key, json))| stored(kind, key, number, json))
        .collect()
});

pub(crate) static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::compile(&DEFINITIONS).expect("the definitions compile"));

/// The limits, but for a depth that inputs reach.
pub(crate) static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    json_depth: 12,
    ..Limits::default()
});

/// Hands a checker to `check`. The ids that it makes are all the same.
pub(crate) fn with_checker<T>(
    schema: &Schema,
    target: TargetType,
    check: impl FnOnce(&mut Checker<'_>) -> T,
) -> T {
    check(&mut Checker {
        schema,
        target,
        vocabularies: Vocabularies::none(),
        tokens: None,
        limits: &LIMITS,
        hash_key: [7; 16],
        now: Timestamp::from_millis(1_750_000_000_000),
        random: &mut || [7; 16],
    })
}

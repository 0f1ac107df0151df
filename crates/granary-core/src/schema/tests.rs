//! Definitions beside each other: replacing, deleting, compiling.

use std::collections::BTreeSet;

use super::*;
use crate::limits::Limits;

fn stored(kind: DefinitionKind, key: &str, number: u32, json: &str) -> StoredDefinition {
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

const EDGE: &str = r#"{"from":{"profileKey":"provider","includeKey":"worksAt","includeCardinality":"0:1"},"to":{"profileKey":"clinic","includeKey":"staff","includeCardinality":"1:*"}}"#;

fn source() -> Vec<StoredDefinition> {
    use DefinitionKind::{Profile, RelationshipDefinition};
    vec![
        stored(RelationshipDefinition, "worksAt", 7, EDGE),
        stored(
            Profile,
            "provider",
            3,
            r#"{"properties":{},"contained":{"a":{"types":["home","office"],"cardinality":"0:*"}}}"#,
        ),
        stored(Profile, "office", 4, r#"{"type":"CONTAINED","properties":{}}"#),
        stored(Profile, "clinic", 5, r#"{"properties":{}}"#),
        stored(
            Profile,
            "home",
            6,
            r#"{"type":"CONTAINED","properties":{},"contained":{"in":{"types":["home"],"cardinality":"0:*"}}}"#,
        ),
        // A definition may have the key of a profile.
        stored(
            RelationshipDefinition,
            "clinic",
            8,
            &EDGE.replace("worksAt", "x").replace("staff", "y"),
        ),
    ]
}

fn key(key: &str) -> Key {
    Key::parse(key).unwrap()
}

#[test]
fn types_have_an_index_by_key() {
    let schema = Schema::compile(&source()).unwrap();
    let types: Vec<(&str, u32, bool)> = schema
        .types()
        .iter()
        .map(|t| (t.key.as_str(), t.number, t.edge.is_some()))
        .collect();
    assert_eq!(
        types,
        [
            ("provider", 3, false),
            ("clinic", 5, false),
            ("worksAt", 7, true),
            ("clinic", 8, true)
        ]
    );
    assert_eq!(schema.resource_type("clinic"), Some(1));
    assert_eq!(schema.relationship_type("clinic"), Some(3));
    assert_eq!(schema.resource_type("office"), None);
    assert_eq!(schema.resource_type("worksAt"), None);
    assert_eq!(schema.relationship_type("provider"), None);
    let edge = schema.types()[2].edge.as_ref().unwrap();
    assert_eq!(
        (
            edge.from.profile.as_str(),
            edge.from.number,
            edge.from.at_most_one
        ),
        ("provider", 3, true)
    );
    assert_eq!(
        (edge.to.profile.as_str(), edge.to.number, edge.to.at_most_one),
        ("clinic", 5, false)
    );
    assert!(Schema::compile(&[]).unwrap().types().is_empty());
}

#[test]
fn what_was_never_accepted_does_not_compile() {
    for json in ["", "{}", r#"{"properties":{"a":{"type":"x"}}}"#] {
        let error = Schema::compile(&[stored(DefinitionKind::Profile, "a", 1, json)]).unwrap_err();
        assert_eq!(error.error_type, ErrorType::Internal);
    }
    let without_profiles = &source()[..1];
    assert_eq!(
        Schema::compile(without_profiles).unwrap_err().error_type,
        ErrorType::Internal
    );
}

#[test]
fn a_use_is_named_with_its_place() {
    let used = |name: &str| who_uses(&key(name), &source()).map(|found| found.to_string());
    assert_eq!(
        used("office").unwrap(),
        "profile 'provider' at /contained/a/types/1"
    );
    assert_eq!(
        used("home").unwrap(),
        "profile 'provider' at /contained/a/types/0"
    );
    assert_eq!(
        used("clinic").unwrap(),
        "relationship definition 'worksAt' at /to/profileKey"
    );
    assert_eq!(
        used("provider").unwrap(),
        "relationship definition 'worksAt' at /from/profileKey"
    );
    assert_eq!(used("worksAt"), None);
    // Naming itself is no use by another.
    let alone = &source()[4..5];
    assert_eq!(who_uses(&key("home"), alone), None);
}

#[test]
fn a_replaced_profile_stays_what_others_need() {
    let replace = |name: &str, json: &str| {
        accept(
            DefinitionKind::Profile,
            &key(name),
            json.as_bytes(),
            &source(),
            &BTreeSet::new(),
            &Limits::default(),
        )
    };
    let root = r#"{"properties":{}}"#;
    let contained = r#"{"type":"CONTAINED","properties":{}}"#;
    assert!(replace("provider", root).is_ok());
    assert!(replace("office", contained).is_ok());
    let error = replace("office", root).unwrap_err();
    assert_eq!(
        (error.error_type, error.code, error.details.len()),
        (ErrorType::FailedPrecondition, 400, 1)
    );
    assert_eq!(error.details[0].path.as_deref(), Some("/type"));
    assert!(
        error
            .message
            .contains("profile 'provider' at /contained/a/types/1"),
        "{error}"
    );
    // Every user is named.
    let error = replace("clinic", contained).unwrap_err();
    assert_eq!(
        (error.error_type, error.details.len()),
        (ErrorType::FailedPrecondition, 2)
    );
    // A self reference that no longer holds, and a user.
    let error = replace(
        "home",
        r#"{"properties":{},"contained":{"in":{"types":["home"],"cardinality":"0:1"}}}"#,
    )
    .unwrap_err();
    let mut places: Vec<_> = error.details.iter().map(|d| d.path.as_deref().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/contained/in/types/0", "/type"]);
}

#[test]
fn what_may_not_change_while_records_exist() {
    let source = source();
    let accepted = |kind, name: &str, json: &str, others: &[StoredDefinition]| {
        accept(
            kind,
            &key(name),
            json.as_bytes(),
            others,
            &BTreeSet::new(),
            &Limits::default(),
        )
        .unwrap()
    };
    let alone = stored(DefinitionKind::Profile, "alone", 9, r#"{"properties":{}}"#);
    let same = accepted(
        DefinitionKind::Profile,
        "alone",
        r#"{"type":"ROOT","properties":{"a":{"type":"code"}}}"#,
        &source,
    );
    assert_eq!(same.refused_while_records_exist(&alone), None);
    let other = accepted(
        DefinitionKind::Profile,
        "alone",
        r#"{"type":"CONTAINED","properties":{}}"#,
        &source,
    );
    let error = other.refused_while_records_exist(&alone).unwrap();
    assert_eq!(
        (error.error_type, error.code),
        (ErrorType::FailedPrecondition, 400)
    );
    assert_eq!(error.details[0].path.as_deref(), Some("/type"));

    let edge = accepted(
        DefinitionKind::RelationshipDefinition,
        "worksAt",
        &EDGE.replace("0:1", "0:*"),
        &source,
    );
    assert_eq!(edge.refused_while_records_exist(&source[0]), None);
    let edge = accepted(
        DefinitionKind::RelationshipDefinition,
        "worksAt",
        &EDGE.replace("\"profileKey\":\"clinic\"", "\"profileKey\":\"provider\""),
        &source,
    );
    let error = edge.refused_while_records_exist(&source[0]).unwrap();
    assert_eq!(error.details[0].path.as_deref(), Some("/to/profileKey"));
}

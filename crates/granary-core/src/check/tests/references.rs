//! References, tokens, bindings, and what else is kept in another form than it was sent.

use std::sync::Arc;

use super::helpers::*;
use crate::check::Tokens;
use crate::keys::{Key, ResourceId};
use crate::limits::Limits;
use crate::operation::{Operation, TargetType};
use crate::schema::{DefinitionKind, Schema};
use crate::vocabulary::Vocabularies;

const PERSON: &str = r#"{
    "properties": {
        "boss": {"type": "reference"},
        "seen": {"type": "array", "items": {"type": "reference", "properties": {"type": {"rules": [{"enum": ["person"]}]}}}},
        "count": {"type": "integer"},
        "language": {"type": "code", "binding": {"vocabulary": {"key": "languages", "strength": "required"}}},
        "role": {"type": "coding", "binding": {"vocabulary": {"key": "roles", "strength": "required"}}},
        "hobby": {"type": "code", "binding": {"vocabulary": {"key": "hobbies", "strength": "preferred"}}}
    },
    "contained": {"notes": {"types": ["note"], "cardinality": "0:*"}}
}"#;
const NOTE: &str = r#"{"type": "CONTAINED", "properties": {"about": {"type": "reference"}}}"#;
const KNOWS: &str = r#"{"from": {"profileKey": "person", "includeKey": "knows", "includeCardinality": "0:*"},
    "to": {"profileKey": "person", "includeKey": "knownBy", "includeCardinality": "0:*"},
    "properties": {"through": {"type": "reference"}}}"#;

fn check_with(target: TargetType, tokens: Option<&Tokens>, json: &str) -> Checked {
    let schema = Schema::compile(&[
        stored(DefinitionKind::Profile, "person", 1, PERSON),
        stored(DefinitionKind::Profile, "note", 2, NOTE),
        stored(DefinitionKind::RelationshipDefinition, "knows", 3, KNOWS),
    ])
    .unwrap();
    let languages = ["de", "en"].into_iter().collect();
    let vocabularies: Vocabularies = [(Key::parse("languages").unwrap(), Arc::new(languages))]
        .into_iter()
        .collect();
    let surroundings = Surroundings {
        schema: &schema,
        vocabularies: &vocabularies,
        tokens,
    };
    surroundings.check(target, json)
}

fn person(payload: &str) -> Checked {
    check_with(
        TargetType::Resource,
        None,
        &format!(r#"{{"action":"CREATE","create":{{"type":"person",{payload}}}}}"#),
    )
}

fn passed(checked: Checked) -> (Operation, String) {
    checked.unwrap()
}

fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).unwrap()
}

#[test]
fn a_reference_names_a_type_and_an_id() {
    let sent = r#"{"boss":{"type":"person","id":"nobody"}}"#;
    let (_, body) = passed(person(&format!(r#""data":{sent}"#)));
    assert_eq!(body, format!(r#"{{"data":{sent}}}"#));
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("{}", &[("/type", "required"), ("/id", "required")]),
        (r#"{"type":"person"}"#, &[("/id", "required")]),
        (r#"{"type":"pesron","id":"ab"}"#, &[("/type", "type")]),
        (r#"{"type":"note","id":"ab"}"#, &[("/type", "type")]),
        (r#"{"type":"knows","id":"ab"}"#, &[("/type", "type")]),
        (r#"{"type":"a b","id":"a"}"#, &[("/type", "type"), ("/id", "id")]),
        (r#"{"type":1,"id":2}"#, &[("/type", "type"), ("/id", "type")]),
        (r#"{"type":"person","id":""}"#, &[("/id", "id")]),
        (r#"{"type":"person","id":"\ud800"}"#, &[("/id", "type")]),
        (r#"{"type":"person","id":"@rootId1"}"#, &[("/id", "id")]),
        (r#"{"type":"person","id":"@rootid"}"#, &[("/id", "id")]),
        (r#"{"type":"person","id":"ab","x":1}"#, &[("/x", "unknown")]),
        (r#""person/ab""#, &[("", "type")]),
    ];
    for (boss, expected) in cases {
        let expected: Vec<(String, &str)> = expected
            .iter()
            .map(|(path, rule)| (format!("/create/data/boss{path}"), *rule))
            .collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|(path, rule)| (&**path, *rule)).collect();
        faults(person(&format!(r#""data":{{"boss":{boss}}}"#)), &expected);
    }
    let error = faults(
        person(r#""data":{"boss":{"type":"pesron","id":"ab"}}"#),
        &[("/create/data/boss/type", "type")],
    );
    assert!(error.message.ends_with("did you mean 'person'?"), "{error}");
    let error = faults(
        person(r#""data":{"seen":[{"type":"note","id":"ab"}]}"#),
        &[("/create/data/seen/0/type", "type")],
    );
    assert!(error.message.contains("CONTAINED"), "{error}");
}

#[test]
fn a_create_may_refer_to_itself() {
    let data = |id: &str| format!(r#"{{"boss":{{"type":"person","id":"{id}"}},"count":1}}"#);
    let sent = data("@rootId");
    // The id may come before the data or after it, and need not be there.
    for payload in [
        format!(r#""id":"ann-1","data":{sent}"#),
        format!(r#""data": {sent} , "id" : "ann-1""#),
        format!(
            r#""data":{},"id":"ann-1""#,
            sent.replace('@', r"\u0040").replace(':', " : ")
        ),
    ] {
        let (operation, body) = passed(person(&payload));
        assert_eq!(body, format!(r#"{{"data":{}}}"#, data("ann-1")), "{payload}");
        assert_eq!(operation.id.to_string(), "ann-1");
        let (other, _) = passed(person(&format!(r#""id":"ann-1","data":{}"#, data("ann-1"))));
        assert_eq!(other.hash, operation.hash, "it counts as replaced");
    }
    let (operation, body) = passed(person(&format!(r#""data":{sent}"#)));
    assert_eq!(body, format!(r#"{{"data":{}}}"#, data(&operation.id.to_string())));
    let twice = r#""contained":{"notes":[{"type":"note","data":{"about":{"id":"@rootId","type":"person"}}},
        {"id":"n2","type":"note","data":{"about":{"id":"@rootId","type":"person"}}}]},"data":{"seen":[{"id":"@rootId","type":"person"}]}"#;
    let (operation, body) = passed(person(twice));
    assert_eq!(
        body.matches(&format!(r#"{{"id":"{}","type""#, operation.id))
            .count(),
        3
    );
    assert!(body.starts_with(r#"{"data":{"seen":[{"id":""#), "{body}");
    // What is wrong elsewhere is told there.
    faults(
        person(&format!(r#""data":{sent},"id":"a""#)),
        &[("/create/id", "id")],
    );
    let upsert = format!(r#"{{"action":"UPSERT","upsert":{{"type":"person","id":"ann-1","data":{sent}}}}}"#);
    faults(
        check_with(TargetType::Resource, None, &upsert),
        &[("/upsert/data/boss/id", "id")],
    );
    let edge = r#"{"action":"CREATE","create":{"type":"knows","from":{"type":"person","id":"@rootId"},"to":{"type":"person","id":"bob"},"data":{"through":{"type":"person","id":"@rootId"}}}}"#;
    faults(
        check_with(TargetType::Relationship, None, edge),
        &[("/create/from/id", "id"), ("/create/data/through/id", "id")],
    );
    faults(person(r#""id":"@rootId","data":{}"#), &[("/create/id", "id")]);
}

#[test]
fn a_single_create_may_refer_to_itself() {
    let schema = Schema::compile(&[stored(
        DefinitionKind::Profile,
        "person",
        1,
        r#"{"properties":{"boss":{"type":"reference"}}}"#,
    )])
    .unwrap();
    let surroundings = Surroundings {
        schema: &schema,
        vocabularies: Vocabularies::none(),
        tokens: None,
    };
    surroundings.with_checker(TargetType::Resource, &Limits::default(), |checker| {
        let mut body = Vec::new();
        let json = br#"{"data":{"boss":{"type":"person","id":"@rootId"}},"id":"ann"}"#;
        checker
            .resource(0, crate::operation::Action::Create, None, json, &mut body)
            .unwrap();
        assert_eq!(body, br#"{"data":{"boss":{"type":"person","id":"ann"}}}"#);
    });
}

#[test]
fn tokens_of_a_bundle_stand_for_its_creates() {
    let mut tokens = Tokens::default();
    assert!(tokens.insert("@rootId1", id("first")));
    assert!(tokens.insert("@rootId2", id("second")));
    assert!(!tokens.insert("@rootId2", id("third")));
    assert!(!tokens.insert("third", id("third")));
    let with = |json: &str| check_with(TargetType::Resource, Some(&tokens), json);
    let create = |payload: &str| {
        with(&format!(
            r#"{{"action":"CREATE","create":{{"type":"person",{payload}}}}}"#
        ))
    };
    let (operation, body) = passed(create(
        r#""data":{"boss":{"type":"person","id":"@rootId2"},"seen":[{"type":"person","id":"@rootId1"}]},"id":"@rootId1""#,
    ));
    assert_eq!(operation.id.to_string(), "first");
    assert_eq!(
        body,
        r#"{"data":{"boss":{"type":"person","id":"second"},"seen":[{"type":"person","id":"first"}]}}"#
    );
    // The plain token that no create takes is the record itself.
    let (_, body) = passed(create(
        r#""data":{"boss":{"type":"person","id":"@rootId"}},"id":"@rootId1""#,
    ));
    assert_eq!(body, r#"{"data":{"boss":{"type":"person","id":"first"}}}"#);
    let error = faults(
        create(r#""data":{"boss":{"type":"person","id":"@rootId11"}},"id":"@rootId9""#),
        &[("/create/data/boss/id", "id"), ("/create/id", "id")],
    );
    assert!(error.details[0].message.contains("@rootId1"), "{error}");
    let upsert = r#"{"action":"UPSERT","upsert":{"type":"person","id":"ann","data":{"boss":{"type":"person","id":"@rootId1"}}}}"#;
    let (_, body) = passed(with(upsert));
    assert_eq!(body, r#"{"data":{"boss":{"type":"person","id":"first"}}}"#);
    faults(
        with(&upsert.replace("\"ann\"", "\"@rootId1\"")),
        &[("/upsert/id", "id")],
    );

    let edge = r#"{"action":"CREATE","create":{"type":"knows","from":{"type":"person","id":"@rootId1"},"to":{"type":"person","id":"bob"},"data":{"through":{"type":"person","id":"@rootId2"}}}}"#;
    let with = |json: &str| check_with(TargetType::Relationship, Some(&tokens), json);
    let (operation, body) = passed(with(edge));
    assert_eq!(operation.id.to_string(), "first.bob");
    assert_eq!(body, r#"{"data":{"through":{"type":"person","id":"second"}}}"#);
    faults(
        with(&edge.replace("\"@rootId1\"", "\"@rootId\"")),
        &[("/create/from/id", "id")],
    );
    let none = Tokens::default();
    let error = faults(
        check_with(TargetType::Relationship, Some(&none), edge),
        &[("/create/from/id", "id"), ("/create/data/through/id", "id")],
    );
    assert!(error.details[0].message.contains("no create"), "{error}");
}

#[test]
fn a_code_that_is_bound_is_of_its_vocabulary() {
    assert!(person(r#""data":{"language":"de","hobby":"chess"}"#).is_ok());
    let error = faults(
        person(r#""data":{"language":"DE"}"#),
        &[("/create/data/language", "binding")],
    );
    assert_eq!(
        error.details[0].message,
        "'DE' is not a code of the vocabulary 'languages'"
    );
    // A code of a vocabulary that is gone.
    let error = faults(
        person(r#""data":{"role":{"code":"boss"},"language":"fr "}"#),
        &[
            ("/create/data/role/code", "binding"),
            ("/create/data/language", "type"),
        ],
    );
    assert!(error.message.contains("'roles'"), "{error}");
    assert!(person(r#""data":{"role":{"display":"Boss"},"language":null}"#).is_ok());
}

#[test]
fn minus_zero_is_kept_as_zero() {
    let (operation, body) = passed(person(r#""id":"ab","data":{"count": -0 }"#));
    assert_eq!(body, r#"{"data":{"count":0}}"#);
    let (other, _) = passed(person(r#""id":"ab","data":{"count":0}"#));
    assert_eq!(operation.hash, other.hash);
}

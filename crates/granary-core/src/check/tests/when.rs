//! Rules that apply only where their condition holds.

use super::helpers::*;
use crate::operation::TargetType;
use crate::schema::{DefinitionKind, Schema};
use crate::vocabulary::Vocabularies;

const PERSON: &str = r#"{
    "properties": {
        "kind": {"type": "code"},
        "name": {"type": "symbol"},
        "count": {"type": "integer"},
        "fee": {"type": "decimal"},
        "active": {"type": "boolean"},
        "born": {"type": "date"},
        "seen": {"type": "datetime"},
        "opens": {"type": "time"},
        "address": {"type": "address"},
        "tags": {"type": "array", "items": {"type": "symbol"}},
        "phones": {"type": "array", "items": {"type": "contactpoint"}},
        "v": {"type": "symbol", "rules": [{"required": true, "max": 3, "when": WHEN}]}
    },
    "contained": {"notes": {"types": ["note"], "cardinality": "0:*"}}
}"#;
const NOTE: &str = r#"{"type": "CONTAINED", "properties": {
    "kind": {"type": "code"},
    "text": {"type": "symbol", "rules": [{"required": true, "when": {"eq": {"kind": "long"}}}]}}}"#;
const KNOWS: &str = r#"{"from": {"profileKey": "person", "includeKey": "knows", "includeCardinality": "0:*"},
    "to": {"profileKey": "person", "includeKey": "knownBy", "includeCardinality": "0:*"},
    "properties": {"since": {"type": "date", "rules": [{"required": true, "when": {"not": {"eq": {"why": "family"}}}}]},
        "why": {"type": "symbol"}}}"#;

fn check_by(target: TargetType, person: &str, json: &str) -> Checked {
    let schema = Schema::compile(&[
        stored(DefinitionKind::Profile, "person", 1, person),
        stored(DefinitionKind::Profile, "note", 2, NOTE),
        stored(DefinitionKind::RelationshipDefinition, "knows", 3, KNOWS),
    ])
    .unwrap();
    let surroundings = Surroundings {
        schema: &schema,
        vocabularies: Vocabularies::none(),
        tokens: None,
    };
    surroundings.check(target, json)
}

fn person(profile: &str, data: &str) -> Checked {
    let json = format!(r#"{{"action":"CREATE","create":{{"type":"person","data":{data}}}}}"#);
    check_by(TargetType::Resource, profile, &json)
}

/// Whether the condition holds in this data, which must have no `v`.
#[track_caller]
fn holds(when: &str, data: &str) -> bool {
    let profile = PERSON.replace("WHEN", when);
    match person(&profile, data) {
        Ok(_) => false,
        refused => {
            faults(refused, &[("/create/data/v", "required")]);
            true
        }
    }
}

#[test]
fn conditions_by_operator() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            r#"{"eq":{"name":"Ann Lee"}}"#,
            &[r#"{"name":"ann LEE"}"#, r#"{"name":"\u0041nn Lee"}"#],
            &[
                "{}",
                r#"{"name":"Ann"}"#,
                r#"{"name":null}"#,
                r#"{"name":"Ann Leer"}"#,
            ],
        ),
        (
            r#"{"eq":{"kind":"a"}}"#,
            &[r#"{"kind":"a"}"#],
            &[r#"{"kind":"A"}"#, r#"{"kind":"a b"}"#],
        ),
        (
            r#"{"eq":{"name":"*"}}"#,
            &[r#"{"name":""}"#, r#"{"name":"x"}"#],
            &["{}", r#"{"name":null}"#],
        ),
        (
            r#"{"eq":{"name":"a*B"}}"#,
            &[r#"{"name":"AB"}"#, r#"{"name":"a and b"}"#],
            &[r#"{"name":"a"}"#, r#"{"name":"xab"}"#],
        ),
        (
            r#"{"eq":{"kind":"a-*"}}"#,
            &[r#"{"kind":"a-1"}"#],
            &[r#"{"kind":"A-1"}"#],
        ),
        (
            r#"{"eq":{"count":3}}"#,
            &[r#"{"count":3}"#],
            &[r#"{"count":4}"#, r#"{"count":-3}"#],
        ),
        (
            r#"{"lt":{"count":3}}"#,
            &[r#"{"count":3}"#, r#"{"count":-9}"#],
            &[r#"{"count":4}"#, "{}"],
        ),
        (
            r#"{"gt":{"fee":1.50}}"#,
            &[r#"{"fee":1.5}"#, r#"{"fee":15e2}"#],
            &[r#"{"fee":1.49999}"#, r#"{"fee":-2}"#],
        ),
        (
            r#"{"eq":{"fee":1.5}}"#,
            &[r#"{"fee":1.500}"#, r#"{"fee":15e-1}"#],
            &[r#"{"fee":1.51}"#],
        ),
        (
            r#"{"eq":{"active":false}}"#,
            &[r#"{"active":false}"#],
            &[r#"{"active":true}"#, "{}"],
        ),
        (
            r#"{"gt":{"born":"2000-02"}}"#,
            &[
                r#"{"born":"2000-02-01"}"#,
                r#"{"born":"2000"}"#,
                r#"{"born":"2001"}"#,
            ],
            &[r#"{"born":"2000-01-31"}"#, r#"{"born":"1999"}"#],
        ),
        (
            r#"{"lt":{"seen":"2024-05-05T10:00:00Z"}}"#,
            &[
                r#"{"seen":"2024-05-05T12:00:00+02:00"}"#,
                r#"{"seen":"2024-05-05"}"#,
            ],
            &[
                r#"{"seen":"2024-05-05T10:00:00.001Z"}"#,
                r#"{"seen":"2024-05-06"}"#,
            ],
        ),
        (
            r#"{"eq":{"seen":"2024-05-05T10:00:00Z"}}"#,
            &[r#"{"seen":"2024-05-05T12:00:00.0+02:00"}"#],
            &[r#"{"seen":"2024-05-05"}"#],
        ),
        (
            r#"{"gt":{"opens":"08:30:00"}}"#,
            &[r#"{"opens":"08:30:00.000"}"#, r#"{"opens":"09:00:00"}"#],
            &[r#"{"opens":"08:29:59.9"}"#],
        ),
        (
            r#"{"any":{"kind":["a","b*"]}}"#,
            &[r#"{"kind":"a"}"#, r#"{"kind":"bx"}"#],
            &[r#"{"kind":"c"}"#, "{}"],
        ),
        (
            r#"{"any":{"tags":["a","b"]}}"#,
            &[r#"{"tags":["x","B"]}"#],
            &[r#"{"tags":["x"]}"#, r#"{"tags":[]}"#],
        ),
        (
            r#"{"all":{"tags":["a","b"]}}"#,
            &[r#"{"tags":["b","x","A"]}"#],
            &[r#"{"tags":["a","x"]}"#, r#"{"tags":[]}"#, "{}"],
        ),
        (
            r#"{"eq":{"tags":"*"}}"#,
            &[r#"{"tags":[""]}"#],
            &[r#"{"tags":[]}"#, "{}"],
        ),
        (
            r#"{"not":{"eq":{"tags":"a"}}}"#,
            &["{}", r#"{"tags":["b"]}"#],
            &[r#"{"tags":["b","a"]}"#],
        ),
        (
            r#"{"and":[{"eq":{"kind":"a"}},{"eq":{"count":1}}]}"#,
            &[r#"{"kind":"a","count":1}"#],
            &[r#"{"kind":"a"}"#, r#"{"count":1}"#, "{}"],
        ),
        (
            r#"{"or":[{"eq":{"kind":"a"}},{"eq":{"count":1}}]}"#,
            &[r#"{"kind":"a"}"#, r#"{"count":1}"#],
            &["{}", r#"{"kind":"b","count":2}"#],
        ),
        (
            r#"{"eq":{"address.city":"Bern"}}"#,
            &[r#"{"address":{"line":["x"],"city":"bern"}}"#],
            &[
                r#"{"address":{}}"#,
                r#"{"address":null}"#,
                r#"{"address":{"state":"Bern"}}"#,
            ],
        ),
        (r#"{"eq":{"address":"*"}}"#, &[r#"{"address":{}}"#], &["{}"]),
        (
            r#"{"eq":{"phones.system":"email"}}"#,
            &[r#"{"phones":[{"system":"fax"},{"system":"email"}]}"#],
            &[r#"{"phones":[{"system":"fax"}]}"#],
        ),
        (
            r#"{"gt":{"address.period.start":"2020"}}"#,
            &[r#"{"address":{"period":{"start":"2021"}}}"#],
            &[r#"{"address":{"period":{"end":"2021"}}}"#],
        ),
    ];
    for (when, yes, no) in cases {
        for data in *yes {
            assert!(holds(when, data), "{when} {data}");
        }
        for data in *no {
            assert!(!holds(when, data), "{when} {data}");
        }
    }
}

#[test]
fn rules_apply_only_where_their_condition_holds() {
    let profile = PERSON.replace("WHEN", r#"{"eq":{"kind":"short"}}"#);
    assert!(person(&profile, r#"{"v":"long text","kind":"other"}"#).is_ok());
    assert!(person(&profile, r#"{"v":"abc","kind":"short"}"#).is_ok());
    // Whatever comes first, and beside other faults.
    faults(
        person(&profile, r#"{"v": "abcd", "kind" : "short" }"#),
        &[("/create/data/v", "max")],
    );
    faults(
        person(&profile, r#"{"kind":"short","v":null,"x":1}"#),
        &[("/create/data/v", "required"), ("/create/data/x", "unknown")],
    );
    faults(
        person(&profile, r#"{"kind":"short","v":1}"#),
        &[("/create/data/v", "type")],
    );
}

#[test]
fn the_element_that_the_rule_is_on() {
    let profile = r#"{"properties": {
        "strict": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "symbol", "rules": [{"min": 3, "when": {"eq": {"tags[current]": "x*"}}}]}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {
            "note": {"type": "symbol", "rules": [
                {"required": true, "when": {"and": [{"eq": {"lines[current].code": "a"}}, {"eq": {"strict": true}}]}},
                {"max": 2, "when": {"eq": {"lines[current].parts.size": 9}}}]},
            "code": {"type": "code"},
            "parts": {"type": "array", "items": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "unit": {"type": "code", "rules": [{"required": true, "when": {"and": [
                    {"gt": {"lines[current].parts[current].size": 5}},
                    {"not": {"eq": {"lines[current].code": "free"}}},
                    {"eq": {"lines.code": "a"}}]}}]}}}}
        }}}
    }}"#;
    faults(
        person(
            profile,
            r#"{"lines":[{"code":"b"},{"code":"a"},{"note":"n","code":"a"},{"code":"a","note":null}],"strict":true}"#,
        ),
        &[
            ("/create/data/lines/1/note", "required"),
            ("/create/data/lines/3/note", "required"),
        ],
    );
    assert!(person(profile, r#"{"lines":[{"code":"a"}],"strict":false}"#).is_ok());
    faults(
        person(
            profile,
            r#"{"lines":[{"note":"long","parts":[{"size":1},{"size":9,"unit":"m"}]},{"note":"long","parts":[]}]}"#,
        ),
        &[("/create/data/lines/0/note", "max")],
    );
    faults(
        person(
            profile,
            r#"{"lines":[{"parts":[{"size":9},{"size":5},{"size":4},{"unit":"m","size":8}]},{"code":"free","parts":[{"size":9}]},{"code":"a"}]}"#,
        ),
        &[
            ("/create/data/lines/0/parts/0/unit", "required"),
            ("/create/data/lines/0/parts/1/unit", "required"),
        ],
    );
    // No line has the code `a`.
    assert!(person(profile, r#"{"lines":[{"parts":[{"size":8}]}]}"#).is_ok());
    faults(
        person(profile, r#"{"tags":["ab","x","xyz","X"]}"#),
        &[("/create/data/tags/1", "min"), ("/create/data/tags/3", "min")],
    );
}

#[test]
fn the_number_of_elements_and_enums_and_patterns() {
    let profile = r#"{"properties": {
        "kind": {"type": "code"},
        "tags": {"type": "array", "items": {"type": "symbol"}, "rules": [{"required": true, "min": 1, "when": {"eq": {"kind": "a"}}}]},
        "fee": {"type": "decimal", "rules": [{"enum": [1.0, 2], "when": {"eq": {"kind": "a"}}}]},
        "count": {"type": "integer", "rules": [{"min": 5, "when": {"eq": {"kind": "a"}}}]},
        "name": {"type": "symbol", "rules": [{"pattern": "^A", "when": {"eq": {"kind": "a"}}}]}
    }}"#;
    assert!(person(profile, r#"{"tags":[],"fee":3,"count":1,"name":"b"}"#).is_ok());
    assert!(
        person(
            profile,
            r#"{"kind":"a","tags":["x"],"fee":1,"count":5,"name":"Ab"}"#
        )
        .is_ok()
    );
    faults(
        person(profile, r#"{"kind":"a","tags":[],"fee":3,"count":1,"name":"b"}"#),
        &[
            ("/create/data/tags", "min"),
            ("/create/data/fee", "enum"),
            ("/create/data/count", "min"),
            ("/create/data/name", "pattern"),
        ],
    );
    faults(
        person(profile, r#"{"kind":"a"}"#),
        &[("/create/data/tags", "required")],
    );
}

#[test]
fn contained_resources_and_edges_have_their_own_data() {
    let profile = PERSON.replace("WHEN", r#"{"eq":{"kind":"a"}}"#);
    let json = r#"{"action":"CREATE","create":{"type":"person","data":{"kind":"long"},"contained":{"notes":[
        {"type":"note","data":{"kind":"short"}}, {"data":{"kind": "long"},"type":"note"}, {"type":"note","data":{"kind":"long","text":"x"}}]}}}"#;
    faults(
        check_by(TargetType::Resource, &profile, json),
        &[("/create/contained/notes/1/data/text", "required")],
    );
    let edge = |data: &str| {
        let json = format!(
            r#"{{"action":"CREATE","create":{{"type":"knows","from":{{"type":"person","id":"ab"}},"to":{{"type":"person","id":"cd"}}{data}}}}}"#
        );
        check_by(TargetType::Relationship, &profile, &json)
    };
    assert!(edge(r#","data":{"why":"family"}"#).is_ok());
    assert!(edge(r#","data":{"since":"2020"}"#).is_ok());
    faults(edge(r#","data":{}"#), &[("/create/data/since", "required")]);
    faults(edge(""), &[("/create/data/since", "required")]);
    let delete = r#"{"action":"DELETE","delete":{"type":"knows","id":"ab.cd"}}"#;
    assert!(check_by(TargetType::Relationship, &profile, delete).is_ok());
}

#[test]
fn what_is_kept_is_what_was_sent() {
    let profile = PERSON.replace("WHEN", r#"{"eq":{"kind":"a"}}"#);
    let (_, body) = person(&profile, r#" { "v" : "x" , "tags" : [ "a" , "b" ] } "#).unwrap();
    assert_eq!(body, r#"{"data":{"v":"x","tags":["a","b"]}}"#);
}

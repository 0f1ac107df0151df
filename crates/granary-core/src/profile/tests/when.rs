//! Conditions that make sense, and every fault of those that do not.

use super::*;

const PROPERTIES: &str = r#"
    "name": {"type": "symbol"},
    "kind": {"type": "code"},
    "site": {"type": "url"},
    "count": {"type": "integer"},
    "fee": {"type": "decimal"},
    "active": {"type": "boolean"},
    "born": {"type": "date"},
    "opens": {"type": "time"},
    "address": {"type": "address"},
    "tags": {"type": "array", "items": {"type": "symbol"}},
    "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    "lines": {"type": "array", "items": {"type": "object", "properties": {
        "code": {"type": "code"},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer"}}}}
    }}}"#;

/// Puts a profile whose property `v` is required on this condition.
fn put_when(when: &str) -> Result<String, ErrorObject> {
    profile(&format!(
        r#"{{"properties":{{{PROPERTIES},"v":{{"type":"symbol","rules":[{{"required":true,"when":{when}}}]}}}}}}"#
    ))
}

#[track_caller]
fn refused(when: &str, expected: &[&str]) -> ErrorObject {
    let expected: Vec<String> = expected
        .iter()
        .map(|path| format!("/properties/v/rules/0/when{path}"))
        .collect();
    let error = put_when(when).expect_err(when);
    let mut found: Vec<&str> = error.details.iter().map(|d| d.path.as_deref().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{error:#?}");
    error
}

#[test]
fn conditions_that_make_sense() {
    for good in [
        r#"{"eq":{"name":"Ann"}}"#,
        r#"{"eq":{"name":"*"}}"#,
        r#"{"eq":{"kind":"a*"}}"#,
        r#"{"eq":{"site":"https://*"}}"#,
        r#"{"eq":{"count":-0}}"#,
        r#"{"eq":{"count":"*"}}"#,
        r#"{"eq":{"active":false}}"#,
        r#"{"eq":{"address":"*"}}"#,
        r#"{"eq":{"address.city":"Bern"}}"#,
        r#"{"eq":{"address.line":"*"}}"#,
        r#"{"gt":{"address.period.start":"2024"}}"#,
        r#"{"lt":{"fee":1.50}}"#,
        r#"{"gt":{"born":"2000-02-29"}}"#,
        r#"{"lt":{"opens":"12:00:00"}}"#,
        r#"{"any":{"kind":["a","b*"]}}"#,
        r#"{"all":{"tags":["a","b"]}}"#,
        r#"{"eq":{"matrix":3}}"#,
        r#"{"eq":{"lines.code":"x"}}"#,
        r#"{"eq":{"lines.parts.size":3}}"#,
        r#"{"eq":{"lines":"*"}}"#,
        r#"{"not":{"eq":{"v":"*"}}}"#,
        r#"{"and":[{"eq":{"name":"a"}},{"or":[{"lt":{"count":1}},{"not":{"eq":{"kind":"b"}}}]}]}"#,
    ] {
        put_when(good).unwrap_or_else(|error| panic!("{good}: {error:?}"));
    }
}

#[test]
fn conditions_that_make_no_sense() {
    refused("1", &[""]);
    refused("[]", &[""]);
    refused("{}", &[""]);
    refused(r#"{"eq":{"name":"a"},"lt":{"count":1}}"#, &[""]);
    refused(r#"{"equals":{"name":"a"}}"#, &["/equals"]);
    refused(r#"{"eq":1}"#, &["/eq"]);
    refused(r#"{"eq":{}}"#, &["/eq"]);
    refused(r#"{"eq":{"name":"a","kind":"b"}}"#, &["/eq"]);
    refused(
        r#"{"eq":{"path":"name","value":"b"}}"#,
        &["/eq", "/eq/path", "/eq/value"],
    );
    refused(r#"{"eq":{"name":null}}"#, &["/eq/name"]);
    refused(r#"{"eq":{"name":1}}"#, &["/eq/name"]);
    refused(r#"{"eq":{"kind":" a"}}"#, &["/eq/kind"]);
    refused(r#"{"eq":{"count":"3"}}"#, &["/eq/count"]);
    refused(r#"{"eq":{"count":1.0}}"#, &["/eq/count"]);
    refused(r#"{"eq":{"active":"true"}}"#, &["/eq/active"]);
    refused(r#"{"eq":{"born":"2023-02-29"}}"#, &["/eq/born"]);
    refused(r#"{"eq":{"born":"2023-*"}}"#, &["/eq/born"]);
    refused(r#"{"eq":{"address":"Bern"}}"#, &["/eq/address"]);
    refused(r#"{"eq":{"address.town":"Bern"}}"#, &["/eq/address.town"]);
    refused(r#"{"eq":{"name.first":"a"}}"#, &["/eq/name.first"]);
    refused(r#"{"eq":{"tags.first":"a"}}"#, &["/eq/tags.first"]);
    refused(r#"{"eq":{"":"a"}}"#, &["/eq/"]);
    refused(r#"{"eq":{"address.":"a"}}"#, &["/eq/address."]);
    refused(r#"{"eq":{"data.name":"a"}}"#, &["/eq/data.name"]);
    refused(r#"{"lt":{"name":"a"}}"#, &["/lt/name"]);
    refused(r#"{"gt":{"active":true}}"#, &["/gt/active"]);
    refused(r#"{"gt":{"count":"*"}}"#, &["/gt/count"]);
    refused(r#"{"any":{"kind":"a"}}"#, &["/any/kind"]);
    refused(r#"{"any":{"kind":[]}}"#, &["/any/kind"]);
    refused(
        r#"{"all":{"tags":["a",1,null]}}"#,
        &["/all/tags/1", "/all/tags/2"],
    );
    refused(r#"{"and":[]}"#, &["/and"]);
    refused(r#"{"or":{"eq":{"name":"a"}}}"#, &["/or"]);
    refused(r#"{"not":[{"eq":{"name":"a"}}]}"#, &["/not"]);
    refused(
        r#"{"and":[{"eq":{"nam":"a"}},{"or":[{"lt":{"count":"1"}},3]}]}"#,
        &["/and/0/eq/nam", "/and/1/or/0/lt/count", "/and/1/or/1"],
    );
    let error = refused(r#"{"eq":{"addres.city":"a"}}"#, &["/eq/addres.city"]);
    assert!(error.message.ends_with("did you mean 'address'?"), "{error}");
    let error = refused(r#"{"eql":{"name":"a"}}"#, &["/eql"]);
    assert!(error.message.ends_with("did you mean 'eq'?"), "{error}");
}

#[test]
fn current_names_an_element_that_the_rule_is_in() {
    let lines = |size_rules: &str, code_rules: &str, tags_rules: &str| {
        profile(&format!(
            r#"{{"properties":{{"kind":{{"type":"code"}},
            "tags":{{"type":"array","items":{{"type":"symbol","rules":[{tags_rules}]}}}},
            "lines":{{"type":"array","items":{{"type":"object","properties":{{
                "code":{{"type":"code","rules":[{code_rules}]}},
                "tags":{{"type":"array","items":{{"type":"symbol"}}}},
                "parts":{{"type":"array","items":{{"type":"object","properties":{{
                    "size":{{"type":"integer","rules":[{size_rules}]}}}}}}}}}}}}}}}}}}"#
        ))
    };
    let rule = |path: &str, value: &str| format!(r#"{{"min":1,"when":{{"eq":{{"{path}":{value}}}}}}}"#);
    for (path, value) in [
        ("lines[current].code", "\"a\""),
        ("lines[current].tags", "\"a\""),
        ("lines.code", "\"a\""),
        ("lines[current].parts[current].size", "1"),
        ("lines[current].parts.size", "1"),
        ("lines[current]", "\"*\""),
        ("lines[current].parts[current]", "\"*\""),
        ("kind", "\"a\""),
    ] {
        assert!(lines(&rule(path, value), "", "").is_ok(), "{path}");
    }
    assert!(lines("", "", &rule("tags[current]", "\"a\"")).is_ok());
    let refused = |put: Result<String, ErrorObject>, path: &str, hint: &str| {
        let error = put.expect_err(path);
        assert_eq!(error.details.len(), 1, "{path}: {error:#?}");
        assert_eq!(error.details[0].rule.as_deref(), Some("when"), "{path}");
        assert!(error.message.contains(hint), "{path}: {error}");
    };
    for (path, hint) in [
        ("lines.parts[current].size", "needs [current] too"),
        ("tags[current]", "not inside an element"),
        ("lines[current].tags[current]", "not inside an element"),
        ("kind[current]", "not an array"),
        ("lines[current][current].code", "not an array"),
        ("lines[0].code", "not a property"),
        ("lines[current]x.code", "not a property"),
        ("lines[currant].code", "not a property"),
    ] {
        refused(lines(&rule(path, "\"a\""), "", ""), path, hint);
    }
    refused(
        lines("", &rule("lines[current].parts[current].size", "1"), ""),
        "from outside",
        "not inside an element",
    );
    // A rule on the array itself is not inside it.
    let outside = r#"{"properties":{"tags":{"type":"array","items":{"type":"symbol"},"rules":[{"min":1,"when":{"eq":{"tags[current]":"a"}}}]}}}"#;
    refused(profile(outside), "the array", "not inside an element");
}

#[test]
fn conditional_rules_are_judged_with_those_that_always_hold() {
    let rules = |rules: &str| {
        profile(&format!(
            r#"{{"properties":{{"v":{{"type":"integer","rules":[{rules}]}}}}}}"#
        ))
    };
    let when = r#""when":{"gt":{"v":0}}"#;
    assert!(rules(&format!(r#"{{"max":9}},{{"min":5,{when}}},{{"max":4,{when}}}"#)).is_ok());
    faults(
        rules(&format!(r#"{{"max":4}},{{"min":5,{when}}}"#)),
        &[("/properties/v/rules/1/min", "min")],
    );
    faults(
        rules(&format!(r#"{{"min":5}},{{"max":4,{when}}}"#)),
        &[("/properties/v/rules/1/max", "max")],
    );
    faults(
        rules(&format!(r#"{{"min":5,"max":4,{when}}}"#)),
        &[("/properties/v/rules/0/min", "min")],
    );
    faults(
        rules(&format!(
            r#"{{"min":5}},{{"enum":[4,6],"pattern":"a","required":1,"mim":1,{when}}}"#
        )),
        &[
            ("/properties/v/rules/1/enum/0", "enum"),
            ("/properties/v/rules/1/pattern", "pattern"),
            ("/properties/v/rules/1/required", "type"),
            ("/properties/v/rules/1/mim", "unknown"),
        ],
    );
    // Told once, where it stands.
    faults(
        rules(&format!(r#"{{"min":5}},{{"max":4}},{{"enum":[5],{when}}}"#)),
        &[
            ("/properties/v/rules/0/min", "min"),
            ("/properties/v/rules/2/enum/0", "enum"),
        ],
    );
}

#[test]
fn what_is_at_fault_itself_is_told_once() {
    let json = r#"{"properties":{"a":{"type":"nope"},"v":{"type":"symbol","rules":[{"required":true,"when":{"eq":{"a":1}}}]},
        "w":{"type":"nope","rules":[{"required":true,"when":{"eq":{"v":1}}}]}}}"#;
    faults(
        profile(json),
        &[("/properties/a/type", "type"), ("/properties/w/type", "type")],
    );
}

#[test]
fn items_that_are_at_fault_are_told_once() {
    let json = r#"{"properties":{"tags":{"type":"array","items":{"type":"nope"}},
        "v":{"type":"symbol","rules":[{"required":true,"when":{"eq":{"tags":"a"}}}]}}}"#;
    faults(profile(json), &[("/properties/tags/items/type", "type")]);
}

#[test]
fn the_rules_of_complex_types_may_have_conditions() {
    let json = |path: &str| {
        format!(
            r#"{{"properties":{{"phones":{{"type":"array","items":{{"type":"contactpoint","properties":{{
            "value":{{"rules":[{{"required":true,"when":{{"eq":{{"{path}":"email"}}}}}}]}}}}}}}}}}}}"#
        )
    };
    assert!(profile(&json("phones[current].system")).is_ok());
    faults(
        profile(&json("phones[current].sytem")),
        &[(
            "/properties/phones/items/properties/value/rules/0/when/eq/phones[current].sytem",
            "when",
        )],
    );
}

#[test]
fn a_definition_compares_with_a_limited_number_of_values() {
    let values = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        format!(r#"{{"any":{{"count":[{}]}}}}"#, all.join(","))
    };
    assert!(put_when(&values(1_000)).is_ok());
    let error = put_when(&values(1_001)).unwrap_err();
    assert!(error.message.contains("at most 1000"), "{error}");
}

#[test]
fn relationship_definitions_have_conditions_too() {
    let json = |path: &str| {
        format!(
            r#"{{"from":{{"profileKey":"provider","includeKey":"clinic.worksAt","includeCardinality":"0:*"}},
            "to":{{"profileKey":"clinic","includeKey":"provider.staff","includeCardinality":"0:*"}},
            "properties":{{"since":{{"type":"date"}},"why":{{"type":"symbol","rules":[{{"required":true,"when":{{"gt":{{"{path}":"2020"}}}}}}]}}}}}}"#
        )
    };
    assert!(relationship(&json("since")).is_ok());
    faults(
        relationship(&json("from.since")),
        &[("/properties/why/rules/0/when/gt/from.since", "when")],
    );
}

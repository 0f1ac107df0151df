//! Complex types: rules on their own fields, and bindings to vocabularies.

use super::*;
use crate::profile::types::{TYPES, TypeShape};

const COMPLEX: [&str; 9] = [
    "reference",
    "identifier",
    "address",
    "humanname",
    "contactpoint",
    "coding",
    "period",
    "geopoint",
    "attachment",
];

/// Checks that a property has exactly these faults, at pointers from the property on.
#[track_caller]
fn refused(property: &str, expected: &[(&str, &str)]) -> ErrorObject {
    let expected: Vec<(String, &str)> = expected
        .iter()
        .map(|(path, rule)| (format!("/properties/p{path}"), *rule))
        .collect();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(path, rule)| (&**path, *rule)).collect();
    faults(
        profile(&format!(r#"{{"properties":{{"p":{property}}}}}"#)),
        &expected,
    )
}

#[track_caller]
fn accepted(property: &str) {
    profile(&format!(r#"{{"properties":{{"p":{property}}}}}"#)).unwrap();
}

#[test]
fn every_type_of_the_contract_is_there() {
    let complex = TYPES.iter().filter(|t| matches!(t, TypeShape::Complex(_)));
    let mut names: Vec<&str> = complex.map(|t| t.name()).collect();
    let mut expected = COMPLEX.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(TYPES.len(), 24);
    for name in COMPLEX {
        accepted(&format!(r#"{{"type":"{name}"}}"#));
        accepted(&format!(r#"{{"type":"array","items":{{"type":"{name}"}}}}"#));
        accepted(&format!(r#"{{"type":"{name}","properties":{{}}}}"#));
        accepted(&format!(r#"{{"type":"{name}","rules":[{{"required":true}}]}}"#));
        refused(
            &format!(r#"{{"type":"{name}","rules":[{{"min":1}}]}}"#),
            &[("/rules/0/min", "min")],
        );
    }
    accepted(r#"{"type":"xhtml","rules":[{"max":9}]}"#);
}

#[test]
fn rules_on_the_fields_of_a_complex_type() {
    accepted(r#"{"type":"address","properties":{"city":{"rules":[{"required":true,"min":2}]}}}"#);
    accepted(r#"{"type":"address","properties":{"city":{"type":"symbol","description":"where"}}}"#);
    accepted(r#"{"type":"address","properties":{"line":{"rules":[{"max":3}]}}}"#);
    accepted(r#"{"type":"address","properties":{"line":{"type":"array","items":{"rules":[{"max":80}]}}}}"#);
    accepted(
        r#"{"type":"address","properties":{"line":{"items":{"type":"symbol"}},"id":{"rules":[{"required":true}]}}}"#,
    );
    accepted(
        r#"{"type":"identifier","properties":{"period":{"properties":{"start":{"rules":[{"required":true}]}}}}}"#,
    );
    accepted(r#"{"type":"reference","properties":{"type":{"rules":[{"enum":["clinic"]}]}}}"#);
    accepted(r#"{"type":"contactpoint","properties":{"rank":{"rules":[{"max":1},{"enum":[1]}]}}}"#);
    accepted(r#"{"type":"geopoint","properties":{"latitude":{"rules":[{"min":-1000}]}}}"#);
    accepted(r#"{"type":"attachment","properties":{"data":{"type":"symbol","rules":[{"max":1000}]}}}"#);

    let error = refused(
        r#"{"type":"address","properties":{"ctiy":{"rules":[{"required":true}]}}}"#,
        &[("/properties/ctiy", "unknown")],
    );
    assert_eq!(
        error.details[0].message,
        "field of address 'ctiy' is not known, did you mean 'city'?"
    );
    let error = refused(
        r#"{"type":"address","properties":{"city":{"type":"code"},"line":{"type":"symbol"}}}"#,
        &[
            ("/properties/city/type", "type"),
            ("/properties/line/type", "type"),
        ],
    );
    assert_eq!(
        error.details[0].message,
        "the type of 'city' is symbol; leave it out"
    );
    refused(
        r#"{"type":"address","properties":{"city":1,"line":{"items":{"type":"code"}},"period":{"properties":{"x":{}}}}}"#,
        &[
            ("/properties/city", "type"),
            ("/properties/line/items/type", "type"),
            ("/properties/period/properties/x", "unknown"),
        ],
    );
    refused(
        r#"{"type":"address","properties":{"city":{},"city":{}}}"#,
        &[("/properties/city", "duplicate")],
    );
    refused(
        r#"{"type":"address","properties":{"city":{"items":{"type":"symbol"},"properties":{},"rules":[{"min":"a"}]}}}"#,
        &[
            ("/properties/city/items", "items"),
            ("/properties/city/properties", "properties"),
            ("/properties/city/rules/0/min", "type"),
        ],
    );
    // What the type itself says of its fields stays.
    refused(
        r#"{"type":"contactpoint","properties":{"rank":{"rules":[{"max":0}]}}}"#,
        &[("/properties/rank/rules/0/max", "max")],
    );
    refused(
        r#"{"type":"geopoint","properties":{"latitude":{"rules":[{"min":90.1}]}}}"#,
        &[("/properties/latitude/rules/0/min", "min")],
    );
    refused(
        r#"{"type":"contactpoint","properties":{"rank":{"rules":[{"enum":[0,1]}]}}}"#,
        &[("/properties/rank/rules/0/enum/0", "enum")],
    );
    refused(
        r#"{"type":"attachment","properties":{"data":{"rules":[{"enum":["?"]}]}}}"#,
        &[("/properties/data/rules/0/enum/0", "enum")],
    );
    refused(
        r#"{"type":"coding","rules":[{"x":1}]}"#,
        &[("/rules/0/x", "unknown")],
    );
}

#[test]
fn fields_of_complex_types_count_as_properties() {
    let limits = Limits {
        definition_properties: 2,
        definition_depth: 2,
        ..Limits::default()
    };
    let put = |json: &str| put(DefinitionKind::Profile, "new", json, &limits);
    assert!(put(r#"{"properties":{"p":{"type":"address","properties":{"city":{}}}}}"#).is_ok());
    let error = put(r#"{"properties":{"p":{"type":"address","properties":{"city":{},"state":{}}}}}"#);
    assert_eq!(error.unwrap_err().code, 413);
    let deep = r#"{"properties":{"p":{"type":"address","properties":{"period":{"properties":{}}}}}}"#;
    faults(
        put(deep),
        &[("/properties/p/properties/period/properties", "definitionDepth")],
    );
}

fn binding(key: &str, strength: &str) -> String {
    format!(r#"{{"vocabulary":{{"key":"{key}","strength":"{strength}"}}}}"#)
}

#[test]
fn codes_are_bound_to_vocabularies() {
    let good = binding("languages", "required");
    accepted(&format!(r#"{{"type":"code","binding":{good}}}"#));
    accepted(&format!(
        r#"{{"type":"coding","binding":{}}}"#,
        binding("specialities", "preferred")
    ));
    accepted(&format!(
        r#"{{"type":"array","items":{{"type":"code","binding":{good}}}}}"#
    ));
    accepted(&format!(
        r#"{{"type":"coding","properties":{{"code":{{"binding":{good}}}}}}}"#
    ));
    accepted(r#"{"type":"code","binding":null}"#);

    for (name, hint) in [("symbol", false), ("address", false), ("boolean", false)] {
        let error = refused(
            &format!(r#"{{"type":"{name}","binding":{good}}}"#),
            &[("/binding", "binding")],
        );
        assert_eq!(error.details[0].message.contains("items"), hint);
    }
    let error = refused(
        &format!(r#"{{"type":"array","items":{{"type":"code"}},"binding":{good}}}"#),
        &[("/binding", "binding")],
    );
    assert!(error.details[0].message.ends_with("goes in 'items'"), "{error}");
    let error = refused(
        &format!(
            r#"{{"type":"code","binding":{}}}"#,
            binding("langauges", "required")
        ),
        &[("/binding/vocabulary/key", "binding")],
    );
    assert_eq!(
        error.details[0].message,
        "vocabulary 'langauges' is not known, did you mean 'languages'?"
    );
    refused(
        &format!(r#"{{"type":"code","binding":{}}}"#, binding("a b", "example")),
        &[
            ("/binding/vocabulary/key", "key"),
            ("/binding/vocabulary/strength", "binding"),
        ],
    );
    refused(r#"{"type":"code","binding":1}"#, &[("/binding", "type")]);
    refused(
        r#"{"type":"code","binding":{}}"#,
        &[("/binding/vocabulary", "required")],
    );
    refused(
        r#"{"type":"code","binding":{"vocabulary":{},"x":1}}"#,
        &[
            ("/binding/x", "unknown"),
            ("/binding/vocabulary/key", "required"),
            ("/binding/vocabulary/strength", "required"),
        ],
    );
    refused(
        &format!(r#"{{"type":"coding","binding":{good},"properties":{{"code":{{"binding":{good}}}}}}}"#),
        &[("/binding", "binding")],
    );
}

#[test]
fn a_definition_tells_the_vocabularies_that_it_names() {
    let json = format!(
        r#"{{"properties":{{"a":{{"type":"code","binding":{}}},"binding":{{"type":"array","items":{{"type":"coding","binding":{}}}}},"o":{{"type":"object","properties":{{"items":{{"type":"code"}}}}}}}}}}"#,
        binding("languages", "required"),
        binding("specialities", "preferred")
    );
    let key = Key::parse("new").unwrap();
    let kind = DefinitionKind::Profile;
    let accepted = accept(
        kind,
        &key,
        json.as_bytes(),
        &others(),
        &vocabularies(),
        &Limits::default(),
    );
    let accepted = accepted.unwrap();
    assert_eq!(accepted.vocabularies(), &vocabularies());
    let stored = stored(kind, "new", accepted.json());
    assert_eq!(stored.vocabularies(), vocabularies());
    let schema = crate::schema::Schema::compile(&[stored]).unwrap();
    let required: Vec<&str> = schema.vocabularies().iter().map(Key::as_str).collect();
    assert_eq!(required, ["languages"]);
}

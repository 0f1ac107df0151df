//! Definitions that are too large, or would cost too much.

use super::*;

#[test]
fn limits_of_a_definition() {
    let over = |put: Result<String, ErrorObject>, name: &str| {
        let error = put.expect_err(name);
        assert_eq!(
            (error.code, error.error_type),
            (413, ErrorType::ContentTooLarge),
            "{error:?}"
        );
        assert!(error.message.contains(name), "{error}");
    };
    let put = |json: &str, limits: &Limits| put(DefinitionKind::Profile, "new", json, limits);
    let json =
        r#"{"properties":{"a":{"type":"code"},"b":{"type":"object","properties":{"c":{"type":"code"}}}}}"#;
    let with = |set: fn(&mut Limits, u64), value: u64| {
        let mut limits = Limits::default();
        set(&mut limits, value);
        limits
    };
    let bytes: fn(&mut Limits, u64) = |limits, value| limits.definition_bytes = value;
    assert!(put(json, &with(bytes, json.len() as u64)).is_ok());
    over(put(json, &with(bytes, json.len() as u64 - 1)), "definitionBytes");
    let properties: fn(&mut Limits, u64) = |limits, value| limits.definition_properties = value;
    assert!(put(json, &with(properties, 3)).is_ok());
    over(put(json, &with(properties, 2)), "definitionProperties of 2");
    let per_source: fn(&mut Limits, u64) = |limits, value| limits.definitions_per_source = value;
    assert!(put(json, &with(per_source, 5)).is_ok());
    over(put(json, &with(per_source, 4)), "definitionsPerSource of 4");
    let nested = |depth: usize| {
        let mut inner = r#"{"type":"code"}"#.to_owned();
        for _ in 1..depth {
            inner = format!(r#"{{"type":"object","properties":{{"p":{inner}}}}}"#);
        }
        format!(r#"{{"properties":{{"p":{inner}}}}}"#)
    };
    assert!(put(&nested(16), &Limits::default()).is_ok());
    over(put(&nested(17), &Limits::default()), "definitionDepth of 16");
    over(put(&nested(5_000), &Limits::default()), "definitionDepth of 16");
    let arrays = |depth: usize| {
        let mut inner = r#"{"type":"code"}"#.to_owned();
        for _ in 1..depth {
            inner = format!(r#"{{"type":"array","items":{inner}}}"#);
        }
        format!(r#"{{"properties":{{"p":{inner}}}}}"#)
    };
    assert!(put(&arrays(16), &Limits::default()).is_ok());
    over(put(&arrays(17), &Limits::default()), "definitionDepth of 16");
    // With other faults beside it, the limit is what the code says; all are told.
    let error = put(&nested(17).replace("code", "nope"), &with(properties, 5)).unwrap_err();
    assert_eq!(error.code, 413);
    assert_eq!(error.details.len(), 2);
    let large = Limits {
        definition_depth: 10_000,
        definition_properties: 10_000,
        ..Limits::default()
    };
    assert!(put(&nested(200), &large).is_ok());
    over(put(&nested(5_000), &large), "definitionDepth");
}

#[test]
fn costly_definitions_are_bounded() {
    // Many large patterns.
    let pattern = r#"{"pattern":"\\p{L}{1,30}"}"#;
    let rules = vec![pattern; 100].join(",");
    let properties: Vec<String> = ["p", "q", "r", "s", "t"]
        .iter()
        .map(|name| format!(r#""{name}":{{"type":"symbol","rules":[{rules}]}}"#))
        .collect();
    let error = profile(&format!(r#"{{"properties":{{{}}}}}"#, properties.join(","))).unwrap_err();
    assert!(error.details[0].message.contains("too large together"), "{error}");
    assert!(error.details_total.is_some_and(|total| total < 500), "{error:?}");
    // Large lists beside many rules.
    let values: Vec<String> = (0..20_000).map(|n| format!("\"v{n}\"")).collect();
    let bounds = vec![r#"{"min":1}"#; 99].join(",");
    let json = format!(
        r#"{{"properties":{{"p":{{"type":"symbol","rules":[{{"enum":[{}]}},{bounds}]}}}}}}"#,
        values.join(",")
    );
    assert!(profile(&json).is_ok());
}

#[test]
fn a_value_has_few_rule_objects() {
    let rules = |count: usize| {
        let rules = vec![r#"{"max":5}"#; count].join(",");
        format!(r#"{{"type":"symbol","rules":[{rules}]}}"#)
    };
    property(&rules(101), &[("/rules", "definitionRules")]);
    let error = property(&rules(5_000), &[("/rules", "definitionRules")]);
    assert_eq!(error.code, 413);
    assert!(error.message.contains("definitionRules of 100"), "{error:?}");
}

//! What bad input gets: values that break their type or a rule.

use serde_json::{Value, json};

use super::registry::{Registry, fault, request};

/// Each value of `good` is stored under `/data/v` of a profile with this property, each of `bad` is rejected with the
/// fault beside it.
async fn check(property: Value, good: &[&str], bad: &[(&str, &str, &str)]) {
    let registry = Registry::start().await;
    let profile = json!({"properties": {"v": property, "kind": {"type": "code"}}});
    registry.define("profiles/thing", &profile.to_string()).await;
    let operation =
        |value: &str| format!(r#"{{"action":"CREATE","create":{{"type":"thing","data":{{{value}}}}}}}"#);
    for (value, path, rule) in bad {
        let answer = registry
            .send(format!(r#"{{"operations":[{}]}}"#, operation(value)))
            .await;
        assert_eq!(
            answer.faults(),
            [fault(&format!("/create/data/v{path}"), rule)],
            "{property} {value}"
        );
    }
    registry.assert_empty().await;
    let operations: Vec<String> = good.iter().map(|value| operation(value)).collect();
    let task = registry
        .carried_out(format!(r#"{{"operations":[{}]}}"#, operations.join(",")))
        .await;
    assert_eq!(task["outcome"], "COMPLETE", "{property}");
}

#[tokio::test]
async fn every_type_takes_its_values_and_no_others() {
    let registry = Registry::start().await;
    let types: [(&str, &[&str], &[&str]); 12] = [
        (
            "symbol",
            &[r#""""#, r#""a\nb ""#, r#""\u0000""#],
            &["1", "true", "[]", "{}", r#""\ud800""#],
        ),
        (
            "code",
            &[r#""a b""#],
            &[r#""""#, r#"" a""#, r#""a ""#, r#""a  b""#, "1"],
        ),
        ("markdown", &[r#""""#], &["1"]),
        ("uri", &[r#""a:b""#], &[r#""""#, r#""a b""#, "1"]),
        (
            "url",
            &[r#""https://a.example""#, r#""mailto:a@b.example""#],
            &[r#""a""#, r#""/a""#, r#""""#],
        ),
        ("boolean", &["true", "false"], &[r#""true""#, "0"]),
        (
            "integer",
            &["0", "-0", "9223372036854775807", "-9223372036854775808"],
            &["1.0", "1e2", "9223372036854775808", r#""1""#],
        ),
        ("decimal", &["1.10", "1e308", "-0.5"], &["1e309", r#""1""#]),
        (
            "date",
            &[r#""2024""#, r#""2024-02""#, r#""2024-02-29""#],
            &[r#""2023-02-29""#, r#""24-01-01""#, r#""2024-1-1""#, r#""0000""#],
        ),
        (
            "datetime",
            &[r#""2024""#, r#""2024-02-29T01:02:03Z""#],
            &[
                r#""2024-02-29T01:02:03""#,
                r#""2024-02-29T24:00:00Z""#,
                r#""2024-02-29T01:02:60Z""#,
            ],
        ),
        (
            "instant",
            &[r#""2024-02-29T01:02:03.5+14:00""#],
            &[r#""2024-02-29""#, r#""2024-02-29T01:02:03+14:01""#],
        ),
        (
            "time",
            &[r#""01:02:03""#, r#""23:59:59.999""#],
            &[r#""1:02:03""#, r#""24:00:00""#, r#""01:02""#],
        ),
    ];
    let properties: serde_json::Map<String, Value> = types
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), json!({"type": name})))
        .collect();
    registry
        .define("profiles/thing", &json!({"properties": properties}).to_string())
        .await;
    let operation = |name: &str, value: &str| {
        format!(r#"{{"action":"CREATE","create":{{"type":"thing","data":{{"{name}":{value}}}}}}}"#)
    };
    let mut good = Vec::new();
    for (name, values, wrong) in types {
        for value in wrong {
            let answer = registry
                .send(format!(r#"{{"operations":[{}]}}"#, operation(name, value)))
                .await;
            assert_eq!(
                answer.faults(),
                [fault(&format!("/create/data/{name}"), "type")],
                "{name} {value}"
            );
        }
        good.extend(values.iter().chain(&["null"]).map(|value| operation(name, value)));
    }
    registry.assert_empty().await;
    let task = registry
        .carried_out(format!(r#"{{"operations":[{}]}}"#, good.join(",")))
        .await;
    assert_eq!(task["outcome"], "COMPLETE");
}

#[tokio::test]
async fn objects_and_arrays_are_checked_through_and_through() {
    let symbol = json!({"type": "symbol"});
    let object = json!({"type": "object", "properties": {
        "city": {"type": "symbol", "rules": [{"required": true}]},
        "lines": {"type": "array", "items": symbol},
    }});
    let good = [r#""v":{"city":"a"}"#, r#""v":{"city":"a","lines":[]}"#];
    let bad = [
        (r#""v":[]"#, "", "type"),
        (r#""v":{}"#, "/city", "required"),
        (r#""v":{"city":"a","town":"b"}"#, "/town", "unknown"),
        (r#""v":{"city":"a","lines":["b",1]}"#, "/lines/1", "type"),
        (r#""v":{"city":"a","lines":[null]}"#, "/lines/0", "type"),
    ];
    check(object.clone(), &good, &bad).await;
    let bad = [
        (r#""v":{}"#, "", "type"),
        (r#""v":[{"city":"a"},{}]"#, "/1/city", "required"),
        (r#""v":[{"city":"a"},[]]"#, "/1", "type"),
    ];
    check(
        json!({"type": "array", "items": object}),
        &[r#""v":[]"#, r#""v":[{"city":"a"}]"#],
        &bad,
    )
    .await;
    let matrix = json!({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}});
    check(
        matrix,
        &[r#""v":[[1],[]]"#],
        &[(r#""v":[[1],["1"]]"#, "/1/0", "type")],
    )
    .await;
}

#[tokio::test]
async fn required() {
    let property = json!({"type": "symbol", "rules": [{"required": true}]});
    check(
        property,
        &[r#""v":"""#],
        &[("", "", "required"), (r#""v":null"#, "", "required")],
    )
    .await;
    let property = json!({"type": "array", "items": {"type": "symbol"}, "rules": [{"required": true}]});
    check(property, &[r#""v":[]"#], &[("", "", "required")]).await;
}

#[tokio::test]
async fn min_and_max_of_numbers() {
    let property = json!({"type": "integer", "rules": [{"min": 1, "max": 3}]});
    check(
        property,
        &[r#""v":1"#, r#""v":3"#, ""],
        &[(r#""v":0"#, "", "min"), (r#""v":4"#, "", "max")],
    )
    .await;
    // Digit for digit: as floats these would be equal.
    let property = json!({"type": "decimal", "rules": [{"max": 1}]});
    check(
        property,
        &[r#""v":1.00000000000000000000"#],
        &[(r#""v":1.00000000000000000001"#, "", "max")],
    )
    .await;
}

#[tokio::test]
async fn min_and_max_of_strings_count_characters() {
    let property = json!({"type": "symbol", "rules": [{"min": 2, "max": 3}]});
    let bad = [
        (r#""v":"a""#, "", "min"),
        (r#""v":"🐟""#, "", "min"),
        (r#""v":"abcd""#, "", "max"),
    ];
    check(property, &[r#""v":"🐟🐟🐟""#, r#""v":"\u0061b""#], &bad).await;
}

#[tokio::test]
async fn min_and_max_of_arrays_count_elements() {
    let property = json!({"type": "array", "items": {"type": "integer", "rules": [{"min": 0}]}, "rules": [{"min": 1, "max": 2}]});
    let bad = [
        (r#""v":[]"#, "", "min"),
        (r#""v":[1,2,3]"#, "", "max"),
        (r#""v":[1,-1]"#, "/1", "min"),
    ];
    check(property, &[r#""v":[1]"#, r#""v":[1,2]"#], &bad).await;
}

#[tokio::test]
async fn one_of_a_list() {
    let property = json!({"type": "code", "rules": [{"enum": ["red", "green"]}]});
    check(
        property,
        &[r#""v":"red""#],
        &[(r#""v":"Red""#, "", "enum"), (r#""v":"blue""#, "", "enum")],
    )
    .await;
    let property = json!({"type": "decimal", "rules": [{"enum": [1.5]}]});
    check(
        property,
        &[r#""v":1.50"#, r#""v":15e-1"#],
        &[(r#""v":1.51"#, "", "enum")],
    )
    .await;
}

#[tokio::test]
async fn a_pattern() {
    let property = json!({"type": "symbol", "rules": [{"pattern": "^[A-Z]{2}\\d+$"}]});
    check(
        property,
        &[r#""v":"AB1""#],
        &[(r#""v":"ab1""#, "", "pattern"), (r#""v":"xAB1""#, "", "pattern")],
    )
    .await;
    // Searched, not anchored.
    let property = json!({"type": "symbol", "rules": [{"pattern": "fish"}]});
    check(
        property,
        &[r#""v":"a fish!""#],
        &[(r#""v":"a bird""#, "", "pattern")],
    )
    .await;
}

#[tokio::test]
async fn all_rules_that_apply_must_hold() {
    let property =
        json!({"type": "symbol", "rules": [{"min": 2}, {"pattern": "^a"}, {"required": true, "max": 3}]});
    check(
        property,
        &[r#""v":"ab""#],
        &[
            (r#""v":"a""#, "", "min"),
            (r#""v":"bb""#, "", "pattern"),
            (r#""v":"abcd""#, "", "max"),
            ("", "", "required"),
        ],
    )
    .await;
}

#[tokio::test]
async fn every_fault_of_a_record_is_told_at_once() {
    let registry = Registry::start().await;
    let operation = json!({"action": "UPSERT", "upsert": {
        "type": "provider",
        "id": "_",
        "data": {"nmae": "Ada", "practiceNumber": 1.5, "specialities": ["a", 1, null], "extra": {}},
        "colour": "red",
    }});
    let mut faults = registry.send(request(&[operation])).await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            fault("/upsert/colour", "unknown"),
            fault("/upsert/data/extra", "unknown"),
            fault("/upsert/data/name", "required"),
            fault("/upsert/data/nmae", "unknown"),
            fault("/upsert/data/practiceNumber", "type"),
            fault("/upsert/data/specialities/1", "type"),
            fault("/upsert/data/specialities/2", "type"),
            fault("/upsert/id", "id"),
        ]
    );
}

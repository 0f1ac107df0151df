//! The meta of a create or an upsert.

use super::helpers::*;
use crate::limits::Limits;
use crate::meta::SentMeta;
use crate::operation::TargetType;
use crate::time::Timestamp;

/// The moment of the checker in these tests is 2025-06-15T15:06:40Z.
fn with_meta(meta: &str) -> Checked {
    resource(&format!(
        r#"{{"action":"UPSERT","upsert":{{"type":"clinic","id":"ab","meta":{meta},"data":{{}}}}}}"#
    ))
}

#[track_caller]
fn sent(meta: &str) -> Option<Box<SentMeta>> {
    let (operation, body) = with_meta(meta).unwrap();
    assert_eq!(body, r#"{"data":{}}"#);
    operation.meta
}

#[track_caller]
fn refused(meta: &str, expected: &[(&str, &str)]) -> crate::error::ErrorObject {
    let expected: Vec<(String, &str)> = expected
        .iter()
        .map(|(path, rule)| (format!("/upsert/meta{path}"), *rule))
        .collect();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(path, rule)| (&**path, *rule)).collect();
    faults(with_meta(meta), &expected)
}

fn at(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse(text).unwrap())
}

#[test]
fn what_is_not_said_is_none() {
    for nothing in [
        "{}",
        "null",
        r#"{"createdAt":null,"updatedAt":null,"identifier":null}"#,
    ] {
        assert_eq!(sent(nothing), None, "{nothing}");
    }
}

#[test]
fn times_are_cut_to_milliseconds() {
    let meta =
        sent(r#"{"updatedAt":"2020-01-01T02:00:00.12399+02:00","createdAt":"2020-01-01T00:00:00.1230Z"}"#);
    let meta = meta.unwrap();
    assert_eq!(meta.created_at, at("2020-01-01T00:00:00.123Z"));
    assert_eq!(meta.updated_at, meta.created_at);
    assert_eq!(meta.identifiers, None);
    let alone = sent(r#"{"createdAt":"0001-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(
        (alone.created_at, alone.updated_at),
        (at("0001-01-01T00:00:00Z"), None)
    );
    // This very moment is not in the future, as it is cut.
    assert!(sent(r#"{"createdAt":"2025-06-15T15:06:40.0009Z"}"#).is_some());
}

#[test]
fn times_that_cannot_be() {
    refused(
        r#"{"createdAt":"2020-01-01","updatedAt":1}"#,
        &[("/createdAt", "type"), ("/updatedAt", "type")],
    );
    refused(
        r#"{"createdAt":"2020-02-30T00:00:00Z"}"#,
        &[("/createdAt", "type")],
    );
    refused(
        r#"{"createdAt":"2020-01-01T00:00:00"}"#,
        &[("/createdAt", "type")],
    );
    refused(
        r#"{"updatedAt":"2020-01-01T00:00:00Z"}"#,
        &[("/createdAt", "required")],
    );
    refused(
        r#"{"createdAt":null,"updatedAt":"2020-01-01T00:00:00Z"}"#,
        &[("/createdAt", "required")],
    );
    refused(
        r#"{"createdAt":"2020-01-01T00:00:00.001Z","updatedAt":"2020-01-01T00:00:00Z"}"#,
        &[("/updatedAt", "min")],
    );
    refused(
        r#"{"createdAt":"2025-06-15T15:06:40.001Z","updatedAt":"2030-01-01T00:00:00Z"}"#,
        &[("/createdAt", "max"), ("/updatedAt", "max")],
    );
}

#[test]
fn members_of_the_server_are_refused_by_name() {
    let error = refused(
        r#"{"source":"clinics","version":3,"createdat":"x","identifier":[],"identifier":[]}"#,
        &[
            ("/source", "unknown"),
            ("/version", "unknown"),
            ("/createdat", "unknown"),
            ("/identifier", "duplicate"),
        ],
    );
    assert_eq!(
        error.details[0].message,
        "'source' is given by the server, leave it out"
    );
    assert!(error.details[2].message.ends_with("did you mean 'createdAt'?"));
    refused("1", &[("", "type")]);
}

#[test]
fn identifiers_are_kept_compact_with_what_they_are_found_by() {
    let meta = sent(
        r#"{"identifier": [ {"system": "urn:a", "value": "é\u0041", "use": "official", "period": {"start": "2020"}, "id": "1"},
            {"value": "1"} , {} ]}"#,
    );
    let identifiers = meta.unwrap().identifiers.unwrap();
    assert_eq!(
        &*identifiers.json,
        r#"[{"system":"urn:a","value":"é\u0041","use":"official","period":{"start":"2020"},"id":"1"},{"value":"1"},{}]"#
    );
    let triples: Vec<String> = identifiers.triples.iter().map(ToString::to_string).collect();
    assert_eq!(triples, ["urn%3Aa:%C3%A9A:official", ":1:", "::"]);
    let hash = |meta: &str| sent(meta).unwrap().identifiers.unwrap().hash;
    assert_eq!(
        hash(r#"{"identifier":[{"value":"1"}]}"#),
        hash(r#"{"identifier": [{"value" : "1"}]}"#)
    );
    assert_ne!(
        hash(r#"{"identifier":[{"value":"1"}]}"#),
        hash(r#"{"identifier":[{"value":"2"}]}"#)
    );
    let empty = sent(r#"{"identifier":[]}"#).unwrap().identifiers.unwrap();
    assert_eq!((&*empty.json, empty.triples.len(), empty.hash), ("[]", 0, None));
}

#[test]
fn identifiers_that_cannot_be() {
    refused(r#"{"identifier":{"value":"1"}}"#, &[("/identifier", "type")]);
    refused(
        r#"{"identifier":[null,1,{"system":"a b","use":"","vlaue":"1","period":{"start":"2024","end":"2023"}}]}"#,
        &[
            ("/identifier/0", "type"),
            ("/identifier/1", "type"),
            ("/identifier/2/system", "type"),
            ("/identifier/2/use", "type"),
            ("/identifier/2/vlaue", "unknown"),
            ("/identifier/2/period", "type"),
        ],
    );
    refused(
        r#"{"identifier":[{"value":"1"},{"value":"2"},{"value":"1","period":{"start":"2020"}},{"value":"\u0031","system":null}]}"#,
        &[("/identifier/2", "duplicate"), ("/identifier/3", "duplicate")],
    );
    refused(
        r#"{"identifier":[{"use":"source","value":"1"},{"system":"mdm","value":"1"}]}"#,
        &[("/identifier/0/use", "enum"), ("/identifier/1/system", "enum")],
    );
    let long = |n: usize| "é".repeat(n / 2);
    let parts = |system, value, usage| {
        let (system, value, usage) = (long(system), long(value), long(usage));
        format!(r#"{{"identifier":[{{"system":"{system}","value":"{value}","use":"{usage}"}}]}}"#)
    };
    assert!(sent(&parts(1_024, 1_024, 64)).is_some());
    refused(
        &parts(1_026, 1_026, 66),
        &[
            ("/identifier/0/system", "max"),
            ("/identifier/0/value", "max"),
            ("/identifier/0/use", "max"),
        ],
    );
}

#[test]
fn a_record_has_a_limited_number_of_identifiers() {
    let identifiers = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!(r#"{{"value":"{n}"}}"#)).collect();
        format!(r#"{{"identifier":[{}]}}"#, all.join(","))
    };
    assert!(sent(&identifiers(100)).is_some());
    let error = refused(&identifiers(101), &[("/identifier", "identifiersPerRecord")]);
    assert_eq!(error.code, 413);
    let limits = Limits {
        identifiers_per_record: 1,
        ..Limits::default()
    };
    with_checker(TargetType::Resource, &limits, |checker| {
        let mut body = Vec::new();
        let create = |meta: &str| format!(r#"{{"meta":{meta},"data":{{}}}}"#);
        let mut check = |meta: &str| {
            let json = create(meta);
            let action = crate::operation::Action::Create;
            checker.resource(1, action, None, json.as_bytes(), &mut body)
        };
        assert!(check(&identifiers(1)).is_ok());
        assert!(check(&identifiers(2)).is_err());
    });
}

#[test]
fn edges_have_meta_too() {
    let json = r#"{"action":"CREATE","create":{"type":"worksAt","meta":{"createdAt":"2020-01-01T00:00:00Z","identifier":[{"value":"1"}]},"from":{"id":"ab","type":"provider"},"to":{"id":"cd","type":"clinic"},"data":{"since":"2020"}}}"#;
    let (operation, body) = edge(json).unwrap();
    assert_eq!(body, r#"{"data":{"since":"2020"}}"#);
    let meta = operation.meta.unwrap();
    assert_eq!(meta.created_at, at("2020-01-01T00:00:00Z"));
    assert_eq!(meta.identifiers.unwrap().triples.len(), 1);
    faults(
        edge(&json.replace("createdAt", "updatedAt")),
        &[("/create/meta/createdAt", "required")],
    );
    // Between the parts of a body, too.
    let json = r#"{"action":"CREATE","create":{"type":"provider","id":"ab","contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]},"meta":{"identifier":[{"value":"1"}]},"data":{"name":"a"}}}"#;
    let (operation, body) = resource(json).unwrap();
    assert_eq!(
        body,
        r#"{"data":{"name":"a"},"contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]}}"#
    );
    assert!(operation.meta.is_some());
}

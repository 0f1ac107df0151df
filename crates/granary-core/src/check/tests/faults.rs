//! Every fault of an operation on a resource, with its pointer and rule.

use super::helpers::*;
use crate::check::Rejection;
use crate::limits::Limits;
use crate::operation::TargetType;

#[test]
fn properties_of_the_wrong_type_or_form() {
    let cases: &[(&str, &str, &str)] = &[
        (r#"{"name":1}"#, "/name", "type"),
        (r#"{"name":["a"]}"#, "/name", "type"),
        (r#"{"name":"\ud800"}"#, "/name", "type"),
        (r#"{"name":null}"#, "/name", "required"),
        (r#"{}"#, "/name", "required"),
        (r#"{"name":"a","practiceNumber":"1"}"#, "/practiceNumber", "type"),
        (r#"{"name":"a","practiceNumber":1.0}"#, "/practiceNumber", "type"),
        (r#"{"name":"a","practiceNumber":1e3}"#, "/practiceNumber", "type"),
        (
            r#"{"name":"a","practiceNumber":9223372036854775808}"#,
            "/practiceNumber",
            "type",
        ),
        (r#"{"name":"a","practiceNumber":0}"#, "/practiceNumber", "min"),
        (r#"{"name":"a","practiceNumber":-0}"#, "/practiceNumber", "min"),
        (
            r#"{"name":"a","practiceNumber":10000000}"#,
            "/practiceNumber",
            "max",
        ),
        (r#"{"name":"a","specialities":"x"}"#, "/specialities", "type"),
        (
            r#"{"name":"a","specialities":["ab",null]}"#,
            "/specialities/1",
            "type",
        ),
        (
            r#"{"name":"a","specialities":["ab","c"]}"#,
            "/specialities/1",
            "min",
        ),
        (
            r#"{"name":"a","specialities":["ab",7]}"#,
            "/specialities/1",
            "type",
        ),
        (
            r#"{"name":"a","specialities":["ab","cd","ef","gh"]}"#,
            "/specialities",
            "max",
        ),
        (r#"{"name":"a","status":"Active"}"#, "/status", "enum"),
        (r#"{"name":"a","status":" active"}"#, "/status", "type"),
        (r#"{"name":"a","license":"ab1"}"#, "/license", "pattern"),
        (r#"{"name":"a","license":"AB12345"}"#, "/license", "max"),
        (r#"{"name":"a","fee":0.49999999999999999999}"#, "/fee", "min"),
        (r#"{"name":"a","fee":1000.0000000000000000001}"#, "/fee", "max"),
        (r#"{"name":"a","fee":1e309}"#, "/fee", "type"),
        (r#"{"name":"a","fee":"1"}"#, "/fee", "type"),
        (r#"{"name":"a","grade":1.50001}"#, "/grade", "enum"),
        (r#"{"name":"a","rank":4}"#, "/rank", "enum"),
        (r#"{"name":"a","active":"true"}"#, "/active", "type"),
        (r#"{"name":"a","active":1}"#, "/active", "type"),
        (r#"{"name":"a","born":"2023-02-29"}"#, "/born", "type"),
        (r#"{"name":"a","seen":"2023-02-28T10:00:00"}"#, "/seen", "type"),
        (r#"{"name":"a","stamp":"2023-02-28"}"#, "/stamp", "type"),
        (r#"{"name":"a","opens":"24:00:00"}"#, "/opens", "type"),
        (r#"{"name":"a","site":"example.org"}"#, "/site", "type"),
        (r#"{"name":"a","system":"a b"}"#, "/system", "type"),
        (r#"{"name":"a","notes":false}"#, "/notes", "type"),
        (r#"{"name":"a","address":[]}"#, "/address", "type"),
        (r#"{"name":"a","address":{}}"#, "/address/city", "required"),
        (
            r#"{"name":"a","address":{"city":"x","zip":1}}"#,
            "/address/zip",
            "unknown",
        ),
        (
            r#"{"name":"a","address":{"city":"x","lines":[null]}}"#,
            "/address/lines/0",
            "type",
        ),
        (r#"{"name":"a","matrix":[[1],[2,"3"]]}"#, "/matrix/1/1", "type"),
        (r#"{"name":"a","matrix":[1]}"#, "/matrix/0", "type"),
        (
            r#"{"name":"a","phones":[{"number":"1"},{}]}"#,
            "/phones/1/number",
            "required",
        ),
        (r#"{"name":"a","name":"b"}"#, "/name", "duplicate"),
        (r#"{"n\u0061me":"a","name":"b"}"#, "/name", "duplicate"),
        (
            r#"{"name":"a","nmae":{"deep":[1,2,{"x":null}]}}"#,
            "/nmae",
            "unknown",
        ),
        (r#"{"name":"a","a/b~c":1}"#, "/a~1b~0c", "unknown"),
        (r#"{"name":"a","\ud800":1}"#, "/\u{fffd}", "unknown"),
        (r#"{"name":"a","":1}"#, "/", "unknown"),
    ];
    for (data, path, rule) in cases {
        let path = format!("/create/data{path}");
        let error = faults(create(data), &[(&path, rule)]);
        assert_eq!((error.code, error.details_total), (400, None));
        assert!(error.message.starts_with(&path), "{}", error.message);
    }
}

#[test]
fn messages_help() {
    let cases = [
        (
            create(r#"{"name":"a","practiceNumbr":1}"#),
            "'practiceNumbr' is not known, did you mean 'practiceNumber'?",
        ),
        (
            create(r#"{"name":"a","status":"activ"}"#),
            "did you mean 'active'?",
        ),
        (
            create(r#"{"name":"a","rank":9}"#),
            "9 is not allowed, only 1, 2, 3",
        ),
        (
            create(r#"{"name":"a","practiceNumber":"1"}"#),
            "expected a number (integer), found a string; write it without quotes",
        ),
        (
            create(r#"{"name":"a","specialities":["b"]}"#),
            "has 1 character, at least 2 allowed",
        ),
        (create(r#"{"name":null}"#), "null counts as absent"),
        (
            resource(r#"{"action":"create","create":{"type":"provider","data":{"name":"a"}}}"#),
            "use 'CREATE'",
        ),
        (
            resource(r#"{"action":"CRAETE","create":{"type":"provider","data":{"name":"a"}}}"#),
            "did you mean 'CREATE'?",
        ),
        (
            resource(r#"{"action":"DELETE","delete":{"type":"provder","id":"ab"}}"#),
            "did you mean 'provider'?",
        ),
        (
            resource(r#"{"action":"DELETE","delete":{"type":"office","id":"ab"}}"#),
            "CONTAINED",
        ),
        (
            resource(r#"{"action":"DELETE","delete":{"type":"owns","id":"ab"}}"#),
            "relationship type",
        ),
        (
            edge(r#"{"action":"DELETE","delete":{"type":"provider","id":"ab.cd"}}"#),
            "is a profile",
        ),
        (
            resource(r#"{"action":"UPSERT","create":{"type":"provider","data":{"name":"a"}}}"#),
            "in 'upsert', not in 'create'",
        ),
        (
            resource(r#"{"create":{"type":"provider","data":{"name":"a"}}}"#),
            "here it is 'CREATE'",
        ),
    ];
    for (checked, words) in cases {
        let error = error(checked);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[test]
fn envelopes() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("1", &[("", "type")]),
        ("[]", &[("", "type")]),
        ("null", &[("", "type")]),
        ("{}", &[("/action", "required")]),
        (r#"{"action":"CREATE"}"#, &[("/create", "required")]),
        (r#"{"action":"CREATE","create":null}"#, &[("/create", "required")]),
        (
            r#"{"action":null,"delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "required")],
        ),
        (
            r#"{"action":7,"delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "type")],
        ),
        (
            r#"{"action":"REMOVE","delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "enum")],
        ),
        (
            r#"{"action":"delete","delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "enum")],
        ),
        (r#"{"action":"CREATE","create":7}"#, &[("/create", "type")]),
        (
            r#"{"action":"CREATE","delete":{"type":"provider","id":"ab"}}"#,
            &[("/delete", "payload")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"ab"},"create":{"type":"home"},"upsert":{}}"#,
            &[
                ("/create", "payload"),
                ("/create/type", "type"),
                ("/create/data", "required"),
                ("/upsert", "payload"),
                ("/upsert/type", "required"),
                ("/upsert/id", "required"),
                ("/upsert/data", "required"),
            ],
        ),
        (
            r#"{"action":"DELETE","action":"DELETE","delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "duplicate")],
        ),
        (
            r#"{"action":null,"action":"DELETE","delete":{"type":"provider","id":"ab"}}"#,
            &[("/action", "duplicate"), ("/action", "required")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"ab"},"delete":{}}"#,
            &[("/delete", "duplicate")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"ab"},"x":[1]}"#,
            &[("/x", "unknown")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"ab","data":{}}}"#,
            &[("/delete/data", "unknown")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"ab","contained":{}}}"#,
            &[("/delete/contained", "unknown")],
        ),
        (
            r#"{"action":"DELETE","delete":{"id":"ab"}}"#,
            &[("/delete/type", "required")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider"}}"#,
            &[("/delete/id", "required")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":null,"id":null}}"#,
            &[("/delete/type", "required"), ("/delete/id", "required")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"a"}}"#,
            &[("/delete/id", "id")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"_ab"}}"#,
            &[("/delete/id", "id")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":"a\u0000b"}}"#,
            &[("/delete/id", "id")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","id":12}}"#,
            &[("/delete/id", "type")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":1,"id":"ab"}}"#,
            &[("/delete/type", "type")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"provider","type":"provider","id":"ab"}}"#,
            &[("/delete/type", "duplicate")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"nope","id":"ab"}}"#,
            &[("/delete/type", "type")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"room","id":"ab"}}"#,
            &[("/delete/type", "type")],
        ),
        (
            r#"{"action":"DELETE","delete":{"type":"owns","id":"ab"}}"#,
            &[("/delete/type", "type")],
        ),
        (
            r#"{"action":"UPSERT","upsert":{"type":"clinic","data":{}}}"#,
            &[("/upsert/id", "required")],
        ),
        (
            r#"{"action":"UPSERT","upsert":{"type":"clinic","id":"ab"}}"#,
            &[("/upsert/data", "required")],
        ),
        (
            r#"{"action":"UPSERT","upsert":{"type":"clinic","id":"ab","data":null}}"#,
            &[("/upsert/data", "required")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"clinic","data":[]}}"#,
            &[("/create/data", "type")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"clinic","data":{},"data":{}}}"#,
            &[("/create/data", "duplicate")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"clinic","data":{},"contained":[]}}"#,
            &[("/create/contained", "type")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"nope","data":{"x":1},"contained":{"y":1}}}"#,
            &[("/create/type", "type")],
        ),
        (
            r#"{"action":"CREATE","create":{"data":{"x":1}}}"#,
            &[("/create/type", "required")],
        ),
        (
            r#"{"action":"CREATE","create":{"data":{"x":1},"type":"clinic"}}"#,
            &[("/create/data/x", "unknown")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"clinic","data":{},"extra":1}}"#,
            &[("/create/extra", "unknown")],
        ),
        (
            r#"{"action":"CREATE","create":{"type":"clinic","data":{},"meta":1}}"#,
            &[("/create/meta", "type")],
        ),
    ];
    for (json, expected) in cases {
        faults(resource(json), expected);
    }
}

#[test]
fn contained_resources() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        (r#"{"offcies":[]}"#, &[("/offcies", "unknown")]),
        (r#"{"offices":{}}"#, &[("/offices", "type")]),
        (r#"{"offices":[],"offices":[]}"#, &[("/offices", "duplicate")]),
        (r#"{"offices":[null]}"#, &[("/offices/0", "type")]),
        (r#"{"offices":[1]}"#, &[("/offices/0", "type")]),
        (
            r#"{"offices":[{}]}"#,
            &[("/offices/0/type", "required"), ("/offices/0/data", "required")],
        ),
        (
            r#"{"offices":[{"type":"office","data":{}}]}"#,
            &[("/offices/0/data/city", "required")],
        ),
        (
            r#"{"offices":[{"type":"home","data":{}}]}"#,
            &[("/offices/0/type", "type")],
        ),
        (
            r#"{"offices":[{"type":"offfice","data":{}}]}"#,
            &[("/offices/0/type", "type")],
        ),
        (
            r#"{"offices":[{"type":3,"data":{}}]}"#,
            &[("/offices/0/type", "type")],
        ),
        (
            r#"{"offices":[{"type":"office","data":7}]}"#,
            &[("/offices/0/data", "type")],
        ),
        (
            r#"{"offices":[{"type":"office","data":{"city":"x"},"meta":{}}]}"#,
            &[("/offices/0/meta", "unknown")],
        ),
        (
            r#"{"offices":[{"type":"office","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/type", "duplicate")],
        ),
        (
            r#"{"offices":[{"id":"a","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":5,"type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "type")],
        ),
        (
            r#"{"offices":[{"id":"aa","type":"office","data":{"city":"x"}}],"main":[{"id":"aa","type":"home","data":{}}]}"#,
            &[("/main/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":"aa","type":"office","data":{"city":"x"}},{"id":"bb","type":"office","data":{"city":"x"}},{"id":"\u0061a","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/2/id", "id")],
        ),
        (
            r#"{"main":[{"type":"home","data":{}},{"type":"home","data":{}}]}"#,
            &[("/main", "cardinality")],
        ),
        (
            r#"{"offices":[{"type":"office","data":{"city":"x"},"contained":{"rooms":[{"data":{"door":"1"},"type":"room"},{"type":"room","data":{},"contained":{"x":[]}}]}}]}"#,
            &[
                ("/offices/0/contained/rooms/0/data/door", "type"),
                ("/offices/0/contained/rooms/1/contained/x", "unknown"),
            ],
        ),
        (
            r#"{"offices":[{"id":"clinic/xx/offices/aa","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":"provider/xx/main/aa","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":"provider/xx/aa","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":"provider/xx/offices/","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
        (
            r#"{"offices":[{"id":"provider/other/offices/aa","type":"office","data":{"city":"x"}}]}"#,
            &[("/offices/0/id", "id")],
        ),
    ];
    for (contained, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, rule)| (format!("/create/contained{path}"), *rule))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, rule)| (path.as_str(), *rule))
            .collect();
        // The order of the members changes nothing.
        let members = [
            r#""type":"provider""#,
            r#""id":"xx""#,
            r#""data":{"name":"a"}"#,
            &format!(r#""contained":{contained}"#),
        ];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2]] {
            let payload = order.map(|n| members[n]).join(",");
            faults(
                resource(&format!(r#"{{"action":"CREATE","create":{{{payload}}}}}"#)),
                &expected,
            );
        }
    }
}

#[test]
fn cardinalities_with_a_lower_bound() {
    let op = |rest: &str| {
        resource(&format!(
            r#"{{"action":"CREATE","create":{{"type":"strict","data":{{}}{rest}}}}}"#
        ))
    };
    let both = [
        ("/create/contained/one", "cardinality"),
        ("/create/contained/some", "cardinality"),
    ];
    faults(op(""), &both);
    faults(op(r#","contained":null"#), &both);
    faults(op(r#","contained":{}"#), &both);
    faults(op(r#","contained":{"one":null,"some":[]}"#), &both);
    let home = r#"{"type":"home","data":{}}"#;
    faults(
        op(&format!(
            r#","contained":{{"one":[{home},{home}],"some":[{home}]}}"#
        )),
        &both[..1],
    );
    assert!(
        op(&format!(
            r#","contained":{{"one":[{home}],"some":[{home},{home}]}}"#
        ))
        .is_ok()
    );
}

#[test]
fn details_are_capped_and_counted() {
    let unknown: Vec<String> = (0..250).map(|n| format!(r#""x{n}":1"#)).collect();
    let error = error(create(&format!(r#"{{"name":"a",{}}}"#, unknown.join(","))));
    assert_eq!((error.details.len(), error.details_total), (100, Some(250)));
    assert!(
        error
            .message
            .starts_with("250 faults, the first at /create/data/x0: "),
        "{}",
        error.message
    );
}

#[test]
fn depth_is_a_limit_of_the_operation() {
    let op = |n: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    let limits = Limits::default();
    with_checker(TargetType::Resource, &limits, |checker| {
        let mut body = Vec::new();
        let mut check = |json: &str| checker.operation(json.as_bytes(), &mut body);
        let Err(Rejection::Invalid(error)) = check(&op(63)) else {
            panic!()
        };
        assert_eq!(error.code, 400);
        let Err(Rejection::Invalid(error)) = check(&op(64)) else {
            panic!()
        };
        assert_eq!(error.code, 413);
        assert!(error.message.contains("jsonDepth of 64"), "{}", error.message);
        // Past the depth it must still be JSON.
        let broken = op(100_000).replace("]}", "}}");
        assert!(matches!(check(&broken), Err(Rejection::Syntax { .. })));
        let matrix = format!(
            r#"{{"action":"CREATE","create":{{"type":"provider","data":{{"name":"a","matrix":{}{}}}}}}}"#,
            "[".repeat(100),
            "]".repeat(100)
        );
        let Err(Rejection::Invalid(error)) = check(&matrix) else {
            panic!()
        };
        assert_eq!(error.code, 413);
    });
    let deep = Limits {
        json_depth: u64::MAX,
        ..Limits::default()
    };
    with_checker(TargetType::Resource, &deep, |checker| {
        // Rooms hold rooms: the check recurses as deep as it may, and no deeper.
        let rooms = |n: usize| {
            let open = r#"{"type":"room","data":{},"contained":{"rooms":["#.repeat(n);
            let inner = format!("{open}{{\"type\":\"room\",\"data\":{{}}}}{}", "]}}".repeat(n));
            format!(
                r#"{{"action":"CREATE","create":{{"type":"provider","data":{{"name":"a"}},"contained":{{"offices":[{{"type":"office","data":{{"city":"x"}},"contained":{{"rooms":[{inner}]}}}}]}}}}}}"#
            )
        };
        let mut body = Vec::new();
        checker.operation(rooms(160).as_bytes(), &mut body).unwrap();
        let Err(Rejection::Invalid(error)) = checker.operation(rooms(1_000).as_bytes(), &mut body) else {
            panic!()
        };
        assert_eq!(error.code, 413);
    });
}

#[test]
fn what_is_not_json_tells_the_byte() {
    for (json, at) in [
        (
            r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"a",}}}"#,
            66,
        ),
        (r#"{"action":"CREATE"} x"#, 20),
        (r#"{"action":"CREATE","x":{"y":[1 2]}}"#, 31),
        (
            r#"{"action":"CREATE","create":{"data":{"x":nul},"type":"clinic"}}"#,
            44,
        ),
    ] {
        let Err(Rejection::Syntax { offset, .. }) = resource(json) else {
            panic!("{json}")
        };
        assert_eq!(offset, at, "{json}");
    }
}

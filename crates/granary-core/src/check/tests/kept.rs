//! Records of an export, read back.

use super::helpers::*;
use crate::check::{KeptRecord, Rejection, body_fits};
use crate::limits::Limits;
use crate::operation::{Action, TargetType};

const META: &str = r#""meta":{"createdAt":"1999-01-01T00:00:00.000Z","updatedAt":"2001-01-01T00:00:00.000Z","source":"s","version":7}"#;

fn kept(target: TargetType, json: &str) -> Result<(KeptRecord, String), Rejection> {
    with_checker(target, &Limits::default(), |checker| {
        let mut body = b"before".to_vec();
        let kept = checker.kept(json.as_bytes(), &mut body);
        let body = String::from_utf8(body).unwrap();
        assert!(kept.is_ok() || body == "before", "{body}");
        Ok((kept?, body["before".len()..].to_owned()))
    })
}

/// What is wrong with it, each with its pointer.
fn faults(target: TargetType, json: &str) -> Vec<String> {
    match kept(target, json) {
        Err(Rejection::Invalid(error)) => { error.details.iter() }
            .map(|detail| format!("{} {}", detail.path.as_deref().unwrap_or("-"), detail.message))
            .collect(),
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn a_resource_comes_back_as_the_operation_that_stored_it() {
    let content = r#""data":{"name":"a","fee":1.10},"contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]}"#;
    let sent = format!(r#"{{"action":"CREATE","create":{{"id":"ada","type":"provider",{content}}}}}"#);
    let (operation, stored) = with_checker(TargetType::Resource, &Limits::default(), |checker| {
        let mut body = Vec::new();
        let operation = checker.operation(sent.as_bytes(), &mut body)?;
        Ok::<_, Rejection>((operation, String::from_utf8(body).unwrap()))
    })
    .unwrap();
    // In any order, with blanks.
    let lines = [
        format!(r#"{{"id":"ada","type":"provider",{content},{META}}}"#),
        format!(r#" {{ {META} , {content} , "type" : "provider","id":"ada" }} "#),
    ];
    for line in lines {
        let (kept, body) = kept(TargetType::Resource, &line).unwrap();
        assert_eq!(body, stored);
        assert_eq!((kept.version, kept.operation.action), (7, Action::Create));
        assert_eq!(
            (&kept.operation.id, kept.operation.hash),
            (&operation.id, operation.hash)
        );
        let meta = kept.operation.meta.unwrap();
        assert_eq!(meta.created_at.unwrap().to_string(), "1999-01-01T00:00:00.000Z");
        assert_eq!(meta.updated_at.unwrap().to_string(), "2001-01-01T00:00:00.000Z");
        assert!(meta.identifiers.is_none());
    }
}

#[test]
fn what_no_longer_fits_its_definition_comes_back_all_the_same() {
    let line = format!(
        r#"{{"id":"ada","type":"provider","data":{{"gone":[{{"x":null}}]}},"contained":{{"old":[]}},{META}}}"#
    );
    let (_, body) = kept(TargetType::Resource, &line).unwrap();
    assert_eq!(body, r#"{"data":{"gone":[{"x":null}]},"contained":{"old":[]}}"#);
    let ends = r#""from":{"id":"ada","type":"provider"},"to":{"id":"xx","type":"clinic"}"#;
    let line = format!(r#"{{"id":"ada.xx","type":"owns",{ends},{META}}}"#);
    let (kept, body) = kept(TargetType::Relationship, &line).unwrap();
    assert_eq!(
        (kept.operation.id.to_string(), body.as_str()),
        ("ada.xx".to_owned(), "")
    );
}

#[test]
fn a_time_that_a_clock_gave_that_ran_ahead_is_kept() {
    let meta = META.replace("2001-01-01", "2999-01-01");
    assert_ne!(meta, META);
    for (from, until) in [("1999", "1999"), ("1999", "2998")] {
        let meta = meta.replace(from, until);
        let line = format!(r#"{{"id":"ada","type":"provider","data":{{}},{meta}}}"#);
        let (kept, _) = kept(TargetType::Resource, &line).unwrap();
        let kept = kept.operation.meta.unwrap();
        let years = [kept.created_at, kept.updated_at].map(|at| at.unwrap().to_string()[..4].to_owned());
        assert_eq!(years, [until, "2999"]);
    }
}

#[test]
fn what_a_store_relies_on_is_seen_to() {
    let resource = |members: &str| faults(TargetType::Resource, &format!("{{{members}}}"));
    let whole = format!(r#""id":"ada","type":"provider","data":{{}},{META}"#);
    assert_eq!(
        resource(""),
        [
            "/id 'id' is required",
            "/type 'type' is required",
            "/data 'data' is required",
            "/meta 'meta' is required"
        ]
    );
    for (from, to, told) in [
        (r#""id":"ada""#, r#""id":"_a""#, "/id "),
        (
            r#""provider""#,
            r#""office""#,
            "/type profile 'office' is CONTAINED",
        ),
        (r#""data":{}"#, r#""data":[]"#, "/data expected an object"),
        (
            r#""data":{}"#,
            r#""data":{},"contained":1"#,
            "/contained expected an object",
        ),
        (
            r#""data":{}"#,
            r#""data":{},"data":{}"#,
            "/data 'data' is given twice",
        ),
        (r#""data":{}"#, r#""data":{},"from":{}"#, "/from "),
        (
            r#""version":7"#,
            r#""version":0"#,
            "/meta/version '0' is no version",
        ),
        (
            r#""version":7"#,
            r#""version":1e3"#,
            "/meta/version '1e3' is no version",
        ),
        (r#""version":7"#, r#""version":2147483648"#, "/meta/version "),
        (
            r#""version":7"#,
            r#""version":"7""#,
            "/meta/version expected a number",
        ),
        (r#","version":7"#, "", "/meta/version 'version' is required"),
        (
            r#""createdAt":"1999-01-01T00:00:00.000Z","#,
            "",
            "/meta/createdAt ",
        ),
        (
            r#""updatedAt":"2001-01-01T00:00:00.000Z","#,
            "",
            "/meta/updatedAt 'updatedAt' is required",
        ),
        (r#""updatedAt":"2001"#, r#""updatedAt":"1998"#, "/meta/updatedAt "),
        (r#""source":"s""#, r#""tags":[]"#, "/meta/tags "),
    ] {
        assert!(whole.contains(from), "{from}");
        let told_of = resource(&whole.replace(from, to));
        assert!(
            told_of.iter().any(|fault| fault.starts_with(told)),
            "{to}: {told_of:?}"
        );
    }
    let contained = |items: &str| format!(r#"{{{whole},"contained":{{"old":{items}}}}}"#);
    for fits in [
        "null",
        "[]",
        r#"[{"id":"aa","type":"gone","data":{},"contained":null},{"id":"bb","type":"gone","data":{"x":1},
           "contained":{"y":[{"id":"aa","type":"z","data":{}}]}}]"#,
    ] {
        assert!(kept(TargetType::Resource, &contained(fits)).is_ok(), "{fits}");
    }
    for (items, told) in [
        ("{}", "/contained/old expected an array"),
        ("[1]", "/contained/old/0 expected a contained resource"),
        (
            r#"[{"type":"x","data":{}}]"#,
            "/contained/old/0/id 'id' is required",
        ),
        (
            r#"[{"id":null,"type":"x","data":{}}]"#,
            "/contained/old/0/id expected a string",
        ),
        (
            r#"[{"id":"a/b/old/cc","type":"x","data":{}}]"#,
            "/contained/old/0/id ",
        ),
        (
            r#"[{"id":"aa","data":{}}]"#,
            "/contained/old/0/type 'type' is required",
        ),
        (
            r#"[{"id":"aa","type":"x"}]"#,
            "/contained/old/0/data 'data' is required",
        ),
        (
            r#"[{"id":"aa","type":"x","data":{},"meta":{}}]"#,
            "/contained/old/0/meta ",
        ),
        (
            r#"[{"id":"aa","type":"x","data":{}},{"id":"aa","type":"x","data":{}}]"#,
            "/contained/old/1/id 'aa' is the id at /contained/old/0 too",
        ),
        (
            r#"[{"id":"aa","type":"x","data":{},"contained":{"in":[{}]}}]"#,
            "/contained/old/0/contained/in/0/id 'id' is required",
        ),
        (r#"[],"old":[]"#, "/contained/old 'old' is given twice"),
    ] {
        let told_of = faults(TargetType::Resource, &contained(items));
        assert!(
            told_of.iter().any(|fault| fault.starts_with(told)),
            "{items}: {told_of:?}"
        );
    }
    let (kept, body) = kept(TargetType::Resource, &format!("{{{whole}}}")).unwrap();
    let hash = kept.operation.hash.unwrap();
    with_checker(TargetType::Resource, &Limits::default(), |checker| {
        assert!(body_fits(&checker.hash_key, body.as_bytes(), &hash));
        assert!(!body_fits(&checker.hash_key, br#"{"data":{"a":1}}"#, &hash));
        assert!(!body_fits(&checker.hash_key, b"", &hash) && !body_fits(&checker.hash_key, b"x", &hash));
    });
}

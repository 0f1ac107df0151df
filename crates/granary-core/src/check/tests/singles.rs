//! Single writes: pointers into the body, the type and the id of the path.

use super::helpers::*;
use crate::check::Rejection;
use crate::keys::ResourceId;
use crate::limits::Limits;
use crate::operation::{Action, TargetType};

fn resource(type_key: &str, action: Action, id: Option<&str>, json: &str) -> Checked {
    with_checker(TargetType::Resource, &Limits::default(), |checker| {
        let index = checker.schema.resource_type(type_key).unwrap();
        let id = id.map(|id| ResourceId::parse(id).unwrap());
        let mut body = Vec::new();
        let operation = checker.resource(index, action, id.as_ref(), json.as_bytes(), &mut body)?;
        assert_eq!(operation.type_index, index);
        Ok((operation, String::from_utf8(body).unwrap()))
    })
}

fn edge(type_key: &str, json: &str) -> Checked {
    with_checker(TargetType::Relationship, &Limits::default(), |checker| {
        let index = checker.schema.relationship_type(type_key).unwrap();
        let mut body = Vec::new();
        let operation = checker.relationship(index, Action::Create, json.as_bytes(), &mut body)?;
        Ok((operation, String::from_utf8(body).unwrap()))
    })
}

#[test]
fn creates_and_upserts() {
    use Action::{Create, Upsert};
    let marked = "\u{feff}{\"data\":{\"name\":\"a\"}}";
    assert!(resource("provider", Create, None, marked).is_ok());
    let broken = resource("provider", Create, None, "\u{feff}x");
    assert!(matches!(broken, Err(Rejection::Syntax { offset: 3, .. })));
    // Only a whole body may begin so.
    let among_others = check(
        TargetType::Resource,
        "\u{feff}{\"create\":{\"type\":\"provider\",\"data\":{\"name\":\"a\"}}}",
    );
    assert!(matches!(among_others, Err(Rejection::Syntax { offset: 0, .. })));
    let (operation, body) = resource("provider", Create, None, r#" {"data" : {"name":"a"}} "#).unwrap();
    assert_eq!(
        (operation.action, body.as_str()),
        (Create, r#"{"data":{"name":"a"}}"#)
    );
    let (operation, _) = resource(
        "provider",
        Create,
        None,
        r#"{"id":"p1","type":"provider","data":{"name":"a"}}"#,
    )
    .unwrap();
    assert_eq!(operation.id.to_string(), "p1");
    for id in ["", r#""id":"p1","#] {
        let json = format!(r#"{{{id}"data":{{"name":"a"}}}}"#);
        let (operation, _) = resource("provider", Upsert, Some("p1"), &json).unwrap();
        assert_eq!(
            (operation.action, operation.id.to_string().as_str()),
            (Upsert, "p1")
        );
    }
    let office = r#"{"contained":{"offices":[{"id":"provider/p1/offices/o1","type":"office","data":{"city":"x"}}]},"data":{"name":"a"}}"#;
    assert!(resource("provider", Upsert, Some("p1"), office).is_ok());
    faults(
        resource("provider", Upsert, Some("p2"), office),
        &[("/contained/offices/0/id", "id")],
    );
}

#[test]
fn faults_of_single_writes() {
    use Action::{Create, Upsert};
    faults(resource("provider", Create, None, "{}"), &[("/data", "required")]);
    faults(resource("provider", Create, None, "[]"), &[("", "type")]);
    faults(
        resource(
            "provider",
            Upsert,
            Some("p1"),
            r#"{"id":"p2","type":"clinic","data":{"nam":1}}"#,
        ),
        &[
            ("/id", "id"),
            ("/type", "type"),
            ("/data/nam", "unknown"),
            ("/data/name", "required"),
        ],
    );
    faults(
        resource(
            "provider",
            Create,
            None,
            r#"{"action":"CREATE","data":{"name":"a"}}"#,
        ),
        &[("/action", "unknown")],
    );
    let checked = resource("provider", Create, None, r#"{"data":{"name":"a"}"#);
    assert!(
        matches!(checked, Err(Rejection::Syntax { offset: 20, .. })),
        "{checked:?}"
    );
}

#[test]
fn single_edges() {
    let ends = r#""from":{"id":"p1","type":"provider"},"to":{"id":"c1","type":"clinic"}"#;
    let (operation, body) = edge("worksAt", &format!("{{{ends}}}")).unwrap();
    assert_eq!((operation.id.to_string().as_str(), body.as_str()), ("p1.c1", ""));
    assert!(
        edge(
            "worksAt",
            &format!(r#"{{"type":"worksAt","id":"p1.c1","data":{{}},{ends}}}"#)
        )
        .is_ok()
    );
    faults(
        edge("worksAt", &format!(r#"{{"type":"owns","id":"p1.c2",{ends}}}"#)),
        &[("/type", "type"), ("/id", "id")],
    );
    faults(edge("owns", &format!("{{{ends}}}")), &[("/data", "required")]);
}

#[test]
fn a_type_of_the_other_kind_is_our_fault() {
    with_checker(TargetType::Resource, &Limits::default(), |checker| {
        let edge_type = checker.schema.relationship_type("owns").unwrap();
        for index in [edge_type, 999] {
            let checked = checker.resource(index, Action::Create, None, b"{}", &mut Vec::new());
            assert!(matches!(checked, Err(Rejection::Invalid(error)) if error.code == 500));
        }
        let checked = checker.relationship(0, Action::Create, b"{}", &mut Vec::new());
        assert!(matches!(checked, Err(Rejection::Invalid(error)) if error.code == 500));
    });
}

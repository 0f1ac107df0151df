//! Operations on edges.

use super::helpers::*;
use crate::operation::{Action, RecordId};

const FROM: &str = r#""from":{"id":"p1","type":"provider"}"#;
const TO: &str = r#""to":{"type":"clinic","id":"c1"}"#;

fn op(action: &str, members: &[&str]) -> Checked {
    let payload = action.to_lowercase();
    edge(&format!(
        r#"{{"action":"{action}","{payload}":{{{}}}}}"#,
        members.join(",")
    ))
}

#[test]
fn edges_pass_in_any_order_of_members() {
    let members = [
        r#""type":"worksAt""#,
        FROM,
        TO,
        r#""data":{ "since":"2020" }"#,
        r#""id":"p1.c1""#,
    ];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 1, 2, 4, 0]] {
        for action in ["CREATE", "UPSERT"] {
            let (operation, body) = op(action, &order.map(|n| members[n])).unwrap();
            assert_eq!(body, r#"{"data":{"since":"2020"}}"#);
            assert_eq!(operation.id.to_string(), "p1.c1");
            assert!(matches!(operation.id, RecordId::Relationship { .. }));
            assert_eq!(operation.type_index, 3);
        }
    }
}

#[test]
fn an_edge_without_data_has_no_body() {
    let (without, body) = op("CREATE", &[r#""type":"worksAt""#, FROM, TO]).unwrap();
    assert_eq!(body, "");
    let (null, body) = op(
        "CREATE",
        &[r#""type":"worksAt""#, FROM, TO, r#""data":null,"meta":{}"#],
    )
    .unwrap();
    assert_eq!(body, "");
    let (empty, body) = op("CREATE", &[r#""type":"worksAt""#, FROM, TO, r#""data":{}"#]).unwrap();
    assert_eq!(body, r#"{"data":{}}"#);
    assert_eq!(without.hash, null.hash);
    assert_ne!(without.hash, empty.hash);
}

#[test]
fn an_edge_is_deleted_by_id_or_ends() {
    let ways: [&[&str]; 4] = [
        &[r#""type":"owns""#, r#""id":"p1.c1""#],
        &[r#""type":"owns""#, FROM, TO],
        &[r#""type":"owns""#, FROM, TO, r#""id":"p1.c1""#],
        &[FROM, r#""id":"p1.c1""#, r#""type":"owns""#],
    ];
    for members in ways {
        let (operation, body) = op("DELETE", members).unwrap();
        assert_eq!(
            (operation.action, operation.hash, body.as_str()),
            (Action::Delete, None, "")
        );
        assert_eq!(operation.id.to_string(), "p1.c1");
    }
}

#[test]
fn faults_of_edges() {
    let works = r#""type":"worksAt""#;
    type Case<'c> = (&'c str, &'c [&'c str], &'c [(&'c str, &'c str)]);
    let cases: &[Case<'_>] = &[
        (
            "CREATE",
            &[],
            &[("/type", "required"), ("/from", "required"), ("/to", "required")],
        ),
        ("CREATE", &[works, FROM], &[("/to", "required")]),
        ("CREATE", &[works, FROM, r#""to":null"#], &[("/to", "required")]),
        ("CREATE", &[works, FROM, r#""to":"c1""#], &[("/to", "type")]),
        (
            "CREATE",
            &[works, FROM, r#""to":{}"#],
            &[("/to/id", "required"), ("/to/type", "required")],
        ),
        (
            "CREATE",
            &[works, FROM, r#""to":{"id":"c","type":"clinic"}"#],
            &[("/to/id", "id")],
        ),
        (
            "CREATE",
            &[works, FROM, r#""to":{"id":"c1","type":"provider"}"#],
            &[("/to/type", "type")],
        ),
        (
            "CREATE",
            &[r#""to":{"id":"c1","type":"provider"}"#, works, FROM],
            &[("/to/type", "type")],
        ),
        (
            "CREATE",
            &[works, FROM, r#""to":{"id":"c1","type":7}"#],
            &[("/to/type", "type")],
        ),
        (
            "CREATE",
            &[works, FROM, r#""to":{"id":"c1","type":"clinic","x":1}"#],
            &[("/to/x", "unknown")],
        ),
        (
            "CREATE",
            &[works, FROM, r#""to":{"id":"c1","id":"c1","type":"clinic"}"#],
            &[("/to/id", "duplicate")],
        ),
        ("CREATE", &[works, FROM, FROM, TO], &[("/from", "duplicate")]),
        ("CREATE", &[works, FROM, TO, r#""id":"p1.c2""#], &[("/id", "id")]),
        ("CREATE", &[r#""id":"c1.p1""#, works, FROM, TO], &[("/id", "id")]),
        ("CREATE", &[works, FROM, TO, r#""id":"p1""#], &[("/id", "id")]),
        (
            "CREATE",
            &[works, FROM, TO, r#""contained":{}"#],
            &[("/contained", "unknown")],
        ),
        (
            "CREATE",
            &[works, FROM, TO, r#""data":{"sinc":"2020"}"#],
            &[("/data/sinc", "unknown")],
        ),
        (
            "CREATE",
            &[r#""data":{"since":"20"}"#, works, FROM, TO],
            &[("/data/since", "type")],
        ),
        ("CREATE", &[works, FROM, TO, r#""data":[]"#], &[("/data", "type")]),
        (
            "CREATE",
            &[works, FROM, TO, r#""meta":{"createdAt":1}"#],
            &[("/meta/createdAt", "type")],
        ),
        (
            "CREATE",
            &[r#""type":"owns""#, FROM, TO],
            &[("/data", "required")],
        ),
        (
            "CREATE",
            &[r#""type":"owns""#, FROM, TO, r#""data":{}"#],
            &[("/data/share", "required")],
        ),
        ("CREATE", &[r#""type":"workAt""#, FROM, TO], &[("/type", "type")]),
        (
            "UPSERT",
            &[r#""type":"provider""#, FROM, TO],
            &[("/type", "type")],
        ),
        ("DELETE", &[works], &[("/from", "required"), ("/to", "required")]),
        ("DELETE", &[works, FROM], &[("/to", "required")]),
        ("DELETE", &[works, FROM, TO, r#""id":"p1.c2""#], &[("/id", "id")]),
        ("DELETE", &[works, TO, r#""id":"p1.c2""#], &[("/id", "id")]),
        ("DELETE", &[works, r#""id":"p1.c1.x""#], &[("/id", "id")]),
        (
            "DELETE",
            &[works, r#""id":"p1.c1","data":{}"#],
            &[("/data", "unknown")],
        ),
        ("DELETE", &[works, r#""id":["p1.c1"]"#], &[("/id", "type")]),
    ];
    for (action, members, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, rule)| (format!("/{}{path}", action.to_lowercase()), *rule))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, rule)| (path.as_str(), *rule))
            .collect();
        faults(op(action, members), &expected);
    }
}

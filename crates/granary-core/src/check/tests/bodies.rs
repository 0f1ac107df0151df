//! What passes: the operation, its body and its hash.

use super::helpers::*;
use crate::ksuid::Ksuid;
use crate::operation::{Action, ContentHash, RecordId};
use crate::time::Timestamp;

fn passed(checked: Checked) -> (crate::operation::Operation, String) {
    checked.unwrap()
}

fn id_of(operation: &crate::operation::Operation) -> String {
    operation.id.to_string()
}

fn hash(json: &str) -> ContentHash {
    passed(resource(json)).0.hash.unwrap()
}

#[test]
fn the_create_of_the_founding_text() {
    let json = r#"
        {
            "action": "CREATE",
            "create": {
                "type": "provider",
              	"data": {
                    "name": "John  Doe",
                    "practiceNumber": 1020993,
                    "specialities": [
                        "Pharmacist"
                    ]
               	}
            }
        }"#;
    let (operation, body) = passed(resource(json));
    assert_eq!(
        body,
        r#"{"data":{"name":"John  Doe","practiceNumber":1020993,"specialities":["Pharmacist"]}}"#
    );
    assert_eq!((operation.action, operation.type_index), (Action::Create, 0));
    assert!(Ksuid::parse(&id_of(&operation)).is_some());
}

#[test]
fn upsert_and_delete() {
    let (operation, body) = passed(resource(
        r#"{"upsert":{"data":{"name":"a"},"id":"2eVocVVgjAWYJ74DifXluwVtSYs","type":"provider"},"action":"UPSERT"}"#,
    ));
    assert_eq!(
        (operation.action, id_of(&operation).as_str()),
        (Action::Upsert, "2eVocVVgjAWYJ74DifXluwVtSYs")
    );
    assert_eq!(body, r#"{"data":{"name":"a"}}"#);
    let (operation, body) = passed(resource(
        r#"{"action":"DELETE","delete":{"id":"ab","type":"clinic"}}"#,
    ));
    assert_eq!(
        (operation.hash, body.as_str(), operation.type_index),
        (None, "", 1)
    );
    assert!(matches!(operation.id, RecordId::Resource(id) if id.as_str() == "ab"));
}

#[test]
fn bytes_of_data_are_kept() {
    let data =
        r#"{"notes":"é\u00e9\/\ud83d\ude00","fee":1.10,"name":"","born":null,"specialities":[],"rank":-0}"#;
    // -0 is 0, which is not among the ranks.
    faults(create(data), &[("/create/data/rank", "enum")]);
    let data = data.replace("-0", "3");
    let (_, body) = passed(create(&format!(" {data} ")));
    assert_eq!(body, format!(r#"{{"data":{data}}}"#));
    for data in [
        r#"{"name":"a","fee":0.50}"#,
        r#"{"name":"a","fee":1000}"#,
        r#"{"name":"a","fee":10000e-1}"#,
        r#"{"name":"a","grade":15e-1}"#,
        r#"{"name":"a","grade":2.000}"#,
        r#"{"n\u0061me":"a"}"#,
        r#"{"name":"a","matrix":[[],[1,2]],"phones":[{"number":"1"}]}"#,
        r#"{"name":"a","seen":"2020","stamp":"2020-01-01T00:00:00Z","opens":"10:00:00","site":"mailto:a@b","system":"urn:x"}"#,
        r#"{"name":"a","license":"AB12"}"#,
        r#"{"name":"a","license":"\u0041B12"}"#,
    ] {
        assert_eq!(passed(create(data)).1, format!(r#"{{"data":{data}}}"#));
    }
}

#[test]
fn contained_resources_get_ids() {
    let (_, body) = passed(resource(
        r#"{"action":"CREATE","create":{"type":"provider","id":"p1","data":{"name":"a"},"contained":{ "offices": [
            {"type":"office","data":{"city":"x"},"contained":{"rooms":[ {"data":{"door":1}, "type":"room"} ]}},
            {"id":"provider/p1/offices/o7","type":"office","data":{"city":"y"}},
            {"id": null ,"type":"office","data":{"city":"z"}},
            {"id":"\u006f8","type":"office","data":{"city":"z"}}
        ]}}}"#,
    ));
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let offices = value["contained"]["offices"].as_array().unwrap();
    let ids: Vec<&str> = offices
        .iter()
        .map(|office| office["id"].as_str().unwrap())
        .collect();
    assert!(Ksuid::parse(ids[0]).is_some() && Ksuid::parse(ids[2]).is_some());
    assert_eq!((ids[1], ids[3]), ("o7", "o8"));
    let room = &offices[0]["contained"]["rooms"][0];
    assert!(Ksuid::parse(room["id"].as_str().unwrap()).is_some());
    assert_ne!(room["id"], offices[0]["id"]);
    let room = format!(r#"{{"data":{{"door":1}},"type":"room","id":{}}}"#, room["id"]);
    let expected = format!(
        r#"{{"data":{{"name":"a"}},"contained":{{"offices":[{{"type":"office","data":{{"city":"x"}},"contained":{{"rooms":[{room}]}},"id":"{}"}},{{"id":"o7","type":"office","data":{{"city":"y"}}}},{{"id":"{}","type":"office","data":{{"city":"z"}}}},{{"id":"o8","type":"office","data":{{"city":"z"}}}}]}}}}"#,
        ids[0], ids[2]
    );
    assert_eq!(body, expected);
}

#[test]
fn the_order_of_members_changes_neither_body_nor_hash() {
    let members = [
        r#""type":"provider""#,
        r#""id":"p1""#,
        r#""data":{"name": "a"}"#,
        r#""contained":{"offices":[{"data":{"city":"x"},"contained":{"rooms":[{"data":{},"type":"room"}]},"type":"office"}], "main": []}"#,
    ];
    let mut seen = Vec::new();
    for order in [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [2, 3, 0, 1],
        [3, 0, 2, 1],
        [0, 3, 2, 1],
        [1, 2, 3, 0],
    ] {
        let payload = order.map(|n| members[n]).join(",");
        let (operation, body) = passed(resource(&format!(
            r#"{{"action":"UPSERT","upsert":{{{payload}}}}}"#
        )));
        assert!(
            body.starts_with(
                r#"{"data":{"name":"a"},"contained":{"offices":[{"data":{"city":"x"},"contained""#
            ),
            "{body}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
        seen.push((operation.hash, body));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
}

#[test]
fn the_hash_is_of_what_was_sent() {
    let op = |rest: &str| {
        hash(&format!(
            r#"{{"action":"UPSERT","upsert":{{"type":"provider","id":"p1",{rest}}}}}"#
        ))
    };
    let same = [
        op(r#""data":{"name":"a"}"#),
        op(r#""data": { "name" : "a" } "#),
        op(r#""contained":null,"data":{"name":"a"},"meta":{}"#),
    ];
    assert!(same.windows(2).all(|pair| pair[0] == pair[1]));
    let different = [
        op(r#""data":{"name":"a"}"#),
        op(r#""data":{"name":"\u0061"}"#),
        op(r#""data":{"name":"a "}"#),
        op(r#""data":{"name":"a"},"contained":{}"#),
        op(r#""data":{"name":"a"},"contained":{"offices":[]}"#),
        op(r#""data":{"name":"a"},"contained":{"offices":[{"type":"office","data":{"city":"x"}}]}"#),
        op(
            r#""data":{"name":"a"},"contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]}"#,
        ),
    ];
    for (n, one) in different.iter().enumerate() {
        assert!(different[n + 1..].iter().all(|other| other != one));
    }
    // The operation's own id is not part of it.
    let other = hash(r#"{"action":"UPSERT","upsert":{"type":"provider","id":"p2","data":{"name":"a"}}}"#);
    assert_eq!(same[0], other);
}

#[test]
fn ids_that_the_server_made_do_not_count() {
    let op = |rest: &str| {
        hash(&format!(
            r#"{{"action":"UPSERT","upsert":{{"type":"provider","id":"p1",{rest}}}}}"#
        ))
    };
    // Generated ids differ between the two, which is not a change.
    let sent = r#""data":{"name":"a"},"contained":{"offices":[{"type":"office","data":{"city":"x"}},{"type":"office","data":{"city":"y"}}]}"#;
    let (first, again) = with_checker(
        crate::operation::TargetType::Resource,
        &crate::limits::Limits::default(),
        |checker| {
            let json = format!(r#"{{"action":"UPSERT","upsert":{{"type":"provider","id":"p1",{sent}}}}}"#);
            let mut run = || {
                let mut body = Vec::new();
                (checker.operation(json.as_bytes(), &mut body).unwrap().hash, body)
            };
            (run(), run())
        },
    );
    assert_eq!(first.0, again.0);
    assert_ne!(first.1, again.1);
    // What is stored can be sent back; ids of others, and those of the client, count.
    let stored = String::from_utf8(first.1).unwrap();
    let read = |stored: &str| op(stored.trim_start_matches('{').strip_suffix('}').unwrap());
    assert_eq!(Some(read(&stored)), first.0);
    let id = stored
        .split(r#""id":""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let others = Ksuid::from_parts(Timestamp::from_millis(0), [7; 16]).to_text();
    for other in ["o1", std::str::from_utf8(&others).unwrap()] {
        assert_ne!(Some(read(&stored.replace(id, other))), first.0, "{other}");
    }
    // Wherever they stand, an id goes with its name and a comma.
    let first_of_members = stored.replace(
        &format!(r#"{{"type":"office","data":{{"city":"x"}},"id":"{id}"}}"#),
        &format!(r#"{{"id":"{id}","type":"office","data":{{"city":"x"}}}}"#),
    );
    assert_ne!(first_of_members, stored);
    assert_eq!(Some(read(&first_of_members)), first.0);
    // However its name is spelled, and whether it was left out or null.
    assert_eq!(Some(read(&stored.replacen("\"id\"", "\"\\u0069d\"", 1))), first.0);
    let null = sent.replacen("{\"type\"", "{\"id\":null,\"type\"", 1);
    assert_eq!(Some(op(&null)), first.0);
}

#[test]
fn bodies_are_appended() {
    let limits = crate::limits::Limits::default();
    with_checker(crate::operation::TargetType::Resource, &limits, |checker| {
        let mut body = Vec::new();
        let contained_first = r#"{"action":"UPSERT","upsert":{"type":"provider","id":"p1","contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]},"data":{"name":"a"}}}"#;
        for _ in 0..3 {
            checker.operation(contained_first.as_bytes(), &mut body).unwrap();
            checker.operation(b"{}", &mut body).unwrap_err();
        }
        let one = r#"{"data":{"name":"a"},"contained":{"offices":[{"id":"o1","type":"office","data":{"city":"x"}}]}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), one.repeat(3));
    });
}

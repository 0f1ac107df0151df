//! Random operations: no panic, and what passes has the body that was sent.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::helpers::*;
use crate::limits::Limits;
use crate::operation::TargetType;

fn room(depth: u32) -> BoxedStrategy<Value> {
    let rooms = if depth == 0 {
        Just(None).boxed()
    } else {
        prop::option::of(prop::collection::vec(room(depth - 1), 0..3)).boxed()
    };
    (prop::option::of(any::<i64>()), rooms)
        .prop_map(|(door, rooms)| {
            let mut room = json!({"type": "room", "data": {"door": door}});
            if let Some(rooms) = rooms {
                room["contained"] = json!({ "rooms": rooms });
            }
            room
        })
        .boxed()
}

fn operation() -> impl Strategy<Value = Value> {
    let office = ("\\PC{0,8}", prop::collection::vec(room(2), 0..3)).prop_map(
        |(city, rooms)| json!({"type": "office", "data": {"city": city}, "contained": {"rooms": rooms}}),
    );
    let data = (
        "\\PC{0,20}",
        prop::option::of(1..9_999_999_i64),
        prop::collection::vec("\\PC{2,9}", 0..4),
        any::<Option<bool>>(),
    );
    (data, prop::collection::vec(office, 0..3), any::<bool>()).prop_map(|((name, number, specialities, active), offices, upsert)| {
        let mut payload = json!({"type": "provider", "id": "p1", "data": {"name": name, "practiceNumber": number, "specialities": specialities, "active": active}});
        if !offices.is_empty() {
            payload["contained"] = json!({ "offices": offices });
        }
        if upsert {
            json!({"action": "UPSERT", "upsert": payload})
        } else {
            json!({"action": "CREATE", "create": payload})
        }
    })
}

/// The value without the ids of contained resources.
fn without_ids(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(k, _)| *k != "id")
                .map(|(k, v)| (k.clone(), without_ids(v)))
                .collect(),
        ),
        Value::Array(elements) => elements.iter().map(without_ids).collect(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_body_is_what_was_sent(operation in operation(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&operation).unwrap() } else { operation.to_string() };
        let payload = operation.get("create").or(operation.get("upsert")).unwrap();
        let (_, body) = resource(&text).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(&body["data"], &payload["data"]);
        prop_assert_eq!(body.get("contained").map(without_ids), payload.get("contained").map(without_ids));
    }

    #[test]
    fn mutated_operations_are_judged_without_panic(
        operation in operation(),
        edge: bool,
        cuts in prop::collection::vec((any::<u16>(), any::<u8>(), 0..4_u8), 1..5),
    ) {
        let mut bytes = operation.to_string().into_bytes();
        for (place, byte, how) in cuts {
            let place = place as usize % (bytes.len() + 1);
            match how {
                0 => bytes.insert(place, byte),
                1 if place < bytes.len() => { bytes.remove(place); }
                2 if place < bytes.len() => bytes[place] = b"{}[]:,\"\\0-n"[byte as usize % 11],
                _ => bytes.truncate(bytes.len() - (byte as usize % 3).min(bytes.len())),
            }
        }
        let target = if edge { TargetType::Relationship } else { TargetType::Resource };
        with_checker(target, &Limits::default(), |checker| {
            let mut body = Vec::new();
            let passed = checker.operation(&bytes, &mut body);
            prop_assert!(passed.is_ok() || body.is_empty());
            let well_formed = std::str::from_utf8(&bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            if matches!(passed, Err(crate::check::Rejection::Syntax { .. })) {
                prop_assert!(!well_formed);
            }
            if passed.is_ok() {
                prop_assert!(well_formed);
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
            }
            Ok(())
        })?;
    }
}

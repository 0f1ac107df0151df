//! What a source is called for in a day: every kind of call, with records that nobody else may read.

use serde_json::{Value, json};

use super::Logged;

/// Stands in every record, edge, identifier and fault, and in nothing else.
pub(crate) const CONTENT: &str = "tr0pical-diseas3";

pub(crate) const V1: &str = "/sources/clinic/v1";

/// The schema.
pub(crate) fn schema() -> Vec<(&'static str, String, Value)> {
    let end = |key: &str| json!({"profileKey": "patient", "includeKey": key, "includeCardinality": "0:*"});
    let patient = json!({
        "properties": {"name": {"type": "symbol", "rules": [{"max": 40}]}, "age": {"type": "integer"}},
        "contained": {"notes": {"types": ["note"], "cardinality": "0:*"}},
    });
    let text = json!({"text": {"type": "symbol"}});
    vec![
        (
            "PUT",
            "/catalog/v1/sources/clinic".to_owned(),
            json!({"type": "registry"}),
        ),
        (
            "PUT",
            format!("{V1}/profiles/note"),
            json!({"type": "CONTAINED", "properties": text}),
        ),
        ("PUT", format!("{V1}/profiles/patient"), patient),
        (
            "PUT",
            format!("{V1}/relationship-definitions/knows"),
            json!({"from": end("knows"), "to": end("knownBy"), "properties": text}),
        ),
        (
            "PUT",
            "/terminology/v1/vocabularies/colours".to_owned(),
            json!({"title": "Colours"}),
        ),
        (
            "PUT",
            "/terminology/v1/vocabularies/colours/concepts/red".to_owned(),
            json!({"definition": "red"}),
        ),
        (
            "POST",
            "/terminology/v1/vocabularies/colours/concepts/bulk".to_owned(),
            json!({"operations": [{"action": "CREATE", "create": {"code": "blue"}}]}),
        ),
    ]
}

/// Calls on data, each with the status that it gets.
pub(crate) fn of_data() -> Vec<(u16, &'static str, String, Value)> {
    let patients = format!("{V1}/resources/patient");
    let edges = format!("{V1}/relationships/knows");
    let data = json!({"name": CONTENT, "age": 5});
    let meta = json!({"identifier": [{"system": CONTENT, "value": CONTENT, "use": "usual"}]});
    let end = |id: &str| json!({"type": "patient", "id": id});
    let edge = json!({"from": end("ann"), "to": end("bob"), "data": {"text": CONTENT}});
    let note = json!([{"id": "n1", "type": "note", "data": {"text": CONTENT}}]);
    let good = json!({"action": "CREATE", "create": {"type": "patient", "id": "cyd", "data": data}});
    let bad = json!({"action": "CREATE", "create": {"type": "patient", "data": {CONTENT: CONTENT, "age": CONTENT}}});
    let identifier = format!("{CONTENT}:{CONTENT}:usual");
    let put = json!({"data": data, "meta": meta, "contained": {"notes": note}});
    vec![
        (201, "PUT", format!("{patients}/ann"), put),
        (201, "POST", patients.clone(), json!({"id": "bob", "data": data})),
        (409, "POST", patients.clone(), json!({"id": "bob", "data": data})),
        (
            400,
            "POST",
            patients.clone(),
            json!({"data": {"name": CONTENT.repeat(5), CONTENT: 1, "age": CONTENT}}),
        ),
        (400, "POST", patients.clone(), json!([CONTENT])),
        (
            400,
            "PUT",
            format!("{patients}/ann?{CONTENT}=1"),
            json!({"data": data}),
        ),
        (
            201,
            "PUT",
            format!("{patients}/ann/notes/n2"),
            json!({"type": "note", "data": {"text": CONTENT}}),
        ),
        (200, "GET", format!("{patients}/ann"), Value::Null),
        (200, "GET", format!("{patients}/{identifier}"), Value::Null),
        (404, "GET", format!("{patients}/{identifier}x"), Value::Null),
        (
            200,
            "GET",
            format!("{patients}?identifier={CONTENT}%3A{CONTENT}%3Ausual"),
            Value::Null,
        ),
        (404, "GET", format!("{patients}/{CONTENT}"), Value::Null),
        (404, "GET", format!("/{CONTENT}"), Value::Null),
        (201, "POST", edges.clone(), edge),
        (
            200,
            "PATCH",
            format!("{edges}/ann.bob"),
            json!([{"op": "test", "path": "/text", "value": CONTENT}]),
        ),
        (
            400,
            "PATCH",
            format!("{edges}/ann.bob"),
            json!([{"op": "test", "path": "/text", "value": format!("{CONTENT}x")}]),
        ),
        (
            200,
            "GET",
            format!("{edges}/ann.bob?includes=patient"),
            Value::Null,
        ),
        (
            202,
            "POST",
            format!("{V1}/resources/bulk"),
            json!({"operations": [good]}),
        ),
        (
            400,
            "POST",
            format!("{V1}/resources/bulk"),
            json!({"operations": [good, bad]}),
        ),
        (
            400,
            "POST",
            format!("{V1}/resources/bulk"),
            json!(format!("{good}\n{CONTENT}\n")),
        ),
        (
            200,
            "POST",
            format!("{V1}/bundle"),
            json!({"resourceOperations": [{"action": "UPSERT", "upsert": {"type": "patient", "id": "dan", "data": data}}]}),
        ),
        (200, "GET", format!("{V1}/tasks?kind=SINGLE"), Value::Null),
        (200, "DELETE", format!("{patients}/bob"), Value::Null),
    ]
}

impl Logged {
    pub(crate) async fn define(&self) {
        for (method, path, body) in schema() {
            let (status, answer) = self.send(method, &path, body).await;
            assert!([200, 201].contains(&status), "{method} {path}: {status} {answer}");
        }
    }
}

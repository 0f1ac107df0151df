//! Every route is called with what it takes and with what it refuses. A route without a call that succeeds fails here, and
//! so does a call of no route. What each route answers is listed at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use granary_core::limits::Limits;
use granary_test_description::{Answer, Description};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::world::{BULK, World, create_edge, refers_to, shown};

/// See the file for how it is read.
const CALLS: &str = include_str!("every_route.calls");
/// Larger than every limit of the world in which the calls are made.
const LARGE: usize = 4_000;

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::made);

struct Call<'c> {
    status: u16,
    method: &'c str,
    path: &'c str,
    body: &'c str,
    header: Option<(&'c str, &'c str)>,
}

fn calls() -> Vec<Call<'static>> {
    let lines = CALLS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let call = |line: &'static str| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
        let (status, method, path) = (word().parse().unwrap(), word(), word());
        let rest = words.next().unwrap_or_default();
        let header = ["if-match: ", "if-none-match: ", "content-type: "]
            .into_iter()
            .find_map(|name| rest.find(name));
        let (body, header) = rest.split_at(header.unwrap_or(rest.len()));
        Call {
            status,
            method,
            path,
            body: body.trim(),
            header: header.split_once(": "),
        }
    };
    lines.map(call).collect()
}

/// The route that takes a call: where several fit, a name stands behind what is said in full.
fn route_of(method: &str, path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |pattern: &str| {
        let mut parts = path.split('/');
        for expected in pattern.split('/') {
            if expected.starts_with("{*") {
                return parts.next().is_some();
            }
            let Some(part) = parts.next() else { return false };
            if !expected.starts_with('{') && part != expected {
                return false;
            }
        }
        parts.next().is_none()
    };
    let said = |pattern: &str| {
        pattern
            .split('/')
            .map(|part| part.starts_with('{'))
            .collect::<Vec<_>>()
    };
    let found = granary_server::calls()
        .filter(|(of, pattern)| of == method && fits(pattern))
        .min_by_key(|(_, pattern)| said(pattern));
    found.map(|(method, pattern)| format!("{method} {pattern}"))
}

/// A world that has something for each route. Nothing works in it, so that tasks stay as they are.
async fn prepared() -> (World, BTreeMap<&'static str, String>) {
    let limits = Limits {
        bulk_body_bytes: LARGE as u64 - 1,
        bundle_bytes: LARGE as u64 - 1,
        single_body_bytes: LARGE as u64 - 1,
        definition_bytes: LARGE as u64 - 1,
        import_bytes: LARGE as u64 - 1,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    let v1 = "/sources/clinics/v1";
    let bare = json!({"type": "CONTAINED", "properties": {}});
    let order = json!({"properties": {}, "contained": {
        "lines": {"types": ["line"], "cardinality": "0:*"},
        "note": {"types": ["line"], "cardinality": "0:1"},
        "payers": {"types": ["line"], "cardinality": "1:*"},
    }});
    let item = |id: &str| json!([{"id": id, "type": "line", "data": {}}]);
    let mut single = Value::Null;
    for (path, body) in [
        (
            "/catalog/v1/sources/spare".to_owned(),
            json!({"type": "registry"}),
        ),
        (format!("{v1}/profiles/line"), bare),
        (format!("{v1}/profiles/order"), order),
        (format!("{v1}/profiles/spare"), json!({"properties": {}})),
        (
            format!("{v1}/relationship-definitions/spareEdge"),
            definition("spare"),
        ),
        (
            format!("{v1}/resources/provider/ada"),
            json!({"data": {"name": "Ada"}}),
        ),
        (
            format!("{v1}/resources/provider/bob"),
            json!({"data": {"name": "Bob"}}),
        ),
        (
            format!("{v1}/resources/order/o1"),
            json!({"data": {}, "contained": {"lines": item("l1"), "note": item("n1"), "payers": item("p1")}}),
        ),
        (
            "/terminology/v1/vocabularies/colours".to_owned(),
            json!({"title": "Colours"}),
        ),
        (
            "/terminology/v1/vocabularies/colours/concepts/red".to_owned(),
            json!({}),
        ),
        (
            "/terminology/v1/vocabularies/colours/concepts/bulk".to_owned(),
            json!({}),
        ),
    ] {
        let answer = world
            .request(Method::PUT, &path)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201, "{path}");
        let answer: Value = answer.json().await.unwrap();
        if !answer["taskId"].is_null() {
            single = answer["taskId"].clone();
        }
    }
    let edge = create_edge("ada", "bob")["create"].clone();
    let made = world.post(&format!("{v1}/relationships/refersTo"), &edge).await;
    assert!(made.starts_with("201\n"), "{made}");
    let delete =
        |of_type: &str, id: &str| json!([{"action": "DELETE", "delete": {"type": of_type, "id": id}}]);
    let cancelled = world.accepted(BULK, delete("provider", "none")).await;
    let answer = world
        .call("POST", &format!("{v1}/tasks/{cancelled}/cancel"))
        .await;
    assert!(answer.starts_with("200\n"), "{answer}");
    let bulk = world.accepted(BULK, delete("provider", "none")).await;
    let edges = world
        .accepted(
            &format!("{v1}/relationships/bulk"),
            delete("refersTo", "ada.none"),
        )
        .await;
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "order"});
    let purge = world
        .request(Method::POST, &format!("{v1}/purge"))
        .json(&purge)
        .send()
        .await
        .unwrap();
    let purge: Value = purge.json().await.unwrap();
    // From here on all calls carry a key.
    let admin = world.admin().await;
    let key = world.key(Some(&admin), json!({"role": "reader"})).await.id;
    let mut world = world;
    world.always_sends(&admin);
    let ids = BTreeMap::from([
        ("$key", key),
        ("$bulk", bulk),
        ("$cancelled", cancelled),
        ("$edges", edges),
        ("$single", single.as_str().unwrap().to_owned()),
        ("$purge", purge["taskId"].as_str().unwrap().to_owned()),
    ]);
    (world, ids)
}

/// A relationship definition with include keys of its own.
fn definition(name: &str) -> Value {
    let mut definition = refers_to();
    definition["from"]["includeKey"] = json!(name);
    definition["to"]["includeKey"] = json!(format!("{name}By"));
    definition
}

/// Makes the call; its status, and the type of its error where it is one. It is held against the description of the API.
async fn answer(world: &World, ids: &BTreeMap<&str, String>, call: &Call<'_>) -> String {
    let path = ids
        .iter()
        .fold(call.path.to_owned(), |path, (name, id)| path.replace(name, id));
    let mut request = world.request(Method::from_bytes(call.method.as_bytes()).unwrap(), &path);
    let body = match call.body {
        "$large" => format!("\"{}\"", "x".repeat(LARGE)),
        "$definition" => definition("new").to_string(),
        body => body.to_owned(),
    };
    if !body.is_empty() {
        request = request.body(body.clone());
    }
    request = match call.header {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    if !call.body.is_empty() && call.header.is_none_or(|(name, _)| name != CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers().iter();
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let answered = read_while_it_comes(answer).await;
    let media_type = match call.header {
        Some((name, value)) if name == CONTENT_TYPE => value,
        _ => "application/json",
    };
    let sent = granary_test_description::Call {
        method: call.method,
        path: &path,
        media_type,
        body: body.as_bytes(),
    };
    let got = Answer {
        status,
        headers: &headers,
        body: &answered,
    };
    if !is_of_the_console(&path)
        && let Err(fault) = DESCRIPTION.check(&sent, &got)
    {
        panic!("{fault:#}");
    }
    let body: Value = serde_json::from_slice(&answered).unwrap_or_default();
    match body["type"].as_str() {
        Some(error) if status >= 400 => format!("{status} {error}"),
        // A request that is refused operation by operation.
        _ if status >= 400 && body["status"] == "REJECTED" => format!("{status} REJECTED"),
        _ => status.to_string(),
    }
}

/// Its body; of a task that does not end, the events that are there.
async fn read_while_it_comes(mut answer: reqwest::Response) -> Vec<u8> {
    let events = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "text/event-stream");
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        body.extend_from_slice(&piece);
        if events && body.ends_with(b"}\n\n") {
            break;
        }
    }
    body
}

/// The files that the console loads are no calls of the API.
fn is_of_the_console(path: &str) -> bool {
    path.starts_with("/console/")
}

#[test]
fn every_route_is_described_and_nothing_else() {
    // Contained resources are routed whatever their depth, and described to the second.
    let routed = |path: String| match path.split_once("/{containKey}") {
        Some((root, _)) => format!("{root}/{{*contained}}"),
        None => path,
    };
    let described = DESCRIPTION.operations().into_iter();
    let described: BTreeSet<(String, String)> =
        described.map(|(method, path)| (method, routed(path))).collect();
    let calls = granary_server::calls().filter(|(_, path)| !is_of_the_console(path));
    let calls = calls.map(|(method, path)| (method, path.to_owned()));
    assert_eq!(described, calls.collect());
}

#[tokio::test]
async fn every_route_is_called_with_what_it_takes_and_what_it_refuses() {
    let mut by_route: BTreeMap<String, Vec<Call<'_>>> = BTreeMap::new();
    for call in calls() {
        let route = route_of(call.method, call.path);
        let route = route.unwrap_or_else(|| panic!("{} {} is no route", call.method, call.path));
        by_route.entry(route).or_default().push(call);
    }
    let mut listed = String::new();
    let (mut without, mut wrong) = (Vec::new(), Vec::new());
    let mut routes: Vec<String> = granary_server::calls()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    routes.sort();
    for route in routes {
        let calls = by_route.remove(&route).unwrap_or_default();
        if !calls.iter().any(|call| (200..300).contains(&call.status)) {
            without.push(route);
            continue;
        }
        let (world, ids) = prepared().await;
        let mut answers = BTreeSet::new();
        for call in calls {
            let answer = answer(&world, &ids, &call).await;
            let Call {
                status, path, body, ..
            } = call;
            if !answer.starts_with(&status.to_string()) {
                wrong.push(format!("{route}: {path} {body}: {answer}, not {status}"));
            }
            answers.insert(answer);
        }
        let answers: Vec<String> = answers.into_iter().collect();
        let _ = writeln!(listed, "{route}: {}", answers.join(", "));
    }
    assert!(without.is_empty(), "no call that succeeds: {without:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    insta::assert_snapshot!(listed, @r#"
    DELETE /access/v1/keys/{id}: 200, 404 NOT_FOUND
    DELETE /catalog/v1/sources/{source}: 202, 400 FAILED_PRECONDITION, 404 NOT_FOUND
    DELETE /sources/{source}/v1/profiles/{key}: 200, 400 FAILED_PRECONDITION, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    DELETE /sources/{source}/v1/relationship-definitions/{key}: 200, 400 FAILED_PRECONDITION, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    DELETE /sources/{source}/v1/relationships/{type}/{id}: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    DELETE /sources/{source}/v1/resources/{type}/{id}: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    DELETE /sources/{source}/v1/resources/{type}/{id}/{*contained}: 200, 400 FAILED_PRECONDITION, 404 NOT_FOUND, 405 UNIMPLEMENTED, 412 FAILED_PRECONDITION
    DELETE /terminology/v1/vocabularies/{key}: 200, 404 NOT_FOUND
    DELETE /terminology/v1/vocabularies/{key}/concepts/bulk: 200, 404 NOT_FOUND
    DELETE /terminology/v1/vocabularies/{key}/concepts/{code}: 200, 404 NOT_FOUND
    GET /: 200, 304, 400 INVALID_ARGUMENT
    GET /access/v1/keys: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE
    GET /access/v1/keys/{id}: 200, 404 NOT_FOUND
    GET /catalog/v1/sources: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE
    GET /catalog/v1/sources/{source}: 200, 404 NOT_FOUND
    GET /console/{*path}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /docs: 200, 304, 412 FAILED_PRECONDITION
    GET /docs/{file}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /healthz: 200
    GET /limits: 200
    GET /metrics: 200
    GET /openapi.json: 200
    GET /readyz: 200
    GET /sources/{source}/v1/export: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /sources/{source}/v1/profiles: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /sources/{source}/v1/profiles/{key}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    GET /sources/{source}/v1/purge/{id}: 200, 404 NOT_FOUND
    GET /sources/{source}/v1/relationship-definitions: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /sources/{source}/v1/relationship-definitions/{key}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    GET /sources/{source}/v1/relationships/bulk/{id}: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /sources/{source}/v1/relationships/{type}: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /sources/{source}/v1/relationships/{type}/{id}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    GET /sources/{source}/v1/resources/bulk/{id}: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /sources/{source}/v1/resources/{type}: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /sources/{source}/v1/resources/{type}/{id}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    GET /sources/{source}/v1/resources/{type}/{id}/{*contained}: 200, 304, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION
    GET /sources/{source}/v1/tasks: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /sources/{source}/v1/tasks/{id}: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /sources/{source}/v1/tasks/{id}/events: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND
    GET /sources/{source}/v1/tasks/{id}/operations: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND, 410 NOT_FOUND
    GET /sources/{source}/v1/tasks/{id}/receipts: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /terminology/v1/vocabularies: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE
    GET /terminology/v1/vocabularies/{key}: 200, 404 NOT_FOUND
    GET /terminology/v1/vocabularies/{key}/concepts: 200, 400 INVALID_ARGUMENT, 400 OUT_OF_RANGE, 404 NOT_FOUND
    GET /terminology/v1/vocabularies/{key}/concepts/bulk: 200, 404 NOT_FOUND
    GET /terminology/v1/vocabularies/{key}/concepts/{code}: 200, 404 NOT_FOUND
    PATCH /sources/{source}/v1/relationships/{type}/{id}: 200, 400 FAILED_PRECONDITION, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /access/v1/keys: 201, 400 INVALID_ARGUMENT, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /sources/{source}/v1/bundle: 200, 400 INVALID_ARGUMENT, 400 REJECTED, 404 NOT_FOUND, 404 REJECTED, 409 REJECTED, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE, 501 UNIMPLEMENTED
    POST /sources/{source}/v1/import: 200, 400 FAILED_PRECONDITION, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /sources/{source}/v1/purge: 202, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE, 501 UNIMPLEMENTED
    POST /sources/{source}/v1/relationships/bulk: 200, 202, 400 REJECTED, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE, 501 UNIMPLEMENTED
    POST /sources/{source}/v1/relationships/{type}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 409 ALREADY_EXISTS, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /sources/{source}/v1/resources/bulk: 200, 202, 400 REJECTED, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE, 501 UNIMPLEMENTED
    POST /sources/{source}/v1/resources/{type}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 409 ALREADY_EXISTS, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /sources/{source}/v1/resources/{type}/{id}/{*contained}: 201, 400 FAILED_PRECONDITION, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 405 UNIMPLEMENTED, 409 ALREADY_EXISTS, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /sources/{source}/v1/tasks/{id}/cancel: 200, 400 FAILED_PRECONDITION, 404 NOT_FOUND
    POST /sources/{source}/v1/tasks/{id}/retry: 202, 400 FAILED_PRECONDITION, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /terminology/v1/vocabularies/bulk: 200, 400 REJECTED, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    POST /terminology/v1/vocabularies/{key}/concepts/bulk: 200, 400 REJECTED, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /catalog/v1/sources/{source}: 200, 201, 400 INVALID_ARGUMENT, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /sources/{source}/v1/profiles/{key}: 200, 201, 400 FAILED_PRECONDITION, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /sources/{source}/v1/relationship-definitions/{key}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /sources/{source}/v1/resources/{type}/{id}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE, 501 UNIMPLEMENTED
    PUT /sources/{source}/v1/resources/{type}/{id}/{*contained}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 405 UNIMPLEMENTED, 409 ALREADY_EXISTS, 412 FAILED_PRECONDITION, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /terminology/v1/vocabularies/{key}: 200, 201, 400 INVALID_ARGUMENT, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /terminology/v1/vocabularies/{key}/concepts/bulk: 200, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    PUT /terminology/v1/vocabularies/{key}/concepts/{code}: 200, 201, 400 INVALID_ARGUMENT, 404 NOT_FOUND, 413 CONTENT_TOO_LARGE, 415 UNSUPPORTED_MEDIA_TYPE
    "#);
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_refused_whatever_it_carries() {
    let world = World::new().await;
    let answer = shown(world.request(Method::PUT, BULK).header("idempotency-key", "one")).await;
    assert!(answer.starts_with("405\nallow: POST\n"), "{answer}");
}

//! Contained resources, one at a time.

use granary_core::limits::Limits;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, LOCATION};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::{World, shown};

const ORDER: &str = "/sources/clinics/v1/resources/order/o1";
const LINES: &str = "/sources/clinics/v1/resources/order/o1/lines";

/// Orders have lines, which have parts, and lines too; one note at most; and at least one payer.
async fn world_limited(limits: Limits) -> World {
    let world = World::limited(limits).await;
    let line = json!({"type": "CONTAINED", "properties": {"price": {"type": "decimal", "rules": [{"required": true}]}},
        "contained": {"parts": {"types": ["line"], "cardinality": "0:*"}}});
    let note = json!({"type": "CONTAINED", "properties": {"text": {"type": "symbol"}}});
    let order = json!({"properties": {"name": {"type": "symbol"}}, "contained": {
        "lines": {"types": ["line"], "cardinality": "0:*"},
        "note": {"types": ["note"], "cardinality": "0:1"},
        "payers": {"types": ["note"], "cardinality": "1:*"},
    }});
    // A line names itself.
    let bare = json!({"type": "CONTAINED", "properties": {}});
    for (key, profile) in [("line", bare), ("line", line), ("note", note), ("order", order)] {
        let answer = world
            .put(&format!("/sources/clinics/v1/profiles/{key}"), &profile)
            .await;
        assert!(answer.starts_with("20"), "{answer}");
    }
    let body = r#"{"data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}]}}"#;
    let request = world
        .request(Method::PUT, ORDER)
        .header(CONTENT_TYPE, "application/json");
    let made = shown(request.body(body)).await;
    assert!(made.starts_with("201\n"), "{made}");
    world
}

async fn world() -> World {
    world_limited(Limits::default()).await
}

async fn send(world: &World, method: &str, path: &str, body: &str) -> String {
    let request = world.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    shown(
        request
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned()),
    )
    .await
}

const LINE: &str = r#"{"id":"l1","type":"line","data":{"price":1.10}}"#;

#[tokio::test]
async fn a_contained_resource_is_added_read_replaced_and_removed() {
    let world = world().await;
    insta::assert_snapshot!(send(&world, "POST", LINES, LINE).await, @r#"
    201
    location: /sources/clinics/v1/resources/order/o1/lines/l1
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"o1","type":"order","data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}],"lines":[{"id":"l1","type":"line","data":{"price":1.10}}]},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/order/o1/lines/l1").await, @r#"
    200
    etag: "[tag]"
    {"id":"l1","type":"line","data":{"price":1.10}}
    "#);
    insta::assert_snapshot!(send(&world, "PUT", "/sources/clinics/v1/resources/order/o1/lines/l1", r#"{"type":"line","data":{"price":2.0}}"#).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"o1","type":"order","data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}],"lines":[{"type":"line","data":{"price":2.0},"id":"l1"}]},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":3}}}
    "#);
    insta::assert_snapshot!(send(&world, "PUT", "/sources/clinics/v1/resources/order/o1/lines/l2", r#"{"type":"line","data":{"price":3}}"#).await, @r#"
    201
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"o1","type":"order","data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}],"lines":[{"type":"line","data":{"price":2.0},"id":"l1"},{"type":"line","data":{"price":3},"id":"l2"}]},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":4}}}
    "#);
    insta::assert_snapshot!(world.get(LINES).await, @r#"
    200
    etag: "[tag]"
    {"data":[{"type":"line","data":{"price":2.0},"id":"l1"},{"type":"line","data":{"price":3},"id":"l2"}],"meta":{}}
    "#);
    insta::assert_snapshot!(world.delete("/sources/clinics/v1/resources/order/o1/lines/l1").await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"o1","type":"order","data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}],"lines":[{"type":"line","data":{"price":3},"id":"l2"}]},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":5}}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/order/o1/lines/l1").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no 'l1' under 'lines'"}
    "#);
    insta::assert_snapshot!(world.delete("/sources/clinics/v1/resources/order/o1/lines/l1").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no 'l1' under 'lines'"}
    "#);
    insta::assert_snapshot!(world.get(ORDER).await, @r#"
    200
    etag: "[tag]"
    {"id":"o1","type":"order","data":{"name":"\u0041"},"contained":{"payers":[{"type":"note","id":"p1","data":{}}],"lines":[{"type":"line","data":{"price":3},"id":"l2"}]},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":5}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/order/o1/note").await, @r#"
    200
    etag: "[tag]"
    {"data":[],"meta":{}}
    "#);
}

#[tokio::test]
async fn a_contained_resource_without_an_id_gets_one_and_is_found_where_it_is_told() {
    let world = world().await;
    let body = json!({"type": "line", "data": {"price": 1}});
    let mut path = LINES.to_owned();
    for depth in 1..=3 {
        let answer = world
            .request(Method::POST, &path)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let location = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        let (parent, id) = location.rsplit_once('/').unwrap();
        assert_eq!((parent, id.len()), (path.as_str(), 27));
        assert_eq!(world.read(&location).await["id"], id);
        let root: Value = answer.json().await.unwrap();
        assert_eq!(root["resource"]["meta"]["version"], depth + 1);
        path = format!("{location}/parts");
    }
}

#[tokio::test]
async fn what_leads_nowhere_is_not_found() {
    let world = world().await;
    send(&world, "POST", LINES, LINE).await;
    let v1 = "/sources/clinics/v1/resources";
    insta::assert_snapshot!(send(&world, "POST", "/sources/clinics/v1/resources/order/o2/lines", LINE).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"record with id 'o2' does not exist"}
    "#);
    insta::assert_snapshot!(send(&world, "POST", "/sources/clinics/v1/resources/order/o1/rows", LINE).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no contain key 'rows' here"}
    "#);
    insta::assert_snapshot!(send(&world, "POST", "/sources/clinics/v1/resources/order/o1/lines/l9/parts", LINE).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no 'l9' under 'lines'"}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/order/o1/lines/_").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no contained resource at 'lines/_'"}
    "#);
    for path in [
        "/sources/none/v1/resources/order/o1/lines/l1".to_owned(),
        format!("{v1}/none/o1/lines/l1"),
        format!("{v1}/line/l1/parts/l1"),
        format!("{v1}/order/_/lines/l1"),
        format!("{v1}/order/o2/lines/l1"),
        format!("{v1}/order/o1/rows/l1"),
        format!("{v1}/order/o1/lines/l9"),
        format!("{v1}/order/o1/note/l1"),
        format!("{v1}/order/o1/lines/l1/parts/l1"),
        format!("{v1}/order/o1/lines/l1/rows/l1"),
        format!("{v1}/order/o1/lines/l9/parts/l1"),
        format!("{v1}/order/o1/lines/a.b"),
        format!("{v1}/order/o1/lines/"),
        format!("{v1}/order/o1//l1"),
    ] {
        for answer in [world.get(&path).await, world.delete(&path).await] {
            assert!(
                answer.starts_with("404\n{\"code\":404,\"type\":\"NOT_FOUND\""),
                "{path}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_path_has_the_methods_of_its_end() {
    let world = world().await;
    insta::assert_snapshot!(send(&world, "POST", "/sources/clinics/v1/resources/order/o1/lines/l1", LINE).await, @r#"
    405
    allow: GET,HEAD,PUT,DELETE
    {"code":405,"type":"UNIMPLEMENTED","message":"a path that ends with the id of a contained resource has no method POST"}
    "#);
    insta::assert_snapshot!(send(&world, "PUT", LINES, LINE).await, @r#"
    405
    allow: GET,HEAD,POST
    {"code":405,"type":"UNIMPLEMENTED","message":"a path that ends with a contain key has no method PUT"}
    "#);
    assert!(
        world
            .delete(LINES)
            .await
            .starts_with("405\nallow: GET,HEAD,POST\n")
    );
    for (path, allowed) in [
        (LINES.to_owned(), "GET,HEAD,POST"),
        (format!("{LINES}/l1"), "GET,HEAD,PUT,DELETE"),
    ] {
        let answer = send(&world, "PATCH", &path, "[]").await;
        assert!(
            answer.starts_with(&format!("405\nallow: {allowed}\n")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_is_refused_where_it_would_be_made() {
    let world = world().await;
    let path = format!("{LINES}/-");
    insta::assert_snapshot!(send(&world, "PUT", &path, LINE).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"id '-' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _"}
    "#);
    assert!(send(&world, "GET", &path, "").await.starts_with("404\n"));
    assert!(world.delete(&path).await.starts_with("404\n"));
}

#[tokio::test]
async fn what_is_sent_is_judged_and_nothing_else() {
    let world = world().await;
    send(&world, "POST", LINES, LINE).await;
    let before = world.get(ORDER).await;
    insta::assert_snapshot!(send(&world, "POST", LINES, r#"{"id":"_","type":"line","data":{"prize":1},"contained":{"parts":{}}}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"4 faults, the first at /id: id '_' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _","details":[{"type":"INVALID_ARGUMENT","message":"id '_' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _","path":"/id","rule":"id"},{"type":"INVALID_ARGUMENT","message":"property 'prize' is not known, did you mean 'price'?","path":"/data/prize","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"property 'price' is required","path":"/data/price","rule":"required"},{"type":"INVALID_ARGUMENT","message":"expected an array: contained resources always stand in one, found an object","path":"/contained/parts","rule":"type"}]}
    "#);
    insta::assert_snapshot!(send(&world, "PUT", "/sources/clinics/v1/resources/order/o1/lines/l1", r#"{"id":"l2","type":"note","data":{}}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /id: is 'l2', but the path names 'l1'; send one of them","details":[{"type":"INVALID_ARGUMENT","message":"is 'l2', but the path names 'l1'; send one of them","path":"/id","rule":"id"},{"type":"INVALID_ARGUMENT","message":"profile 'note' may not stand in 'lines', only line","path":"/type","rule":"type"}]}
    "#);
    insta::assert_snapshot!(send(&world, "POST", LINES, r#"{"id""#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 5: the value ends too early"}
    "#);
    insta::assert_snapshot!(send(&world, "POST", LINES, LINE).await, @r#"
    409
    {"code":409,"type":"ALREADY_EXISTS","message":"contained resource with id 'l1' already exists under 'lines'"}
    "#);
    insta::assert_snapshot!(send(&world, "PUT", "/sources/clinics/v1/resources/order/o1/note/l1", r#"{"type":"note","data":{}}"#).await, @r#"
    409
    {"code":409,"type":"ALREADY_EXISTS","message":"contained resource with id 'l1' already exists under 'lines'"}
    "#);
    insta::assert_snapshot!(world.delete("/sources/clinics/v1/resources/order/o1/payers/p1").await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"'p1' is the last under 'payers', whose cardinality is 1:*"}
    "#);
    assert_eq!(world.get(ORDER).await, before);
    // A profile that was tightened does not stand in the way of what it does not name.
    let strict = json!({"type": "CONTAINED", "properties": {"text": {"type": "symbol", "rules": [{"required": true}]}}});
    world.put("/sources/clinics/v1/profiles/note", &strict).await;
    assert!(
        send(&world, "POST", LINES, &LINE.replace("l1", "l2"))
            .await
            .starts_with("201\n")
    );
    assert!(
        send(
            &world,
            "POST",
            &format!("{ORDER}/payers"),
            r#"{"type":"note","data":{}}"#
        )
        .await
        .starts_with("400\n")
    );
}

#[tokio::test]
async fn a_cardinality_that_would_not_hold_is_refused() {
    let world = world().await;
    let note = format!("{ORDER}/note");
    let text = r#"{"type":"note","data":{}}"#;
    assert!(send(&world, "POST", &note, text).await.starts_with("201\n"));
    insta::assert_snapshot!(send(&world, "POST", "/sources/clinics/v1/resources/order/o1/note", text).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"'note' has one already, and its cardinality is 0:1; replace or remove it"}
    "#);
    assert!(
        send(&world, "PUT", &format!("{note}/n2"), text)
            .await
            .starts_with("400\n")
    );
}

#[tokio::test]
async fn the_conditions_are_those_of_the_root() {
    let world = world().await;
    let tag = async || {
        let answer = world.request(Method::GET, ORDER).send().await.unwrap();
        answer.headers()[ETAG].to_str().unwrap().to_owned()
    };
    let first = tag().await;
    let post = |id: &str, when: &'static str, value: String| {
        let request = world.request(Method::POST, LINES).header(when, value);
        shown(
            request
                .header(CONTENT_TYPE, "application/json")
                .body(LINE.replace("l1", id)),
        )
    };
    assert!(post("l1", "if-match", first.clone()).await.starts_with("201\n"));
    insta::assert_snapshot!(post("l2", "if-match", first.clone()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'o1' was changed; read it and decide again"}
    "#);
    assert!(post("l2", "if-none-match", "*".into()).await.starts_with("412\n"));
    let second = tag().await;
    assert_ne!(first, second);
    for path in [LINES.to_owned(), format!("{LINES}/l1")] {
        let answer = world
            .request(Method::GET, &path)
            .header("if-none-match", &second)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[ETAG].as_bytes()),
            (304, second.as_bytes())
        );
    }
    // The same again is no other state.
    let same = send(&world, "PUT", &format!("{LINES}/l1"), LINE).await;
    assert!(
        same.starts_with("200\n") && same.contains(r#""version":2"#),
        "{same}"
    );
    assert_eq!(tag().await, second);
}

#[tokio::test]
async fn a_root_grows_no_larger_than_one_that_is_written_as_a_whole() {
    let limits = Limits {
        single_body_bytes: 300,
        ..Limits::default()
    };
    let world = world_limited(limits).await;
    let mut added = 0;
    let last = loop {
        let answer = send(
            &world,
            "POST",
            LINES,
            &LINE.replace("l1", &format!("l{added:03}")),
        )
        .await;
        if !answer.starts_with("201\n") {
            break answer;
        }
        added += 1;
    };
    assert!((1..8).contains(&added), "{added}");
    assert!(
        last.starts_with("413\n") && last.contains("singleBodyBytes of 300"),
        "{last}"
    );
    assert!(
        send(&world, "POST", LINES, &"x".repeat(301))
            .await
            .starts_with("413\n")
    );
}

#[derive(serde::Deserialize)]
struct Content {
    data: Box<RawValue>,
    contained: Box<RawValue>,
}

#[tokio::test]
async fn what_was_read_is_sent_back_and_nothing_changes() {
    let world = world().await;
    let sent = r#"{"data":{"name":"A"},"contained":{"payers":[{"type":"note","data":{}}],"lines":[{"id":"l2","type":"line","data":{"price":3}},
        {"id":null,"type":"line","data":{"price":1.10},"contained":{"parts":[{"data":{"price":2},"type":"line"}]}}]}}"#;
    let stored = send(&world, "PUT", ORDER, sent).await;
    assert!(stored.contains(r#""version":2"#), "{stored}");
    let read = async |path: &str| {
        world
            .request(Method::GET, path)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let before = read(ORDER).await;
    let Content { data, contained } = serde_json::from_str(&before).unwrap();
    let back = format!(r#"{{"data":{data},"contained":{contained}}}"#);
    // And what was sent first, and the part of it that is read.
    let first: Value = serde_json::from_str(contained.get()).unwrap();
    let line = &first["lines"][1];
    let of_line = format!("{LINES}/{}", line["id"].as_str().unwrap());
    let part = read(&of_line).await;
    for (path, body) in [(ORDER, back.as_str()), (ORDER, sent), (&of_line, &part)] {
        let answer = send(&world, "PUT", path, body).await;
        assert!(answer.starts_with("200\n"), "{path} {body}: {answer}");
        assert_eq!(read(ORDER).await, before, "{path} {body}");
    }
    // An id of the client counts.
    let own = back.replace(line["id"].as_str().unwrap(), "own");
    let changed = send(&world, "PUT", ORDER, &own).await;
    assert!(changed.contains(r#""version":3"#), "{changed}");
    assert!(read(ORDER).await.contains(r#""id":"own""#));
}

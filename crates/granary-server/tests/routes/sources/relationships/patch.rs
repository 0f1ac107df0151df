//! JSON Patch on the data of an edge.

use granary_core::limits::Limits;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG};
use serde_json::{Value, json};

use crate::world::{BULK, EDGES, World, create, shown};

const EDGE: &str = "/sources/clinics/v1/relationships/rates/ada.bob";

/// Ada rates Bob, and refers to him without data.
async fn world_limited(limits: Limits) -> World {
    let world = World::limited(limits).await;
    let rates = json!({
        "from": {"profileKey": "provider", "includeKey": "rates", "includeCardinality": "0:*"},
        "to": {"profileKey": "provider", "includeKey": "ratedBy", "includeCardinality": "0:*"},
        "properties": {
            "score": {"type": "decimal", "rules": [{"required": true}, {"max": 5}]},
            "words": {"type": "array", "items": {"type": "symbol"}},
            "place": {"type": "object", "properties": {"city": {"type": "symbol"}}},
        },
    });
    world
        .put("/sources/clinics/v1/relationship-definitions/rates", &rates)
        .await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let end = |id: &str| json!({"type": "provider", "id": id});
    let edge = r#"{"from":{"type":"provider","id":"ada"},"to":{"type":"provider","id":"bob"},"data":{"words":["kind"],"score":1.10}}"#;
    let request = world.request(Method::POST, "/sources/clinics/v1/relationships/rates");
    let made = shown(request.header(CONTENT_TYPE, "application/json").body(edge)).await;
    assert!(made.starts_with("201\n"), "{made}");
    world
        .post(EDGES, &json!({"from": end("ada"), "to": end("bob")}))
        .await;
    world
}

async fn world() -> World {
    world_limited(Limits::default()).await
}

async fn patch(world: &World, path: &str, body: &str) -> String {
    let request = world.request(Method::PATCH, path);
    shown(
        request
            .header(CONTENT_TYPE, "application/json-patch+json")
            .body(body.to_owned()),
    )
    .await
}

#[tokio::test]
async fn what_a_patch_does_not_touch_stays_digit_for_digit() {
    let world = world().await;
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"add","path":"/words/-","value":"quick"},{"op":"add","path":"/place","value":{"city":"Trier"}}]"#).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"rates","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"words":["kind","quick"],"score":1.10,"place":{"city":"Trier"}},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"test","path":"/score","value":1.1},{"op":"replace","path":"/score","value":4.50},{"op":"remove","path":"/words"}]"#).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"rates","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"score":4.50,"place":{"city":"Trier"}},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":3}}}
    "#);
    insta::assert_snapshot!(world.get(EDGE).await, @r#"
    200
    etag: "[tag]"
    {"id":"ada.bob","type":"rates","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"score":4.50,"place":{"city":"Trier"}},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":3}}
    "#);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_writes_nothing() {
    let world = world().await;
    let before = world.get(EDGE).await;
    for same in [
        "[]",
        r#"[{"op":"test","path":"/words/0","value":"kind"}]"#,
        r#"[{"op":"replace","path":"/score","value":1.10}]"#,
    ] {
        let answer = patch(&world, EDGE, same).await;
        assert!(
            answer.starts_with("200\n") && answer.contains(r#""version":1"#),
            "{answer}"
        );
        assert_eq!(world.get(EDGE).await, before);
    }
}

#[tokio::test]
async fn an_edge_without_data_is_patched_as_if_it_had_some() {
    let world = world().await;
    let edge = format!("{EDGES}/ada.bob");
    for same in ["[]", r#"[{"op":"test","path":"","value":{}}]"#] {
        let answer = patch(&world, &edge, same).await;
        assert!(
            answer.starts_with("200\n") && answer.contains(r#""version":1"#),
            "{answer}"
        );
    }
    insta::assert_snapshot!(patch(&world, &edge, r#"[{"op":"add","path":"/since","value":"2020"}]"#).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"since":"2020"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    insta::assert_snapshot!(patch(&world, &edge, r#"[{"op":"remove","path":"/since"}]"#).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":3}}}
    "#);
}

#[tokio::test]
async fn a_patch_that_does_not_fit_changes_nothing() {
    let world = world().await;
    let before = world.get(EDGE).await;
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"remove","path":"/words"},{"op":"remove","path":"/words"}]"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/1/path: there is nothing at '/words'","details":[{"type":"INVALID_ARGUMENT","message":"there is nothing at '/words'","path":"/1/path","rule":"path"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"remove","path":"/words"},{"op":"test","path":"/score","value":1.2}]"#).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"/1/value: the value at '/score' is another one","details":[{"type":"FAILED_PRECONDITION","message":"the value at '/score' is another one","path":"/1/value","rule":"test"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"copy","from":"/words","path":"/place"},{"op":"ad","path":"words"},{"op":"add"}]"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"5 faults, the first at /0/op: 'copy' is not supported; use add with the value, and remove","details":[{"type":"INVALID_ARGUMENT","message":"'copy' is not supported; use add with the value, and remove","path":"/0/op","rule":"op"},{"type":"INVALID_ARGUMENT","message":"operation 'ad' is not known, did you mean 'add'?","path":"/1/op","rule":"op"},{"type":"INVALID_ARGUMENT","message":"a path is empty or starts with '/'","path":"/1/path","rule":"path"},{"type":"INVALID_ARGUMENT","message":"'path' is required","path":"/2/path","rule":"required"},{"type":"INVALID_ARGUMENT","message":"'value' is required","path":"/2/value","rule":"required"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"{"score":2}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"expected an array of operations, found an object","details":[{"type":"INVALID_ARGUMENT","message":"expected an array of operations, found an object","path":"","rule":"type"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"remove""#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 15: the value ends too early"}
    "#);
    // Judged is what comes of it, whole.
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"replace","path":"/score","value":5.01},{"op":"add","path":"/wrods","value":[]},{"op":"add","path":"/place","value":{"city":1}}]"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /data/score: is 5.01, at most 5 allowed","details":[{"type":"INVALID_ARGUMENT","message":"is 5.01, at most 5 allowed","path":"/data/score","rule":"max"},{"type":"INVALID_ARGUMENT","message":"property 'wrods' is not known, did you mean 'words'?","path":"/data/wrods","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a string (symbol), found a number; write it in quotes","path":"/data/place/city","rule":"type"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"remove","path":"/score"}]"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/data/score: property 'score' is required","details":[{"type":"INVALID_ARGUMENT","message":"property 'score' is required","path":"/data/score","rule":"required"}]}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, r#"[{"op":"replace","path":"","value":[]}]"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/data: expected an object, found an array","details":[{"type":"INVALID_ARGUMENT","message":"expected an object, found an array","path":"/data","rule":"type"}]}
    "#);
    let twice = patch(
        &world,
        EDGE,
        r#"[{"op":"add","path":"/place","value":{"city":"a","city":"b"}}]"#,
    )
    .await;
    assert!(
        twice.starts_with("400\n") && twice.contains(r#""path":"/data/place/city","rule":"duplicate""#),
        "{twice}"
    );
    assert_eq!(world.get(EDGE).await, before);
}

#[tokio::test]
async fn a_patch_of_what_does_not_exist_is_not_found() {
    let world = world().await;
    insta::assert_snapshot!(patch(&world, &format!("{EDGES}/bob.ada"), "[]").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"record with id 'bob.ada' does not exist"}
    "#);
    for path in [
        format!("{EDGES}/bob"),
        "/sources/clinics/v1/relationships/none/ada.bob".to_owned(),
        "/sources/none/v1/relationships/rates/ada.bob".to_owned(),
    ] {
        assert!(patch(&world, &path, "[]").await.starts_with("404\n"), "{path}");
    }
}

#[tokio::test]
async fn a_patch_has_its_media_type_and_its_limits() {
    let limits = Limits {
        patch_operations: 3,
        single_body_bytes: 200,
        ..Limits::default()
    };
    let world = world_limited(limits).await;
    for (media_type, status) in [
        (Some("application/json"), 200),
        (Some("application/json-patch+json; charset=utf-8"), 200),
        (None, 200),
        (Some("application/merge-patch+json"), 415),
        (Some("text/plain"), 415),
    ] {
        let mut request = world.request(Method::PATCH, EDGE).body("[]");
        if let Some(media_type) = media_type {
            request = request.header(CONTENT_TYPE, media_type);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{media_type:?}");
    }
    let tests = |count: usize| {
        format!(
            "[{}]",
            vec![r#"{"op":"test","path":"/words/0","value":"kind"}"#; count].join(",")
        )
    };
    assert!(patch(&world, EDGE, &tests(3)).await.starts_with("200\n"));
    insta::assert_snapshot!(patch(&world, EDGE, &tests(4).replace("/words/0", "")).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of operations of the patch is over the limit patchOperations of 3"}
    "#);
    insta::assert_snapshot!(patch(&world, EDGE, &tests(5)).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the body is over the limit singleBodyBytes of 200"}
    "#);
    // Each is within the limit, and the edge would not be.
    let word = json!([{"op": "add", "path": "/words/-", "value": "w".repeat(100)}]).to_string();
    assert!(patch(&world, EDGE, &word).await.starts_with("413\n"));
}

#[tokio::test]
async fn a_patch_is_made_if_the_edge_is_as_expected() {
    let world = world().await;
    let send = |when: &'static str, value: String, body: &'static str| {
        let request = world.request(Method::PATCH, EDGE).header(when, value);
        shown(request.header(CONTENT_TYPE, "application/json").body(body))
    };
    let first = world.request(Method::GET, EDGE).send().await.unwrap().headers()[ETAG]
        .to_str()
        .unwrap()
        .to_owned();
    let better = r#"[{"op":"replace","path":"/score","value":2}]"#;
    insta::assert_snapshot!(send("if-match", first.clone(), better).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"rates","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"words":["kind"],"score":2},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    insta::assert_snapshot!(send("if-match", first.clone(), better).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada.bob' was changed; read it and decide again"}
    "#);
    assert!(send("if-match", "*".into(), better).await.starts_with("200\n"));
    assert!(
        send("if-none-match", "*".into(), better)
            .await
            .starts_with("412\n")
    );
    let gone = world
        .request(Method::PATCH, &format!("{EDGES}/bob.ada"))
        .header("if-match", "*")
        .body("[]");
    assert!(shown(gone).await.starts_with("412\n"));
}

#[tokio::test]
async fn a_patch_is_a_task_and_keeps_what_the_edge_was_created_with() {
    let world = world().await;
    let answer = world
        .request(Method::PATCH, EDGE)
        .json(&json!([{"op": "add", "path": "/place", "value": {}}]))
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let task = answer["taskId"].as_str().unwrap();
    insta::assert_snapshot!(world.get(&format!("/sources/clinics/v1/tasks/{task}?withReceipts=true")).await, @r#"
    200
    {"taskId":"s_[id]","kind":"SINGLE","targetType":"RELATIONSHIP","status":"SUCCESS","outcome":"COMPLETE","counts":{"total":1,"success":1,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"UPSERT","targetType":"RELATIONSHIP","type":"rates","id":"ada.bob","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}]}
    "#);
}

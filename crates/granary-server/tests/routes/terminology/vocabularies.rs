use granary_core::limits::Limits;
use reqwest::Method;
use serde_json::json;

use super::VOCABULARIES;
use crate::world::{World, shown};

#[tokio::test]
async fn a_vocabulary_is_created_read_replaced_and_deleted() {
    let world = World::empty().await;
    let path = format!("{VOCABULARIES}/colours");
    insta::assert_snapshot!(world.get(&path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"vocabulary 'colours' does not exist"}
    "#);
    let colours = json!({"title": "Colours", "description": "of the rainbow"});
    insta::assert_snapshot!(world.put(&path, &colours).await, @r#"
    201
    {"key":"colours","title":"Colours","description":"of the rainbow","conceptCount":0,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    world.put(&format!("{path}/concepts/red"), &json!({})).await;
    insta::assert_snapshot!(world.put(&path, &colours).await, @r#"
    200
    {"key":"colours","title":"Colours","description":"of the rainbow","conceptCount":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.put(&path, &json!({"title": "Hues"})).await, @r#"
    200
    {"key":"colours","title":"Hues","conceptCount":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get(&path).await, @r#"
    200
    {"key":"colours","title":"Hues","conceptCount":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.delete(&path).await, @r#"
    200
    {"key":"colours"}
    "#);
    insta::assert_snapshot!(world.delete(&path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"vocabulary 'colours' does not exist"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{path}/concepts")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"vocabulary 'colours' does not exist"}
    "#);
}

#[tokio::test]
async fn every_fault_of_a_vocabulary_is_told() {
    let world = World::empty().await;
    let path = format!("{VOCABULARIES}/colours");
    let body = json!({"titel": "Colours", "description": 7});
    insta::assert_snapshot!(world.put(&path, &body).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /description: expected a string, found a number","details":[{"type":"INVALID_ARGUMENT","message":"expected a string, found a number","path":"/description","rule":"type"},{"type":"INVALID_ARGUMENT","message":"member 'titel' is not known, did you mean 'title'?","path":"/titel","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"'title' is required","path":"/title","rule":"required"}]}
    "#);
    let send = |body: &'static str| shown(world.request(Method::PUT, &path).body(body));
    insta::assert_snapshot!(send(r#"{"title":"a""#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 12: the value ends too early"}
    "#);
    insta::assert_snapshot!(send(r#"{"title":"a","title":""}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/title: 'title' is given twice","details":[{"type":"INVALID_ARGUMENT","message":"'title' is given twice","path":"/title","rule":"duplicate"}]}
    "#);
    insta::assert_snapshot!(world.put(&format!("{VOCABULARIES}/_x"), &json!({"title": "a"})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"key '_x' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'"}
    "#);
    insta::assert_snapshot!(world.get(VOCABULARIES).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{VOCABULARIES}/bulk")).await, @r#"
    405
    allow: POST
    {"code":405,"type":"UNIMPLEMENTED","message":"the path '/terminology/v1/vocabularies/bulk' has no method GET"}
    "#);
}

#[tokio::test]
async fn the_limits_of_vocabularies_are_named() {
    let mut limits = Limits::default();
    limits.vocabularies = 2;
    limits.single_body_bytes = 100;
    let world = World::limited(limits).await;
    for key in ["a", "b"] {
        let answer = world
            .put(&format!("{VOCABULARIES}/{key}"), &json!({"title": key}))
            .await;
        assert!(answer.starts_with("201"), "{answer}");
    }
    insta::assert_snapshot!(world.put(&format!("{VOCABULARIES}/c"), &json!({"title": "c"})).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of vocabularies is over the limit vocabularies of 2"}
    "#);
    let long = json!({"title": "a".repeat(100)});
    insta::assert_snapshot!(world.put(&format!("{VOCABULARIES}/a"), &long).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the body is over the limit singleBodyBytes of 100"}
    "#);
}

#[tokio::test]
async fn pages_walk_the_vocabularies_exactly_once() {
    let world = World::empty().await;
    for n in 0..6 {
        world
            .put(&format!("{VOCABULARIES}/v{n}"), &json!({"title": "V"}))
            .await;
    }
    insta::assert_snapshot!(world.get(&format!("{VOCABULARIES}?limit=1")).await, @r#"
    200
    link: </terminology/v1/vocabularies?limit=1&cursor=[cursor]>; rel="next"
    {"data":[{"key":"v0","title":"V","conceptCount":0,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}],"meta":{"cursor":"[cursor]"}}
    "#);
    let all = world.walk(VOCABULARIES, "key").await;
    assert_eq!(all.len(), 6);
    for limit in 1..=7 {
        let walked = world.walk(&format!("{VOCABULARIES}?limit={limit}"), "key").await;
        assert_eq!(walked, all);
    }
    for cursor in ["x", "", "dm9jYWJ1bGFyaWVzCl8"] {
        let answer = world.get(&format!("{VOCABULARIES}?cursor={cursor}")).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\""),
            "{answer}"
        );
    }
}

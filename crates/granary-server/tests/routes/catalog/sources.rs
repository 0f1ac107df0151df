use serde_json::json;

use crate::world::{PROVIDERS, World, create};

const SOURCES: &str = "/catalog/v1/sources";

#[tokio::test]
async fn a_source_is_created_once_and_read() {
    let world = World::empty().await;
    let registry = json!({"type": "registry"});
    insta::assert_snapshot!(world.put("/catalog/v1/sources/clinics", &registry).await, @r#"
    201
    {"key":"clinics","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.put("/catalog/v1/sources/clinics", &registry).await, @r#"
    200
    {"key":"clinics","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get("/catalog/v1/sources/clinics").await, @r#"
    200
    {"key":"clinics","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get(SOURCES).await, @r#"
    200
    {"data":[{"key":"clinics","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"}],"meta":{}}
    "#);
}

#[tokio::test]
async fn a_key_is_compared_exactly() {
    let world = World::new().await;
    let answer = world
        .put("/catalog/v1/sources/Clinics", &json!({"type": "registry"}))
        .await;
    assert!(answer.starts_with("201"), "{answer}");
    assert_eq!(world.walk(SOURCES, "key").await, [r#""Clinics""#, r#""clinics""#]);
}

#[tokio::test]
async fn a_source_needs_a_key_that_is_one() {
    let world = World::empty().await;
    let registry = json!({"type": "registry"});
    insta::assert_snapshot!(world.put("/catalog/v1/sources/bulk", &registry).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"key 'bulk' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'"}
    "#);
    let long = "k".repeat(63);
    for key in ["_a", "a.b", "a%2Fb", "%20", "a%00", "%C3%A9", long.as_str()] {
        let answer = world.put(&format!("{SOURCES}/{key}"), &registry).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{key}: {answer}"
        );
    }
    let longest = "k".repeat(62);
    assert!(
        world
            .put(&format!("{SOURCES}/{longest}"), &registry)
            .await
            .starts_with("201")
    );
}

#[tokio::test]
async fn a_source_is_written_as_what_it_is() {
    let world = World::empty().await;
    let put = |body: &'static str| {
        let request = world.request(reqwest::Method::PUT, "/catalog/v1/sources/clinics");
        crate::world::shown(request.header("content-type", "application/json").body(body))
    };
    insta::assert_snapshot!(put("").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a source is written as {\"type\":\"registry\"}: EOF while parsing a value at line 1 column 0"}
    "#);
    insta::assert_snapshot!(put("{}").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a source is written as {\"type\":\"registry\"}: missing field `type` at line 1 column 2"}
    "#);
    insta::assert_snapshot!(put(r#"{"type":"other"}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a source is written as {\"type\":\"registry\"}: unknown variant `other`, expected `registry` at line 1 column 15"}
    "#);
    for bad in [
        "[]",
        r#"["registry"]"#,
        "{",
        "null",
        r#""registry""#,
        r#"{"type":"registry","type":"registry"}"#,
        r#"{"type":"registry"} x"#,
        r#"{"type":"registry","description":"x"}"#,
        r#"{"Type":"registry"}"#,
    ] {
        let answer = put(bad).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{bad}: {answer}"
        );
    }
    assert_eq!(world.get(SOURCES).await, "200\n{\"data\":[],\"meta\":{}}");
}

#[tokio::test]
async fn pages_walk_the_sources_exactly_once() {
    let world = World::empty().await;
    for n in 0..7 {
        world
            .put(&format!("{SOURCES}/s{n}"), &json!({"type": "registry"}))
            .await;
    }
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limit=2").await, @r#"
    200
    link: </catalog/v1/sources?limit=2&cursor=[cursor]>; rel="next"
    {"data":[{"key":"s0","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"},{"key":"s1","type":"registry","createdAt":"2026-01-31T08:00:00.000Z"}],"meta":{"cursor":"[cursor]"}}
    "#);
    let all = world.walk(SOURCES, "key").await;
    assert_eq!(all.len(), 7);
    for limit in 1..=8 {
        assert_eq!(world.walk(&format!("{SOURCES}?limit={limit}"), "key").await, all);
    }
}

#[tokio::test]
async fn a_source_is_deleted_once_it_is_empty() {
    let world = World::new().await;
    world
        .carried_out(crate::world::BULK, json!([create("ada", "Ada")]))
        .await;
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics").await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"source 'clinics' holds records; delete them first, or all of it with ?purge=true"}
    "#);
    world.delete(&format!("{PROVIDERS}/ada")).await;
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics").await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"source 'clinics' holds definitions; delete them first, or all of it with ?purge=true"}
    "#);
    world
        .delete("/sources/clinics/v1/relationship-definitions/refersTo")
        .await;
    world.delete("/sources/clinics/v1/profiles/provider").await;
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics").await, @r#"
    200
    {"key":"clinics"}
    "#);
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"source 'clinics' does not exist"}
    "#);
    assert!(world.get("/sources/clinics/v1/tasks").await.starts_with("404"));
}

#[tokio::test]
async fn a_source_made_again_has_nothing_of_the_one_before() {
    let world = World::empty().await;
    let path = "/catalog/v1/sources/clinics";
    world.put(path, &json!({"type": "registry"})).await;
    world
        .put("/sources/clinics/v1/profiles/p", &json!({"properties": {}}))
        .await;
    world.delete("/sources/clinics/v1/profiles/p").await;
    world.delete(path).await;
    assert!(
        world
            .put(path, &json!({"type": "registry"}))
            .await
            .starts_with("201")
    );
    assert_eq!(
        world.get("/sources/clinics/v1/profiles").await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
}

#[tokio::test]
async fn a_source_is_deleted_with_all_it_holds() {
    let world = World::new().await;
    world
        .carried_out(crate::world::BULK, json!([create("ada", "Ada")]))
        .await;
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics?purge=yes").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: purge: provided string was not `true` or `false`"}
    "#);
    insta::assert_snapshot!(world.delete("/catalog/v1/sources/clinics?purge=true").await, @r#"
    202
    {"key":"clinics"}
    "#);
    for gone in [
        "/catalog/v1/sources/clinics",
        "/sources/clinics/v1/profiles",
        PROVIDERS,
    ] {
        assert!(world.get(gone).await.starts_with("404"), "{gone}");
    }
    let world = world.with_clinics().await;
    insta::assert_snapshot!(world.get(PROVIDERS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks").await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
}

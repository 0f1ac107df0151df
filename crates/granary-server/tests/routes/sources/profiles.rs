use granary_core::limits::Limits;
use serde_json::json;

use crate::world::{BULK, World, create, provider};

const PROFILES: &str = "/sources/clinics/v1/profiles";

#[tokio::test]
async fn a_profile_is_created_replaced_and_read_as_it_was_sent() {
    let world = World::new().await;
    let ward = r#"{ "properties": {"beds": {"type": "integer", "rules": [{"min": 1}]}, "area": {"type": "decimal", "rules": [{"max": 1.10}]}} }"#;
    let put = |body: String| {
        let request = world.request(reqwest::Method::PUT, &format!("{PROFILES}/ward"));
        crate::world::shown(request.header("content-type", "application/json").body(body))
    };
    insta::assert_snapshot!(put(ward.to_owned()).await, @r#"
    201
    etag: "[tag]"
    {"key":"ward","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"beds":{"type":"integer","rules":[{"min":1}]},"area":{"type":"decimal","rules":[{"max":1.10}]}}}
    "#);
    insta::assert_snapshot!(put(ward.replace("1.10", "1.20")).await, @r#"
    200
    etag: "[tag]"
    {"key":"ward","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"beds":{"type":"integer","rules":[{"min":1}]},"area":{"type":"decimal","rules":[{"max":1.20}]}}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{PROFILES}/ward")).await, @r#"
    200
    etag: "[tag]"
    {"key":"ward","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"beds":{"type":"integer","rules":[{"min":1}]},"area":{"type":"decimal","rules":[{"max":1.20}]}}}
    "#);
    insta::assert_snapshot!(world.get(PROFILES).await, @r#"
    200
    {"data":[{"key":"provider","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"name":{"rules":[{"required":true}],"type":"symbol"},"practiceNumber":{"type":"integer"},"specialities":{"items":{"type":"symbol"},"type":"array"}}},{"key":"ward","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"beds":{"type":"integer","rules":[{"min":1}]},"area":{"type":"decimal","rules":[{"max":1.20}]}}}],"meta":{}}
    "#);
}

#[tokio::test]
async fn a_bad_profile_is_refused_with_every_fault() {
    let world = World::new().await;
    let bad = json!({
        "type": "LEAF",
        "properties": {
            "name": {"type": "symbl"},
            "code": {"type": "code", "rules": [{"pattern": "(", "requird": true}]},
            "count": {"type": "integer", "rules": [{"min": 3, "max": 1}]},
        },
        "contained": {"lines": {"types": ["line"], "cardinality": "2:3"}},
    });
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/order"), &bad).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"7 faults, the first at /type: 'LEAF' is not allowed, only ROOT, CONTAINED","details":[{"type":"INVALID_ARGUMENT","message":"'LEAF' is not allowed, only ROOT, CONTAINED","path":"/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"member 'requird' is not known, did you mean 'required'?","path":"/properties/code/rules/0/requird","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"this group is not closed (character 1 of the pattern)","path":"/properties/code/rules/0/pattern","rule":"pattern"},{"type":"INVALID_ARGUMENT","message":"min 3 is above max 1, so that no value could hold","path":"/properties/count/rules/0/min","rule":"min"},{"type":"INVALID_ARGUMENT","message":"type 'symbl' is not known, did you mean 'symbol'?","path":"/properties/name/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"profile 'line' is not known","path":"/contained/lines/types/0","rule":"contained"},{"type":"INVALID_ARGUMENT","message":"'2:3' is not allowed, only 0:1, 0:*, 1:1, 1:*","path":"/contained/lines/cardinality","rule":"cardinality"}]}
    "#);
    insta::assert_snapshot!(world.get(&format!("{PROFILES}/order")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"profile 'order' does not exist"}
    "#);
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/bulk"), &provider()).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"key 'bulk' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'"}
    "#);
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/order"), &json!([])).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"expected an object, found an array","details":[{"type":"INVALID_ARGUMENT","message":"expected an object, found an array","path":"","rule":"type"}]}
    "#);
}

#[tokio::test]
async fn a_profile_that_is_not_json_is_refused() {
    let world = World::new().await;
    let put = |body: &'static str| {
        let request = world.request(reqwest::Method::PUT, &format!("{PROFILES}/order"));
        crate::world::shown(request.header("content-type", "application/json").body(body))
    };
    insta::assert_snapshot!(put("").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the definition is not JSON: the value ends too early, at byte 0"}
    "#);
    insta::assert_snapshot!(put(r#"{"properties": {}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the definition is not JSON: the value ends too early, at byte 17"}
    "#);
    insta::assert_snapshot!(put(r#"{"properties": {}, "properties": {}}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/properties: 'properties' is given twice","details":[{"type":"INVALID_ARGUMENT","message":"'properties' is given twice","path":"/properties","rule":"duplicate"}]}
    "#);
}

#[tokio::test]
async fn a_definition_past_a_limit_is_too_large() {
    let limits = Limits {
        definition_properties: 3,
        definition_depth: 2,
        definitions_per_source: 3,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    let symbol = json!({"type": "symbol"});
    let many = json!({"properties": {"a": symbol, "b": symbol, "c": symbol, "d": symbol}});
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/many"), &many).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"/properties: the number of properties (4) is over the limit definitionProperties of 3","details":[{"type":"CONTENT_TOO_LARGE","message":"the number of properties (4) is over the limit definitionProperties of 3","path":"/properties","rule":"definitionProperties"}]}
    "#);
    let deep = json!({"properties": {"a": {"type": "object", "properties": {"b": {"type": "object", "properties": {"c": symbol}}}}}});
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/deep"), &deep).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"/properties/a/properties/b/properties: the nesting is over the limit definitionDepth of 2","details":[{"type":"CONTENT_TOO_LARGE","message":"the nesting is over the limit definitionDepth of 2","path":"/properties/a/properties/b/properties","rule":"definitionDepth"}]}
    "#);
    let one = json!({"properties": {"a": symbol}});
    assert!(
        world
            .put(&format!("{PROFILES}/third"), &one)
            .await
            .starts_with("201")
    );
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/fourth"), &one).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of definitions of this source (4) is over the limit definitionsPerSource of 3"}
    "#);
    assert!(
        world
            .put(&format!("{PROFILES}/third"), &one)
            .await
            .starts_with("200")
    );
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_not_found() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get(&format!("{PROFILES}/nurse")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"profile 'nurse' does not exist"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/nurse")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"profile 'nurse' does not exist"}
    "#);
    // A relationship definition is none, though it has a key like one.
    assert!(
        world
            .get(&format!("{PROFILES}/refersTo"))
            .await
            .starts_with("404")
    );
    assert!(
        world
            .delete(&format!("{PROFILES}/refersTo"))
            .await
            .starts_with("404")
    );
}

#[tokio::test]
async fn a_profile_in_use_is_not_deleted() {
    let world = World::new().await;
    // A definition names it.
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/provider")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"profile 'provider' is in use: relationship definition 'refersTo' names it at /from/profileKey; change that first"}
    "#);
    world
        .delete("/sources/clinics/v1/relationship-definitions/refersTo")
        .await;
    // A record of it exists.
    world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/provider")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"'provider' is in use: records of it exist; delete them first"}
    "#);
    world.delete("/sources/clinics/v1/resources/provider/ada").await;
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/provider")).await, @r#"
    200
    {"key":"provider"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/provider")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"profile 'provider' does not exist"}
    "#);
}

#[tokio::test]
async fn a_profile_that_a_waiting_task_names_is_in_use() {
    let world = World::at_rest().await;
    world
        .delete("/sources/clinics/v1/relationship-definitions/refersTo")
        .await;
    world.accepted(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.delete(&format!("{PROFILES}/provider")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"'provider' is in use: task bk_[id] has not ended; wait for it"}
    "#);
}

#[tokio::test]
async fn a_profile_with_records_does_not_become_contained() {
    let world = World::new().await;
    world
        .delete("/sources/clinics/v1/relationship-definitions/refersTo")
        .await;
    world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    let mut contained = provider();
    contained["type"] = json!("CONTAINED");
    insta::assert_snapshot!(world.put(&format!("{PROFILES}/provider"), &contained).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"/type: cannot change from ROOT to CONTAINED while records exist","details":[{"type":"FAILED_PRECONDITION","message":"cannot change from ROOT to CONTAINED while records exist","path":"/type","rule":"type"}]}
    "#);
    world.delete("/sources/clinics/v1/resources/provider/ada").await;
    assert!(
        world
            .put(&format!("{PROFILES}/provider"), &contained)
            .await
            .starts_with("200")
    );
}

#[tokio::test]
async fn a_page_of_large_profiles_ends_early() {
    let world = World::new().await;
    let large = json!({"description": "d".repeat(900_000), "properties": {}});
    let profiles = "/sources/clinics/v1/profiles";
    for at in 0..12 {
        let answer = world.put(&format!("{profiles}/large{at:02}"), &large).await;
        assert!(answer.starts_with("201"), "{}", &answer[..200]);
    }
    let all = world.read(profiles).await["data"].as_array().unwrap().len();
    let (mut path, mut seen, mut pages) = (format!("{profiles}?limit=1000"), 0, 0);
    loop {
        let page = world.read(&path).await;
        let found = page["data"].as_array().unwrap().len();
        assert!(found <= 10, "{found} in a page of 8 MiB");
        (seen, pages) = (seen + found, pages + 1);
        match page["meta"]["cursor"].as_str() {
            Some(cursor) => path = format!("{profiles}?limit=1000&cursor={cursor}"),
            None => break,
        }
    }
    assert!(pages > 1 && seen > 12 && all <= 10, "{pages} {seen} {all}");
}

#[tokio::test]
async fn pages_walk_the_profiles_exactly_once() {
    let world = World::new().await;
    for n in 0..6 {
        world
            .put(&format!("{PROFILES}/p{n}"), &json!({"properties": {}}))
            .await;
    }
    insta::assert_snapshot!(world.get("/sources/clinics/v1/profiles?limit=1").await, @r#"
    200
    link: </sources/clinics/v1/profiles?limit=1&cursor=[cursor]>; rel="next"
    {"data":[{"key":"p0","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{}}],"meta":{"cursor":"[cursor]"}}
    "#);
    let all = world.walk(PROFILES, "key").await;
    assert_eq!(all.len(), 7);
    for limit in 1..=8 {
        assert_eq!(world.walk(&format!("{PROFILES}?limit={limit}"), "key").await, all);
    }
}

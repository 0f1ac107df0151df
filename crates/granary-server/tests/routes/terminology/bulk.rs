use granary_core::limits::Limits;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CONCEPTS, VOCABULARIES};
use crate::world::{World, shown};

fn bulk(operations: Value) -> Value {
    json!({"operations": operations})
}

#[tokio::test]
async fn vocabularies_are_changed_in_order_each_judged_on_its_own() {
    let world = World::with_colours().await;
    let operations = json!([
        {"action": "CREATE", "create": {"key": "colours", "title": "Again"}},
        {"action": "UPSERT", "upsert": {"key": "colours", "title": "Colours"}},
        {"action": "UPSERT", "upsert": {"key": "colours", "title": "Hues", "description": "d"}},
        {"action": "CREATE", "create": {"key": "shapes", "title": "Shapes"}},
        {"action": "DELETE", "delete": {"key": "shapes"}},
        {"action": "DELETE", "delete": {"key": "shapes"}},
    ]);
    insta::assert_snapshot!(world.post(&format!("{VOCABULARIES}/bulk"), &bulk(operations)).await, @r#"
    200
    {"status":"SUCCESS","receipts":[{"index":0,"action":"CREATE","id":"colours","status":"FAILURE","error":{"code":409,"type":"ALREADY_EXISTS","message":"vocabulary 'colours' already exists"}},{"index":1,"action":"UPSERT","id":"colours","status":"SUCCESS","unchanged":true},{"index":2,"action":"UPSERT","id":"colours","status":"SUCCESS"},{"index":3,"action":"CREATE","id":"shapes","status":"SUCCESS"},{"index":4,"action":"DELETE","id":"shapes","status":"SUCCESS"},{"index":5,"action":"DELETE","id":"shapes","status":"FAILURE","error":{"code":404,"type":"NOT_FOUND","message":"vocabulary 'shapes' does not exist"}}]}
    "#);
    insta::assert_snapshot!(world.get(VOCABULARIES).await, @r#"
    200
    {"data":[{"key":"colours","title":"Hues","description":"d","conceptCount":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}],"meta":{}}
    "#);
}

#[tokio::test]
async fn concepts_are_changed_in_order_each_judged_on_its_own() {
    let world = World::with_colours().await;
    let operations = json!([
        {"action": "CREATE", "create": {"code": "blue", "designation": {"en": "blue"}}},
        {"action": "CREATE", "create": {"code": "red"}},
        {"action": "DELETE", "delete": {"code": "red"}},
        {"action": "UPSERT", "upsert": {"code": "blue", "designation": {"en": "blue"}}},
    ]);
    insta::assert_snapshot!(world.post(&format!("{CONCEPTS}/bulk"), &bulk(operations)).await, @r#"
    200
    {"status":"SUCCESS","receipts":[{"index":0,"action":"CREATE","id":"blue","status":"SUCCESS"},{"index":1,"action":"CREATE","id":"red","status":"FAILURE","error":{"code":409,"type":"ALREADY_EXISTS","message":"concept 'red' already exists"}},{"index":2,"action":"DELETE","id":"red","status":"SUCCESS"},{"index":3,"action":"UPSERT","id":"blue","status":"SUCCESS","unchanged":true}]}
    "#);
    assert_eq!(world.walk(CONCEPTS, "code").await, [r#""blue""#]);
}

#[tokio::test]
async fn a_request_with_a_fault_changes_nothing() {
    let world = World::with_colours().await;
    let operations = json!([
        {"action": "CREATE", "create": {"code": "blue"}},
        {"action": "create", "create": {"code": "green"}},
        {"action": "UPSERT", "upsert": {"cod": "green", "designation": {"en": 1}}},
        {"action": "DELETE", "delete": {"code": "red", "definition": "x"}},
    ]);
    insta::assert_snapshot!(world.post(&format!("{CONCEPTS}/bulk"), &bulk(operations.clone())).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/action: action 'create' is not known: actions are upper case, use 'CREATE'","details":[{"type":"INVALID_ARGUMENT","message":"action 'create' is not known: actions are upper case, use 'CREATE'","path":"/action","rule":"enum"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /upsert/cod: member 'cod' is not known, did you mean 'code'?","details":[{"type":"INVALID_ARGUMENT","message":"member 'cod' is not known, did you mean 'code'?","path":"/upsert/cod","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a string, found a number","path":"/upsert/designation/en","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'code' is required","path":"/upsert/code","rule":"required"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/delete/definition: member 'definition' is not known","details":[{"type":"INVALID_ARGUMENT","message":"member 'definition' is not known","path":"/delete/definition","rule":"unknown"}]}}]}
    "#);
    let failures = world
        .post(&format!("{CONCEPTS}/bulk?receipts=failures"), &bulk(operations))
        .await;
    assert!(
        failures.starts_with("400\n{\"status\":\"REJECTED\",\"receipts\":[{\"index\":1,"),
        "{failures}"
    );
    let operations = json!([{"action": "CREATE", "create": {"key": "bulk"}}]);
    insta::assert_snapshot!(world.post(&format!("{VOCABULARIES}/bulk"), &bulk(operations)).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /create/key: key 'bulk' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'","details":[{"type":"INVALID_ARGUMENT","message":"key 'bulk' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'","path":"/create/key","rule":"key"},{"type":"INVALID_ARGUMENT","message":"'title' is required","path":"/create/title","rule":"required"}]}}]}
    "#);
    assert_eq!(world.walk(CONCEPTS, "code").await, [r#""red""#]);
}

#[tokio::test]
async fn a_request_that_is_wrong_as_a_whole_says_so_beside_its_status() {
    let world = World::with_colours().await;
    let path = format!("{CONCEPTS}/bulk");
    let post = |body: &'static str| shown(world.request(Method::POST, &path).body(body));
    insta::assert_snapshot!(post("").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 0, line 1, operation 0: it is empty"},"receipts":[]}
    "#);
    insta::assert_snapshot!(post(r#"{"operations":[]}"#).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"'operations' is empty; send at least one operation","details":[{"type":"INVALID_ARGUMENT","message":"'operations' is empty; send at least one operation","path":"/operations"}]},"receipts":[]}
    "#);
    let red = r#"{"action":"DELETE","delete":{"code":"red"}}"#;
    let whole: String = format!(r#"{{"operations":[{red},{{"action":"DELETE","delete":{{"code" "x"}}}}]}}"#);
    let send = |body: String| shown(world.request(Method::POST, &path).body(body));
    insta::assert_snapshot!(send(whole).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 95, line 1, operation 1: ':' is expected here"},"receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 95, line 1, operation 1: ':' is expected here"}}]}
    "#);
    insta::assert_snapshot!(send(format!(r#"{{"operations":[{red},{{"action""#)).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body breaks off at byte 68, line 1, operation 1: the operation does not end"},"receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body breaks off at byte 68, line 1, operation 1: the operation does not end"}}]}
    "#);
    insta::assert_snapshot!(send(format!(r#"{{"operations":[{red}],"more":1}}"#)).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"unknown member 'more'; the request has the member 'operations' alone","details":[{"type":"INVALID_ARGUMENT","message":"unknown member 'more'; the request has the member 'operations' alone","path":"/more"}]},"receipts":[{"status":"CANCELLED"}]}
    "#);
    let typed = world
        .request(Method::POST, &path)
        .header("content-type", "text/csv");
    assert!(shown(typed.body("code\nred")).await.starts_with("415"));
    assert_eq!(world.walk(CONCEPTS, "code").await, [r#""red""#]);
}

#[tokio::test]
async fn the_limits_of_a_request_are_named() {
    let mut limits = Limits::default();
    limits.single_body_bytes = 300;
    limits.operation_bytes = 200;
    limits.concepts_per_vocabulary = 1;
    let world = World::limited(limits).await;
    world
        .put(&format!("{VOCABULARIES}/colours"), &json!({"title": "Colours"}))
        .await;
    let path = format!("{CONCEPTS}/bulk");
    let long = |length: usize| {
        let definition = "x".repeat(length);
        json!([{"action": "UPSERT", "upsert": {"code": "red", "definition": definition}}])
    };
    insta::assert_snapshot!(world.post(&path, &bulk(long(300))).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the body is over the limit singleBodyBytes of 300"}
    "#);
    insta::assert_snapshot!(world.post(&path, &bulk(long(150))).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"FAILURE","error":{"code":413,"type":"CONTENT_TOO_LARGE","message":"the operation is over the limit operationBytes of 200"}}]}
    "#);
    let two = json!([
        {"action": "CREATE", "create": {"code": "red"}},
        {"action": "CREATE", "create": {"code": "blue"}},
    ]);
    insta::assert_snapshot!(world.post(&path, &bulk(two)).await, @r#"
    200
    {"status":"SUCCESS","receipts":[{"index":0,"action":"CREATE","id":"red","status":"SUCCESS"},{"index":1,"action":"CREATE","id":"blue","status":"FAILURE","error":{"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of concepts of the vocabulary is over the limit conceptsPerVocabulary of 1"}}]}
    "#);
}

#[tokio::test]
async fn seventy_thousand_concepts_are_one_request() {
    let world = World::with_colours().await;
    let create = |n: u32| json!({"action": "CREATE", "create": {"code": format!("c{n:05}"), "designation": {"en": format!("concept {n}")}}});
    let operations: Vec<Value> = (0..70_000).map(create).collect();
    let request = world.request(Method::POST, &format!("{CONCEPTS}/bulk"));
    let answer = request.json(&bulk(json!(operations))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    let receipts = answer["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 70_000);
    assert!(receipts.iter().all(|receipt| receipt["status"] == "SUCCESS"));
    let colours = world.read(&format!("{VOCABULARIES}/colours")).await;
    assert_eq!(colours["conceptCount"], 70_001);
}

use granary_core::limits::Limits;
use serde_json::{Value, json};

use crate::world::{BULK, EDGES, PROVIDERS, World, create, create_edge};

const BUNDLE: &str = "/sources/clinics/v1/bundle";

fn bundle(resources: &[Value], relationships: &[Value]) -> Value {
    json!({"resourceOperations": resources, "relationshipOperations": relationships})
}

fn upsert(id: &str, name: &str) -> Value {
    json!({"action": "UPSERT", "upsert": {"type": "provider", "id": id, "data": {"name": name}}})
}

fn delete(id: &str) -> Value {
    json!({"action": "DELETE", "delete": {"type": "provider", "id": id}})
}

#[tokio::test]
async fn a_bundle_is_carried_out_at_once_resources_first() {
    let world = World::new().await;
    let sent = bundle(
        &[create("ada", "Ada"), upsert("bob", "Bob")],
        &[create_edge("ada", "bob")],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    200
    {"status":"PERSISTED","taskId":"bd_[id]","resourceReceipts":[{"action":"CREATE","type":"provider","id":"ada","status":"SUCCESS"},{"action":"UPSERT","type":"provider","id":"bob","status":"SUCCESS"}],"relationshipReceipts":[{"action":"CREATE","type":"refersTo","id":"ada.bob","status":"SUCCESS"}]}
    "#);
    insta::assert_snapshot!(world.get(EDGES).await, @r#"
    200
    {"data":[{"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}],"meta":{}}
    "#);
    let again = bundle(&[upsert("bob", "Bob"), upsert("ada", "Ada L.")], &[]);
    insta::assert_snapshot!(world.post(BUNDLE, &again).await, @r#"
    200
    {"status":"PERSISTED","taskId":"bd_[id]","resourceReceipts":[{"action":"UPSERT","type":"provider","id":"bob","status":"SUCCESS","unchanged":true},{"action":"UPSERT","type":"provider","id":"ada","status":"SUCCESS"}],"relationshipReceipts":[]}
    "#);
    let tasks = world.read("/sources/clinics/v1/tasks?kind=BUNDLE").await;
    let first = tasks["data"][1]["taskId"].as_str().unwrap();
    let path = format!("/sources/clinics/v1/tasks/{first}?withReceipts=true");
    insta::assert_snapshot!(world.get(&path).await, @r#"
    200
    {"taskId":"bd_[id]","kind":"BUNDLE","status":"SUCCESS","outcome":"COMPLETE","counts":{"total":3,"success":3,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"UPSERT","targetType":"RESOURCE","type":"provider","id":"bob","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":2,"action":"CREATE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.bob","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}]}
    "#);
    assert_eq!(world.walk(PROVIDERS, "id").await, [r#""ada""#, r#""bob""#]);
}

#[tokio::test]
async fn a_failure_undoes_the_whole_bundle() {
    let world = World::new().await;
    world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    let sent = bundle(
        &[create("bob", "Bob"), create("ada", "Ada")],
        &[create_edge("bob", "ada")],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    409
    {"status":"REJECTED","resourceReceipts":[{"action":"CREATE","type":"provider","id":"bob","status":"CANCELLED"},{"action":"CREATE","type":"provider","id":"ada","status":"FAILURE","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada' already exists"}}],"relationshipReceipts":[{"action":"CREATE","type":"refersTo","id":"bob.ada","status":"CANCELLED"}]}
    "#);
    let sent = bundle(&[delete("ada")], &[create_edge("ada", "ada")]);
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    404
    {"status":"REJECTED","resourceReceipts":[{"action":"DELETE","type":"provider","id":"ada","status":"CANCELLED"}],"relationshipReceipts":[{"action":"CREATE","type":"refersTo","id":"ada.ada","status":"FAILURE","error":{"code":404,"type":"NOT_FOUND","message":"from: resource of type 'provider' with id 'ada' does not exist"}}]}
    "#);
    assert_eq!(world.walk(PROVIDERS, "id").await, [r#""ada""#]);
    assert_eq!(
        world.read("/sources/clinics/v1/tasks?kind=BUNDLE").await["data"],
        json!([])
    );
}

#[tokio::test]
async fn every_fault_is_told_in_its_receipt() {
    let world = World::new().await;
    let sent = bundle(
        &[
            create("ada", "Ada"),
            json!({"action": "CREATE", "create": {"type": "provider", "data": {"nam": 1}}}),
            upsert("ada", "Again"),
            json!({"action": "create"}),
        ],
        &[json!({"action": "DELETE", "delete": {"type": "refersTo", "id": "ada"}})],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    400
    {"status":"REJECTED","resourceReceipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /create/data/nam: property 'nam' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"property 'nam' is not known, did you mean 'name'?","path":"/create/data/nam","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"property 'name' is required","path":"/create/data/name","rule":"required"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"'ada' of type 'provider' is in an earlier operation; a bundle has one operation a record","details":[{"type":"INVALID_ARGUMENT","message":"'ada' of type 'provider' is in an earlier operation; a bundle has one operation a record","path":"/upsert","rule":"unique"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/action: action 'create' is not known: actions are upper case, use 'CREATE'","details":[{"type":"INVALID_ARGUMENT","message":"action 'create' is not known: actions are upper case, use 'CREATE'","path":"/action","rule":"enum"}]}}],"relationshipReceipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/delete/id: id 'ada' is not valid: the id of a relationship is {fromId}.{toId}","details":[{"type":"INVALID_ARGUMENT","message":"id 'ada' is not valid: the id of a relationship is {fromId}.{toId}","path":"/delete/id","rule":"id"}]}}]}
    "#);
    assert_eq!(world.get(PROVIDERS).await, "200\n{\"data\":[],\"meta\":{}}");
}

#[tokio::test]
async fn tokens_stand_for_the_ids_of_creates() {
    let world = World::new().await;
    let profile = json!({"properties": {
        "name": {"type": "symbol"},
        "mentor": {"type": "reference"},
    }});
    world.put("/sources/clinics/v1/profiles/provider", &profile).await;
    let create = |token: &str, mentor: &str| {
        let mentor = json!({"type": "provider", "id": mentor});
        json!({"action": "CREATE", "create": {"type": "provider", "id": token, "data": {"name": token, "mentor": mentor}}})
    };
    let sent = bundle(
        &[create("@rootId", "@rootId1"), create("@rootId1", "@rootId1")],
        &[create_edge("@rootId", "@rootId1")],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    200
    {"status":"PERSISTED","taskId":"bd_[id]","resourceReceipts":[{"action":"CREATE","type":"provider","id":"[id]","status":"SUCCESS"},{"action":"CREATE","type":"provider","id":"[id]","status":"SUCCESS"}],"relationshipReceipts":[{"action":"CREATE","type":"refersTo","id":"[id].[id]","status":"SUCCESS"}]}
    "#);
    let providers = world.read(PROVIDERS).await;
    let named = |name: &str| {
        let providers = providers["data"].as_array().unwrap();
        providers
            .iter()
            .find(|provider| provider["data"]["name"] == name)
            .unwrap()
            .clone()
    };
    let (one, other) = (named("@rootId"), named("@rootId1"));
    assert_eq!(one["data"]["mentor"]["id"], other["id"]);
    assert_eq!(other["data"]["mentor"]["id"], other["id"]);
    let edges = world.read(EDGES).await;
    assert_eq!(
        (&edges["data"][0]["from"]["id"], &edges["data"][0]["to"]["id"]),
        (&one["id"], &other["id"])
    );

    let unknown = bundle(
        &[create("@rootId", "@rootId7")],
        &[create_edge("@rootId2", "ada")],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &unknown).await, @r#"
    400
    {"status":"REJECTED","resourceReceipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/mentor/id: token '@rootId7' is not known, did you mean '@rootId'?","details":[{"type":"INVALID_ARGUMENT","message":"token '@rootId7' is not known, did you mean '@rootId'?","path":"/create/data/mentor/id","rule":"id"}]}}],"relationshipReceipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/from/id: token '@rootId2' is not known, did you mean '@rootId'?","details":[{"type":"INVALID_ARGUMENT","message":"token '@rootId2' is not known, did you mean '@rootId'?","path":"/create/from/id","rule":"id"}]}}]}
    "#);
    let twice = bundle(&[create("@rootId", "ada"), create("@rootId", "ada")], &[]);
    insta::assert_snapshot!(world.post(BUNDLE, &twice).await, @r#"
    400
    {"status":"REJECTED","resourceReceipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"'[id]' of type 'provider' is in an earlier operation; a bundle has one operation a record","details":[{"type":"INVALID_ARGUMENT","message":"'[id]' of type 'provider' is in an earlier operation; a bundle has one operation a record","path":"/create","rule":"unique"}]}}],"relationshipReceipts":[]}
    "#);
}

#[tokio::test]
async fn a_token_is_the_id_of_one_create_whatever_its_type() {
    let world = World::new().await;
    world
        .put("/sources/clinics/v1/profiles/site", &json!({"properties": {}}))
        .await;
    let create = |type_key: &str, data: serde_json::Value| json!({"action": "CREATE", "create": {"type": type_key, "id": "@rootId1", "data": data}});
    let sent = bundle(
        &[
            create("provider", json!({"name": "Ada"})),
            create("site", json!({})),
        ],
        &[],
    );
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#"
    400
    {"status":"REJECTED","resourceReceipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the token is the id of an earlier create; each create has a token of its own","details":[{"type":"INVALID_ARGUMENT","message":"the token is the id of an earlier create; each create has a token of its own","path":"/create/id","rule":"unique"}]}}],"relationshipReceipts":[]}
    "#);
}

#[tokio::test]
async fn a_bundle_is_only_checked_where_that_is_asked_for() {
    let world = World::new().await;
    let path = format!("{BUNDLE}?validateOnly=true");
    let sent = bundle(&[create("ada", "Ada")], &[create_edge("ada", "nobody")]);
    insta::assert_snapshot!(world.post(&path, &sent).await, @r#"
    200
    {"status":"VALID","count":2}
    "#);
    let wrong = bundle(
        &[json!({"action": "DELETE", "delete": {"type": "provider"}})],
        &[],
    );
    insta::assert_snapshot!(world.post(&path, &wrong).await, @r#"
    400
    {"status":"REJECTED","resourceReceipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/delete/id: 'id' is required","details":[{"type":"INVALID_ARGUMENT","message":"'id' is required","path":"/delete/id","rule":"required"}]}}],"relationshipReceipts":[]}
    "#);
    assert_eq!(world.get(PROVIDERS).await, "200\n{\"data\":[],\"meta\":{}}");
}

#[tokio::test]
async fn a_bundle_of_very_many_elements_is_none() {
    let world = World::new().await;
    let elements = vec![0; 200_000];
    insta::assert_snapshot!(world.post(BUNDLE, &json!({"resourceOperations": elements})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the bundle has 200000 elements in 400024 bytes, and no operation is that short"}
    "#);
}

#[tokio::test]
async fn what_is_no_bundle_is_refused() {
    let world = World::limited(Limits {
        bundle_bytes: 400,
        ..Limits::default()
    })
    .await;
    insta::assert_snapshot!(world.post(BUNDLE, &json!({})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a bundle has at least one operation in 'resourceOperations' or 'relationshipOperations'"}
    "#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!([[], []])).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a bundle is written as {\"resourceOperations\":[…],\"relationshipOperations\":[…]}, not as an array"}
    "#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!({"operations": []})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a bundle is written as {\"resourceOperations\":[…],\"relationshipOperations\":[…]}: unknown field `operations`, expected `resourceOperations` or `relationshipOperations` at line 1 column 13"}
    "#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!({"resourceOperations": {}})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a bundle is written as {\"resourceOperations\":[…],\"relationshipOperations\":[…]}: invalid type: map, expected a sequence at line 1 column 22"}
    "#);
    insta::assert_snapshot!(world.post("/sources/none/v1/bundle", &bundle(&[delete("ada")], &[])).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"source 'none' does not exist"}
    "#);
    let fits = bundle(&[create("ada", &"a".repeat(200))], &[]);
    let over = bundle(
        &[create("bob", &"a".repeat(400 - fits.to_string().len() + 201))],
        &[],
    );
    assert_eq!(over.to_string().len(), 401);
    insta::assert_snapshot!(world.post(BUNDLE, &over).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the body is over the limit bundleBytes of 400"}
    "#);
    let at_limit = bundle(
        &[create("bob", &"a".repeat(400 - fits.to_string().len() + 200))],
        &[],
    );
    assert!(world.post(BUNDLE, &at_limit).await.starts_with("200"));
}

use serde_json::json;

use crate::world::{BULK, World, create, create_edge};

const EDGES_BULK: &str = "/sources/clinics/v1/relationships/bulk";

#[tokio::test]
async fn edges_are_written_in_bulk() {
    let world = World::new().await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let upsert = json!({"action": "UPSERT", "upsert": {
        "type": "refersTo", "from": {"type": "provider", "id": "bob"}, "to": {"type": "provider", "id": "ada"},
        "data": {"since": "2020"},
    }});
    let operations = json!([
        create_edge("ada", "bob"),
        create_edge("ada", "bob"),
        create_edge("ada", "eve"),
        upsert,
        {"action": "DELETE", "delete": {"type": "refersTo", "id": "ada.bob"}},
        {"action": "DELETE", "delete": {"type": "refersTo", "from": {"type": "provider", "id": "ada"}, "to": {"type": "provider", "id": "bob"}}},
    ]);
    let body = json!({"operations": [create_edge("bob", "bob")]});
    insta::assert_snapshot!(world.post(EDGES_BULK, &body).await, @r#"
    202
    location: /sources/clinics/v1/relationships/bulk/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    let id = world.carried_out(EDGES_BULK, operations).await;
    insta::assert_snapshot!(world.get(&format!("{EDGES_BULK}/{id}")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RELATIONSHIP","status":"SUCCESS","outcome":"PARTIAL","counts":{"total":6,"success":3,"failure":3,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.bob","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"CREATE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.bob","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada.bob' already exists"}},{"index":2,"action":"CREATE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.eve","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":404,"type":"NOT_FOUND","message":"to: resource of type 'provider' with id 'eve' does not exist"}},{"index":3,"action":"UPSERT","targetType":"RELATIONSHIP","type":"refersTo","id":"bob.ada","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":4,"action":"DELETE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.bob","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":5,"action":"DELETE","targetType":"RELATIONSHIP","type":"refersTo","id":"ada.bob","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":404,"type":"NOT_FOUND","message":"record with id 'ada.bob' does not exist"}}]}
    "#);
    assert!(world.get(&format!("{BULK}/{id}")).await.starts_with("404"));
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/refersTo").await, @r#"
    200
    {"data":[{"id":"bob.ada","type":"refersTo","from":{"id":"bob","type":"provider"},"to":{"id":"ada","type":"provider"},"data":{"since":"2020"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}},{"id":"bob.bob","type":"refersTo","from":{"id":"bob","type":"provider"},"to":{"id":"bob","type":"provider"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}],"meta":{}}
    "#);
}

#[tokio::test]
async fn operations_on_resources_are_none_on_relationships() {
    let world = World::new().await;
    let body = json!({"operations": [create_edge("ada", "bob"), create("ada", "Ada")]});
    insta::assert_snapshot!(world.post(EDGES_BULK, &body).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"4 faults, the first at /create/id: id 'ada' is not valid: the id of a relationship is {fromId}.{toId}","details":[{"type":"INVALID_ARGUMENT","message":"id 'ada' is not valid: the id of a relationship is {fromId}.{toId}","path":"/create/id","rule":"id"},{"type":"INVALID_ARGUMENT","message":"'provider' is a profile, send its operations to the resources of the source","path":"/create/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'from' is required","path":"/create/from","rule":"required"},{"type":"INVALID_ARGUMENT","message":"'to' is required","path":"/create/to","rule":"required"}]}}]}
    "#);
    insta::assert_snapshot!(world.post(BULK, &body).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"4 faults, the first at /create/from: member 'from' is not known","details":[{"type":"INVALID_ARGUMENT","message":"member 'from' is not known","path":"/create/from","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"member 'to' is not known","path":"/create/to","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"'refersTo' is a relationship type, send its operations to the relationships of the source","path":"/create/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'data' is required","path":"/create/data","rule":"required"}]}},{"status":"CANCELLED"}]}
    "#);
}

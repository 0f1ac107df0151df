use serde_json::json;

use crate::world::{BULK, PROVIDERS, World, create};

const TASKS: &str = "/sources/clinics/v1/tasks";

#[tokio::test]
async fn a_cancelled_task_has_a_receipt_for_every_operation() {
    let world = World::at_rest().await;
    let id = world
        .accepted(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{id}/cancel")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"CANCELLED","outcome":"NONE","counts":{"total":2,"success":0,"failure":0,"pending":0,"cancelled":2},"createdAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}/receipts?limit=1")).await, @r#"
    200
    link: </sources/clinics/v1/tasks/bk_[id]/receipts?limit=1&cursor=[cursor]>; rel="next"
    {"data":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"CANCELLED","receivedAt":"2026-01-31T08:00:00.000Z"}],"meta":{"cursor":"[cursor]"}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}/receipts?status=PENDING")).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    assert_eq!(world.get(PROVIDERS).await, "200\n{\"data\":[],\"meta\":{}}");
    assert_eq!(
        world.read(&format!("{TASKS}?status=CANCELLED")).await["data"][0]["taskId"],
        *id
    );
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{id}/cancel")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task bk_[id] has ended; what it did stays"}
    "#);
}

#[tokio::test]
async fn what_cannot_be_cancelled_says_why() {
    let world = World::new().await;
    let id = world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{id}/cancel")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task bk_[id] has ended; what it did stays"}
    "#);
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/bk_nothing/cancel")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_nothing' does not exist"}
    "#);
    insta::assert_snapshot!(world.call("POST", "/sources/none/v1/tasks/bk_x/cancel").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"source 'none' does not exist"}
    "#);
    let single = world.request(reqwest::Method::POST, PROVIDERS);
    let single = single
        .json(&json!({"data": {"name": "Bob"}}))
        .send()
        .await
        .unwrap();
    let single: serde_json::Value = single.json().await.unwrap();
    let path = format!("{TASKS}/{}/cancel", single["taskId"].as_str().unwrap());
    insta::assert_snapshot!(world.call("POST", &path).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task s_[id] has ended; what it did stays"}
    "#);
}

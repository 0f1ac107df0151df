use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{BULK, World, create, create_edge, provider, refers_to, shown};

const V1: &str = "/sources/clinics/v1";
const TASKS: &str = "/sources/clinics/v1/tasks";

/// The operations of a task, with what became of each.
async fn operations(world: &World, id: &str) -> Vec<Value> {
    let page = world.read(&format!("{TASKS}/{id}/operations")).await;
    page["data"].as_array().unwrap().clone()
}

/// The id that a retry is accepted as.
async fn retried(world: &World, id: &str) -> String {
    let answer = world.request(Method::POST, &format!("{TASKS}/{id}/retry"));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.unwrap();
    answer["taskId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_failed_is_tried_again_in_its_order() {
    let world = World::new().await;
    let id = world
        .carried_out(
            BULK,
            json!([
                create("a1", "One"),
                create("a1", "Two"),
                create("a2", "Three"),
                create("a1", "Four")
            ]),
        )
        .await;
    world.delete(&format!("{V1}/resources/provider/a1")).await;
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{id}/retry")).await, @r#"
    202
    location: /sources/clinics/v1/tasks/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    let tasks = world.ended(TASKS).await;
    let retry = &tasks["data"][0];
    assert_eq!(
        (&retry["retryOf"], &retry["outcome"]),
        (&json!(id), &json!("PARTIAL"))
    );
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{}", retry["taskId"].as_str().unwrap())).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"PARTIAL","retryOf":"bk_[id]","counts":{"total":2,"success":1,"failure":1,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    let read = world.read(&format!("{V1}/resources/provider/a1")).await;
    assert_eq!(read["data"]["name"], "Two");
    assert_eq!(
        tasks["data"][1]["retryOf"],
        Value::Null,
        "what is tried again is no retry"
    );
}

#[tokio::test]
async fn ids_that_the_server_made_are_kept_and_a_retry_is_retried() {
    let world = World::at_rest().await;
    let nameless = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": "Zoë"}}});
    let delete = json!({"action": "DELETE", "delete": {"id": "b1", "type": "provider"}});
    let id = world
        .accepted(BULK, json!([nameless, create("b1", "Bea"), delete]))
        .await;
    world.call("POST", &format!("{TASKS}/{id}/cancel")).await;
    let first = retried(&world, &id).await;
    let refused = world.call("POST", &format!("{TASKS}/{first}/retry")).await;
    insta::assert_snapshot!(refused, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task bk_[id] has not ended; wait for its end, or cancel it, and retry it then"}
    "#);
    world.call("POST", &format!("{TASKS}/{first}/cancel")).await;
    let second = retried(&world, &first).await;
    world.call("POST", &format!("{TASKS}/{second}/cancel")).await;
    assert_eq!(operations(&world, &first).await, operations(&world, &id).await);
    assert_eq!(operations(&world, &second).await, operations(&world, &id).await);
    assert_eq!(world.read(&format!("{TASKS}/{second}")).await["retryOf"], *first);
    assert_eq!(world.read(&format!("{TASKS}/{first}")).await["retryOf"], *id);
    // The first may be tried again as often as one likes.
    retried(&world, &id).await;
}

#[tokio::test]
async fn edges_are_tried_again_too() {
    let world = World::new().await;
    world
        .put(&format!("{V1}/relationship-definitions/refersTo"), &refers_to())
        .await;
    let edges =
        json!([create_edge("e1", "e2"), {"action": "DELETE", "delete": {"type": "refersTo", "id": "e1.e2"}}]);
    let id = world
        .carried_out(&format!("{V1}/relationships/bulk"), edges)
        .await;
    world
        .carried_out(BULK, json!([create("e1", "E"), create("e2", "E")]))
        .await;
    let retry = retried(&world, &id).await;
    world.ended(TASKS).await;
    let task = world
        .read(&format!("{V1}/relationships/bulk/{retry}?withReceipts=false"))
        .await;
    assert_eq!(
        (&task["outcome"], &task["retryOf"]),
        (&json!("COMPLETE"), &json!(id))
    );
}

#[tokio::test]
async fn a_retry_is_checked_by_the_definitions_in_force() {
    let world = World::at_rest().await;
    let id = world
        .accepted(BULK, json!([create("a1", "One"), create("a2", "Two")]))
        .await;
    world.call("POST", &format!("{TASKS}/{id}/cancel")).await;
    let mut stricter = provider();
    stricter["properties"]["name"]["rules"][0]["enum"] = json!(["One"]);
    world.put(&format!("{V1}/profiles/provider"), &stricter).await;
    let path = format!("{TASKS}/{id}/retry");
    insta::assert_snapshot!(world.call("POST", &path).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/name: 'Two' is not allowed, only 'One'","details":[{"type":"INVALID_ARGUMENT","message":"'Two' is not allowed, only 'One'","path":"/create/data/name","rule":"enum"}]}}]}
    "#);
    insta::assert_snapshot!(world.call("POST", &format!("{path}?receipts=failures")).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"index":1,"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/name: 'Two' is not allowed, only 'One'","details":[{"type":"INVALID_ARGUMENT","message":"'Two' is not allowed, only 'One'","path":"/create/data/name","rule":"enum"}]}}]}
    "#);
    world.put(&format!("{V1}/profiles/provider"), &provider()).await;
    retried(&world, &id).await;
}

#[tokio::test]
async fn what_cannot_be_retried_says_why() {
    let world = World::new().await;
    let id = world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{id}/retry")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task bk_[id] has nothing to retry: all of its operations succeeded"}
    "#);
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/bk_nothing/retry")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_nothing' does not exist"}
    "#);
    let body = json!({"status": "FAILURE"});
    insta::assert_snapshot!(world.post(&format!("{TASKS}/{id}/retry"), &body).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a retry has no body, or {}: it is of all operations of the task that failed or were cancelled"}
    "#);
    world
        .put(
            &format!("{V1}/resources/provider/s1"),
            &json!({"data": {"name": "Bob"}}),
        )
        .await;
    let single = world.read(&format!("{TASKS}?kind=SINGLE")).await;
    let single = single["data"][0]["taskId"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(world.call("POST", &format!("{TASKS}/{single}/retry")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task s_[id] is no bulk task, and only those keep their operations to be tried again; send the request again"}
    "#);
}

#[tokio::test]
async fn a_retry_with_an_idempotency_key_is_accepted_once() {
    let world = World::at_rest().await;
    let id = world.accepted(BULK, json!([create("a1", "One")])).await;
    world.call("POST", &format!("{TASKS}/{id}/cancel")).await;
    let send = |body: &'static str| {
        let request = world.request(Method::POST, &format!("{TASKS}/{id}/retry"));
        shown(request.header("idempotency-key", "k1").body(body))
    };
    let first = send("").await;
    insta::assert_snapshot!(first, @r#"
    202
    location: /sources/clinics/v1/tasks/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    insta::assert_snapshot!(send("").await, @r#"
    202
    location: /sources/clinics/v1/tasks/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    insta::assert_snapshot!(send("{}").await, @r#"
    422
    {"code":422,"type":"ABORTED","message":"this Idempotency-Key was used for another request: its body, its query or its Content-Type was not this one; take a new key for a new request"}
    "#);
    let request = world.request(Method::POST, &format!("{TASKS}/{id}/retry"));
    let replay = request.header("idempotency-key", "k1").send().await.unwrap();
    assert_eq!(replay.headers()["idempotency-replayed"], "true");
    let all = world.read(TASKS).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        world.read(&format!("{TASKS}?status=PENDING")).await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_retry_that_is_waited_for_answers_its_task() {
    let world = World::new().await;
    let id = world
        .carried_out(BULK, json!([create("a1", "One"), create("a1", "Two")]))
        .await;
    let request = world.request(Method::POST, &format!("{TASKS}/{id}/retry"));
    insta::assert_snapshot!(shown(request.header("prefer", "wait=30")).await, @r#"
    200
    location: /sources/clinics/v1/tasks/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]","task":{"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"NONE","retryOf":"bk_[id]","counts":{"total":1,"success":0,"failure":1,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}}
    "#);
}

mod cancel;
mod operations;
mod receipts;
mod retention;
mod retry;

use serde_json::json;

use crate::world::{BULK, PROVIDERS, World, create};

const TASKS: &str = "/sources/clinics/v1/tasks";

#[tokio::test]
async fn a_task_is_shown_with_its_receipts_where_they_are_asked_for() {
    let world = World::new().await;
    let id = world
        .carried_out(BULK, json!([create("ada", "Ada"), create("ada", "Ada")]))
        .await;
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"PARTIAL","counts":{"total":2,"success":1,"failure":1,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}?withReceipts=true")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"PARTIAL","counts":{"total":2,"success":1,"failure":1,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada' already exists"}}]}
    "#);
    let bare = id.strip_prefix("bk_").unwrap();
    assert_eq!(
        world.get(&format!("{TASKS}/{bare}")).await,
        world.get(&format!("{TASKS}/{id}")).await
    );
    for prefix in ["s_", "bd_", "pg_", "xx_", "BK_"] {
        let answer = world.get(&format!("{TASKS}/{prefix}{bare}")).await;
        assert!(answer.starts_with("404"), "{answer}");
    }
    insta::assert_snapshot!(world.get(&format!("{TASKS}/bk_nothing")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_nothing' does not exist"}
    "#);
}

#[tokio::test]
async fn a_single_write_is_a_task_of_one_operation() {
    let world = World::new().await;
    let body = json!({"id": "ada", "data": {"name": "Ada"}});
    let answer = world
        .request(reqwest::Method::POST, PROVIDERS)
        .json(&body)
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let id = answer["taskId"].as_str().unwrap();
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}?withReceipts=true")).await, @r#"
    200
    {"taskId":"s_[id]","kind":"SINGLE","targetType":"RESOURCE","status":"SUCCESS","outcome":"COMPLETE","counts":{"total":1,"success":1,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}]}
    "#);
    insta::assert_snapshot!(world.get(TASKS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?kind=SINGLE").await, @r#"
    200
    {"data":[{"taskId":"s_[id]","kind":"SINGLE","targetType":"RESOURCE","status":"SUCCESS","outcome":"COMPLETE","counts":{"total":1,"success":1,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}],"meta":{}}
    "#);
    // It is none of the bulk tasks.
    assert!(world.get(&format!("{BULK}/{id}")).await.starts_with("404"));
}

#[tokio::test]
async fn a_refused_single_write_leaves_no_task() {
    let world = World::new().await;
    world.post(PROVIDERS, &json!({"data": {}})).await;
    world.delete(&format!("{PROVIDERS}/nobody")).await;
    assert_eq!(
        world.get(&format!("{TASKS}?kind=SINGLE")).await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
}

#[tokio::test]
async fn tasks_are_listed_newest_first_by_what_is_asked_for() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for operations in [
        json!([create("ada", "Ada")]),
        json!([create("ada", "Ada"), create("bob", "Bob")]),
        json!([create("ada", "Ada")]),
    ] {
        ids.push(format!("{:?}", world.carried_out(BULK, operations).await));
    }
    let [complete, partial, none] = [&ids[0], &ids[1], &ids[2]];
    let all = [none, partial, complete];
    for (query, expected) in [
        ("", &all[..]),
        ("status=SUCCESS&", &all),
        ("status=PENDING&", &[]),
        ("status=FAILURE&", &[]),
        ("status=CANCELLED&", &[]),
        ("outcome=COMPLETE&", &[complete]),
        ("outcome=PARTIAL&", &[partial]),
        ("outcome=NONE&", &[none]),
        ("kind=BULK&", &all),
        ("kind=PURGE&", &[]),
        ("kind=BUNDLE&", &[]),
        ("createdAfter=2026-01-31T07:59:59.999Z&", &all),
        ("createdAfter=2026-01-31T08:00:00.001Z&", &[]),
        ("createdBefore=2026-01-31T08:00:00.001Z&", &all),
        ("createdBefore=2026-01-31T09:00:00.001%2B01:00&", &all),
        ("createdBefore=2026-01-31T08:00:00Z&", &[]),
        ("kind=BULK&status=SUCCESS&outcome=PARTIAL&", &[partial]),
    ] {
        for limit in 1..=4 {
            let found = world
                .walk(&format!("{TASKS}?{query}limit={limit}"), "taskId")
                .await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}{limit}");
        }
    }
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?limit=1&status=SUCCESS&createdAfter=2026-01-31T07:00:00Z").await, @r#"
    200
    link: </sources/clinics/v1/tasks?limit=1&status=SUCCESS&createdAfter=2026-01-31T07%3A00%3A00.000Z&cursor=[cursor]>; rel="next"
    {"data":[{"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"NONE","counts":{"total":1,"success":0,"failure":1,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}],"meta":{"cursor":"[cursor]"}}
    "#);
}

#[tokio::test]
async fn a_filter_value_that_is_not_known_is_invalid() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?status=DONE").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: status: unknown variant `DONE`, expected one of `PENDING`, `CANCELLED`, `FAILURE`, `SUCCESS`"}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?createdAfter=yesterday").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: createdAfter: not an RFC 3339 date-time"}
    "#);
    for query in [
        "status=pending",
        "status=",
        "outcome=ALL",
        "kind=bulk",
        "createdBefore=2026-13-01T00:00:00Z",
        "createdAfter=2026-01-31",
    ] {
        let answer = world.get(&format!("{TASKS}?{query}")).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{query}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_task_that_waits_is_pending() {
    let world = World::at_rest().await;
    world.accepted(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?status=PENDING").await, @r#"
    200
    {"data":[{"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"PENDING","counts":{"total":1,"success":0,"failure":0,"pending":1,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z"}],"meta":{}}
    "#);
    assert_eq!(
        world.get(&format!("{TASKS}?status=SUCCESS")).await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
    assert_eq!(
        world.get(&format!("{TASKS}?outcome=NONE")).await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
}

#[tokio::test]
async fn a_cursor_of_one_kind_of_tasks_is_not_of_the_other() {
    let world = World::new().await;
    for n in 0..3 {
        world
            .put(&format!("{PROVIDERS}/p{n}"), &json!({"data": {"name": "Ada"}}))
            .await;
    }
    let singles = format!("{TASKS}?kind=SINGLE&limit=1");
    assert_eq!(world.walk(&singles, "taskId").await.len(), 3);
    let page = world.read(&singles).await;
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let answer = world.get(&format!("{TASKS}?cursor={cursor}")).await;
    assert!(
        answer.starts_with("400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\""),
        "{answer}"
    );
}

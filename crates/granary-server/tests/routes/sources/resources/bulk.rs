use granary_core::limits::Limits;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{BULK, NDJSON, World, create, shown};

fn bulk(operations: Value) -> Value {
    json!({"operations": operations})
}

#[tokio::test]
async fn a_bulk_request_is_accepted_and_its_task_shows_receipts() {
    let world = World::new().await;
    let operations = json!([
        create("ada", "Ada"),
        create("ada", "Ada again"),
        {"action": "UPSERT", "upsert": {"type": "provider", "id": "ada", "data": {"name": "Ada"}}},
        {"action": "DELETE", "delete": {"type": "provider", "id": "bob"}},
        {"action": "CREATE", "create": {"type": "provider", "data": {"name": "No id"}}},
    ]);
    insta::assert_snapshot!(world.post(BULK, &bulk(json!([create("eve", "Eve")]))).await, @r#"
    202
    location: /sources/clinics/v1/resources/bulk/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    let id = world.carried_out(BULK, operations).await;
    insta::assert_snapshot!(world.get(&format!("{BULK}/{id}")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"PARTIAL","counts":{"total":5,"success":3,"failure":2,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada' already exists"}},{"index":2,"action":"UPSERT","targetType":"RESOURCE","type":"provider","id":"ada","status":"SUCCESS","unchanged":true,"receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":3,"action":"DELETE","targetType":"RESOURCE","type":"provider","id":"bob","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":404,"type":"NOT_FOUND","message":"record with id 'bob' does not exist"}},{"index":4,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"[id]","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}]}
    "#);
    insta::assert_snapshot!(world.get(&format!("{BULK}/{id}?withReceipts=false")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"SUCCESS","outcome":"PARTIAL","counts":{"total":5,"success":3,"failure":2,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    let bare = id.strip_prefix("bk_").unwrap();
    assert_eq!(
        world.get(&format!("{BULK}/{bare}")).await,
        world.get(&format!("{BULK}/{id}")).await
    );
}

#[tokio::test]
async fn a_task_that_waits_has_pending_receipts_with_their_ids() {
    let world = World::at_rest().await;
    let id = world.accepted(BULK, json!([create("ada", "Ada"), {"action": "CREATE", "create": {"type": "provider", "data": {"name": "No id"}}}])).await;
    insta::assert_snapshot!(world.get(&format!("{BULK}/{id}")).await, @r#"
    200
    {"taskId":"bk_[id]","bulkId":"bk_[id]","kind":"BULK","targetType":"RESOURCE","status":"PENDING","counts":{"total":2,"success":0,"failure":0,"pending":2,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","receipts":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"ada","status":"PENDING","receivedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"[id]","status":"PENDING","receivedAt":"2026-01-31T08:00:00.000Z"}]}
    "#);
    insta::assert_snapshot!(world.get(crate::world::PROVIDERS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
}

#[tokio::test]
async fn a_rejected_request_has_a_receipt_for_each_operation() {
    let world = World::new().await;
    let operations = json!([
        create("ada", "Ada"),
        {"action": "CREATE", "create": {"type": "provider", "data": {"nmae": "Ada", "practiceNumber": "7"}}},
        {"action": "create", "create": {"type": "provider", "data": {"name": "Ada"}}},
        create("bob", "Bob"),
        {"action": "UPSERT", "upsert": {"type": "providr", "data": {}}},
    ]);
    insta::assert_snapshot!(world.post(BULK, &bulk(operations.clone())).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /create/data/nmae: property 'nmae' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"property 'nmae' is not known, did you mean 'name'?","path":"/create/data/nmae","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a number (integer), found a string; write it without quotes","path":"/create/data/practiceNumber","rule":"type"},{"type":"INVALID_ARGUMENT","message":"property 'name' is required","path":"/create/data/name","rule":"required"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/action: action 'create' is not known: actions are upper case, use 'CREATE'","details":[{"type":"INVALID_ARGUMENT","message":"action 'create' is not known: actions are upper case, use 'CREATE'","path":"/action","rule":"enum"}]}},{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /upsert/type: resource type 'providr' is not known, did you mean 'provider'?","details":[{"type":"INVALID_ARGUMENT","message":"resource type 'providr' is not known, did you mean 'provider'?","path":"/upsert/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'id' is required","path":"/upsert/id","rule":"required"}]}}]}
    "#);
    insta::assert_snapshot!(world.post(&format!("{BULK}?receipts=failures"), &bulk(operations.clone())).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"index":1,"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /create/data/nmae: property 'nmae' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"property 'nmae' is not known, did you mean 'name'?","path":"/create/data/nmae","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a number (integer), found a string; write it without quotes","path":"/create/data/practiceNumber","rule":"type"},{"type":"INVALID_ARGUMENT","message":"property 'name' is required","path":"/create/data/name","rule":"required"}]}},{"index":2,"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/action: action 'create' is not known: actions are upper case, use 'CREATE'","details":[{"type":"INVALID_ARGUMENT","message":"action 'create' is not known: actions are upper case, use 'CREATE'","path":"/action","rule":"enum"}]}},{"index":4,"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /upsert/type: resource type 'providr' is not known, did you mean 'provider'?","details":[{"type":"INVALID_ARGUMENT","message":"resource type 'providr' is not known, did you mean 'provider'?","path":"/upsert/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'id' is required","path":"/upsert/id","rule":"required"}]}}]}
    "#);
    assert_eq!(
        world
            .post(&format!("{BULK}?receipts=all"), &bulk(operations.clone()))
            .await,
        world.post(BULK, &bulk(operations)).await
    );
    assert_eq!(
        world.get("/sources/clinics/v1/tasks").await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
    assert_eq!(
        world.get(crate::world::PROVIDERS).await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
}

#[tokio::test]
async fn a_request_that_is_wrong_as_a_whole_says_so_beside_its_status() {
    let world = World::new().await;
    let post = |body: &'static str| {
        let request = world.request(Method::POST, BULK);
        shown(request.header("content-type", "application/json").body(body))
    };
    insta::assert_snapshot!(post("").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 0, line 1, operation 0: it is empty"},"receipts":[]}
    "#);
    insta::assert_snapshot!(post("[]").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the request must be an object {\"operations\": […]}; put the array into it","details":[{"type":"INVALID_ARGUMENT","message":"the request must be an object {\"operations\": […]}; put the array into it","path":""}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(post("{}").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the request has no member 'operations'; it must be {\"operations\": […]}","details":[{"type":"INVALID_ARGUMENT","message":"the request has no member 'operations'; it must be {\"operations\": […]}","path":""}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(post(r#"{"operations":[]}"#).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"'operations' is empty; send at least one operation","details":[{"type":"INVALID_ARGUMENT","message":"'operations' is empty; send at least one operation","path":"/operations"}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(post(r#"{"operations":{}}"#).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"'operations' must be an array","details":[{"type":"INVALID_ARGUMENT","message":"'operations' must be an array","path":"/operations"}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(post(r#"{"operations":[{"action":"DELETE","delete":{"type":"provider","id":"ada"}}],"operation":1}"#).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"unknown member 'operation'; the request has the member 'operations' alone","details":[{"type":"INVALID_ARGUMENT","message":"unknown member 'operation'; the request has the member 'operations' alone","path":"/operation"}]},"receipts":[{"status":"CANCELLED"}]}
    "#);
    insta::assert_snapshot!(post("{\"operations\":[\n{\"action\":\"DELETE\",\"delete\":{\"type\":\"provider\",\"id\":\"ada\"}},\n{\"action\":").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body breaks off at byte 87, line 3, operation 1: the operation does not end"},"receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body breaks off at byte 87, line 3, operation 1: the operation does not end"}}]}
    "#);
    insta::assert_snapshot!(post(r#"{"operations":[{"action":"DELETE","delete":{"type":"provider","id":"ada"}}]} x"#).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 77, line 1, operation 1: something follows the end of the document"},"receipts":[{"status":"CANCELLED"}]}
    "#);
}

#[tokio::test]
async fn a_request_that_is_only_checked_stores_nothing() {
    let world = World::new().await;
    let path = format!("{BULK}?validateOnly=true");
    insta::assert_snapshot!(world.post(&path, &bulk(json!([create("ada", "Ada"), create("ada", "Ada")]))).await, @r#"
    200
    {"status":"VALID","count":2}
    "#);
    insta::assert_snapshot!(world.post(&path, &bulk(json!([{"action": "DELETE"}]))).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/delete: action DELETE needs its payload in 'delete'","details":[{"type":"INVALID_ARGUMENT","message":"action DELETE needs its payload in 'delete'","path":"/delete","rule":"required"}]}}]}
    "#);
    insta::assert_snapshot!(world.post(&format!("{BULK}?validateOnly=1"), &bulk(json!([]))).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: validateOnly: provided string was not `true` or `false`"}
    "#);
    insta::assert_snapshot!(world.post(&format!("{BULK}?receipts=some"), &bulk(json!([]))).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: receipts: unknown variant `some`, expected `all` or `failures`"}
    "#);
    assert_eq!(
        world.get("/sources/clinics/v1/tasks").await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
}

#[tokio::test]
async fn operations_may_stand_one_a_line() {
    let world = World::new().await;
    let lines = |body: String| {
        shown(
            world
                .request(Method::POST, BULK)
                .header("content-type", NDJSON)
                .body(body),
        )
    };
    let (ada, bob) = (create("ada", "Ada"), create("bob", "Bob"));
    insta::assert_snapshot!(lines(format!("{ada}\n\n{bob}\r\n")).await, @r#"
    202
    location: /sources/clinics/v1/resources/bulk/bk_[id]
    {"status":"ACCEPTED","bulkId":"bk_[id]","taskId":"bk_[id]"}
    "#);
    insta::assert_snapshot!(lines(format!("{ada}\n{{\n{bob}")).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 83, line 2, operation 1: the value ends too early"},"receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 83, line 2, operation 1: the value ends too early"}}]}
    "#);
    insta::assert_snapshot!(lines(String::new()).await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the request has no operations; send one a line","details":[{"type":"INVALID_ARGUMENT","message":"the request has no operations; send one a line","path":""}]},"receipts":[]}
    "#);
}

#[tokio::test]
async fn the_limits_on_one_operation_are_its_own_failure() {
    let limits = Limits {
        operation_bytes: 200,
        json_depth: 5,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    let long = "x".repeat(200);
    let operations = json!([
        create("ada", "Ada"),
        create("bob", &long),
        {"action": "CREATE", "create": {"type": "provider", "data": {"name": [[["deep"]]]}}},
    ]);
    insta::assert_snapshot!(world.post(BULK, &bulk(operations)).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":413,"type":"CONTENT_TOO_LARGE","message":"the operation is over the limit operationBytes of 200"}},{"status":"FAILURE","error":{"code":413,"type":"CONTENT_TOO_LARGE","message":"the nesting of the JSON is over the limit jsonDepth of 5"}}]}
    "#);
}

#[tokio::test]
async fn too_many_tasks_waiting_is_refused_for_now() {
    let limits = Limits {
        tasks_waiting_per_source: 1,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    world.accepted(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.post(BULK, &bulk(json!([create("bob", "Bob")]))).await, @r#"
    429
    retry-after: 5
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"the source has 1 tasks waiting, which is the limit tasksWaitingPerSource"}
    "#);
}

#[tokio::test]
async fn a_bulk_task_is_found_where_its_operations_belong() {
    let world = World::new().await;
    let id = world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    insta::assert_snapshot!(world.get(&format!("/sources/clinics/v1/relationships/bulk/{id}")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no bulk task 'bk_[id]' on relationships"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{BULK}/bk_nothing")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_nothing' does not exist"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{BULK}/{id}?withReceipts=maybe")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: withReceipts: provided string was not `true` or `false`"}
    "#);
    // A task of another source is none of this one.
    world
        .put("/catalog/v1/sources/other", &json!({"type": "registry"}))
        .await;
    assert!(
        world
            .get(&format!("/sources/other/v1/resources/bulk/{id}"))
            .await
            .starts_with("404")
    );
    assert!(
        world
            .get(&format!("/sources/other/v1/tasks/{id}"))
            .await
            .starts_with("404")
    );
    // Nor is one with the prefix of another kind.
    let wrong = id.replace("bk_", "pg_");
    assert!(world.get(&format!("{BULK}/{wrong}")).await.starts_with("404"));
}

#[tokio::test]
async fn receipts_of_many_operations_are_all_there() {
    let world = World::new().await;
    for count in [1_000, 1_001, 2_500] {
        let operations = (0..count)
            .map(|n| create(&format!("c{count}-{n}"), "Ada"))
            .collect();
        let id = world.carried_out(BULK, operations).await;
        let task = world.read(&format!("{BULK}/{id}")).await;
        let receipts = task["receipts"].as_array().unwrap();
        assert_eq!(receipts.len(), count);
        for (index, receipt) in receipts.iter().enumerate() {
            assert_eq!(
                (&receipt["index"], &receipt["status"]),
                (&json!(index), &json!("SUCCESS"))
            );
            assert_eq!(receipt["id"], format!("c{count}-{index}"));
        }
    }
}

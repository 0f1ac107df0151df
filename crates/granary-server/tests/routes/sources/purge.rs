use serde_json::json;

use crate::world::{BULK, EDGES, PROVIDERS, World, create, create_edge};

const PURGE: &str = "/sources/clinics/v1/purge";
const TASKS: &str = "/sources/clinics/v1/tasks";

/// Two providers with an edge between them.
async fn pair() -> World {
    let world = World::new().await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let edges = "/sources/clinics/v1/relationships/bulk";
    world.carried_out(edges, json!([create_edge("ada", "bob")])).await;
    world
}

#[tokio::test]
async fn a_purge_is_a_task_that_tells_what_it_deleted() {
    let world = pair().await;
    let resources = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    insta::assert_snapshot!(world.post(PURGE, &resources).await, @r#"
    202
    location: /sources/clinics/v1/purge/pg_[id]
    {"taskId":"pg_[id]","kind":"PURGE","targetType":"RESOURCE","status":"PENDING","collectionKey":"provider","deletedCount":0,"deletedRelationshipCount":0,"counts":{"total":0,"success":0,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z"}
    "#);
    let purges = world.ended(&format!("{TASKS}?kind=PURGE")).await;
    let id = purges["data"][0]["taskId"].as_str().unwrap();
    insta::assert_snapshot!(world.get(&format!("{PURGE}/{id}")).await, @r#"
    200
    {"taskId":"pg_[id]","kind":"PURGE","targetType":"RESOURCE","status":"SUCCESS","outcome":"COMPLETE","collectionKey":"provider","deletedCount":2,"deletedRelationshipCount":1,"counts":{"total":2,"success":2,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","startedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    assert_eq!(
        world.get(&format!("{PURGE}/{id}")).await,
        world.get(&format!("{TASKS}/{id}")).await
    );
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}/receipts")).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    for empty in [PROVIDERS, EDGES] {
        assert_eq!(
            world.get(empty).await,
            "200\n{\"data\":[],\"meta\":{}}",
            "{empty}"
        );
    }
}

#[tokio::test]
async fn a_purge_of_edges_leaves_the_resources() {
    let world = pair().await;
    let edges = json!({"collectionType": "RELATIONSHIP", "collectionKey": "refersTo"});
    world.post(PURGE, &edges).await;
    let purges = world.ended(&format!("{TASKS}?kind=PURGE")).await;
    let purge = &purges["data"][0];
    assert_eq!(
        (&purge["deletedCount"], &purge["deletedRelationshipCount"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(world.walk(PROVIDERS, "id").await.len(), 2);
}

#[tokio::test]
async fn a_purge_that_names_nothing_is_refused() {
    let world = pair().await;
    let purge = |kind: &str, key: &str| json!({"collectionType": kind, "collectionKey": key});
    insta::assert_snapshot!(world.post(PURGE, &purge("RESOURCE", "refersTo")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no ROOT profile 'refersTo'"}
    "#);
    insta::assert_snapshot!(world.post(PURGE, &purge("RELATIONSHIP", "provider")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no relationship definition 'provider'"}
    "#);
    insta::assert_snapshot!(world.post(PURGE, &purge("resource", "provider")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a purge is written as {\"collectionType\":\"RESOURCE\",\"collectionKey\":\"…\"}: unknown variant `resource`, expected `RESOURCE` or `RELATIONSHIP` at line 1 column 55"}
    "#);
    insta::assert_snapshot!(world.post(PURGE, &json!({"collectionType": "RESOURCE"})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a purge is written as {\"collectionType\":\"RESOURCE\",\"collectionKey\":\"…\"}: missing field `collectionKey` at line 1 column 29"}
    "#);
    insta::assert_snapshot!(world.post(PURGE, &json!(["RESOURCE", "provider"])).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a purge is written as {\"collectionType\":\"RESOURCE\",\"collectionKey\":\"…\"}: it is an array"}
    "#);
    insta::assert_snapshot!(world.post("/sources/none/v1/purge", &purge("RESOURCE", "x")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"source 'none' does not exist"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{PURGE}/pg_nothing")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'pg_nothing' does not exist"}
    "#);
    let bulk = world.carried_out(BULK, json!([create("cyd", "Cyd")])).await;
    insta::assert_snapshot!(world.get(&format!("{PURGE}/{bulk}")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no purge 'bk_[id]'"}
    "#);
    assert!(world.get(TASKS).await.find("PURGE").is_none());
}

#[tokio::test]
async fn a_waiting_purge_is_cancelled() {
    let world = World::at_rest().await;
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    world.post(PURGE, &purge).await;
    let id = world.read(&format!("{TASKS}?kind=PURGE")).await["data"][0]["taskId"].clone();
    let path = format!("{TASKS}/{}/cancel", id.as_str().unwrap());
    insta::assert_snapshot!(world.call("POST", &path).await, @r#"
    200
    {"taskId":"pg_[id]","kind":"PURGE","targetType":"RESOURCE","status":"CANCELLED","outcome":"NONE","collectionKey":"provider","deletedCount":0,"deletedRelationshipCount":0,"counts":{"total":0,"success":0,"failure":0,"pending":0,"cancelled":0},"createdAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.call("POST", &path).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"task pg_[id] has ended; what it did stays"}
    "#);
}

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
    insta::assert_snapshot!(world.post(PURGE, &resources).await, @r#""#);
    let purges = world.ended(&format!("{TASKS}?kind=PURGE")).await;
    let id = purges["data"][0]["taskId"].as_str().unwrap();
    insta::assert_snapshot!(world.get(&format!("{PURGE}/{id}")).await, @r#""#);
    assert_eq!(
        world.get(&format!("{PURGE}/{id}")).await,
        world.get(&format!("{TASKS}/{id}")).await
    );
    insta::assert_snapshot!(world.get(&format!("{TASKS}/{id}/receipts")).await, @r#""#);
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
    insta::assert_snapshot!(world.post(PURGE, &purge("RESOURCE", "refersTo")).await, @r#""#);
    insta::assert_snapshot!(world.post(PURGE, &purge("RELATIONSHIP", "provider")).await, @r#""#);
    insta::assert_snapshot!(world.post(PURGE, &purge("resource", "provider")).await, @r#""#);
    insta::assert_snapshot!(world.post(PURGE, &json!({"collectionType": "RESOURCE"})).await, @r#""#);
    insta::assert_snapshot!(world.post(PURGE, &json!(["RESOURCE", "provider"])).await, @r#""#);
    insta::assert_snapshot!(world.post("/sources/none/v1/purge", &purge("RESOURCE", "x")).await, @r#""#);
    insta::assert_snapshot!(world.get(&format!("{PURGE}/pg_nothing")).await, @r#""#);
    let bulk = world.carried_out(BULK, json!([create("cyd", "Cyd")])).await;
    insta::assert_snapshot!(world.get(&format!("{PURGE}/{bulk}")).await, @r#""#);
    assert!(world.get(TASKS).await.find("PURGE").is_none());
}

#[tokio::test]
async fn a_waiting_purge_is_cancelled() {
    let world = World::at_rest().await;
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    world.post(PURGE, &purge).await;
    let id = world.read(&format!("{TASKS}?kind=PURGE")).await["data"][0]["taskId"].clone();
    let path = format!("{TASKS}/{}/cancel", id.as_str().unwrap());
    insta::assert_snapshot!(world.call("POST", &path).await, @r#""#);
    insta::assert_snapshot!(world.call("POST", &path).await, @r#""#);
}

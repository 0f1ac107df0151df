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
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#""#);
    insta::assert_snapshot!(world.get(EDGES).await, @r#""#);
    let again = bundle(&[upsert("bob", "Bob"), upsert("ada", "Ada L.")], &[]);
    insta::assert_snapshot!(world.post(BUNDLE, &again).await, @r#""#);
    let tasks = world.read("/sources/clinics/v1/tasks?kind=BUNDLE").await;
    let first = tasks["data"][1]["taskId"].as_str().unwrap();
    let path = format!("/sources/clinics/v1/tasks/{first}?withReceipts=true");
    insta::assert_snapshot!(world.get(&path).await, @r#""#);
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
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#""#);
    let sent = bundle(&[delete("ada")], &[create_edge("ada", "ada")]);
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#""#);
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
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#""#);
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
    insta::assert_snapshot!(world.post(BUNDLE, &sent).await, @r#""#);
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
    insta::assert_snapshot!(world.post(BUNDLE, &unknown).await, @r#""#);
    let twice = bundle(&[create("@rootId", "ada"), create("@rootId", "ada")], &[]);
    insta::assert_snapshot!(world.post(BUNDLE, &twice).await, @r#""#);
}

#[tokio::test]
async fn a_bundle_is_only_checked_where_that_is_asked_for() {
    let world = World::new().await;
    let path = format!("{BUNDLE}?validateOnly=true");
    let sent = bundle(&[create("ada", "Ada")], &[create_edge("ada", "nobody")]);
    insta::assert_snapshot!(world.post(&path, &sent).await, @r#""#);
    let wrong = bundle(
        &[json!({"action": "DELETE", "delete": {"type": "provider"}})],
        &[],
    );
    insta::assert_snapshot!(world.post(&path, &wrong).await, @r#""#);
    assert_eq!(world.get(PROVIDERS).await, "200\n{\"data\":[],\"meta\":{}}");
}

#[tokio::test]
async fn what_is_no_bundle_is_refused() {
    let world = World::limited(Limits {
        bundle_bytes: 400,
        ..Limits::default()
    })
    .await;
    insta::assert_snapshot!(world.post(BUNDLE, &json!({})).await, @r#""#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!([[], []])).await, @r#""#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!({"operations": []})).await, @r#""#);
    insta::assert_snapshot!(world.post(BUNDLE, &json!({"resourceOperations": {}})).await, @r#""#);
    insta::assert_snapshot!(world.post("/sources/none/v1/bundle", &bundle(&[delete("ada")], &[])).await, @r#""#);
    let fits = bundle(&[create("ada", &"a".repeat(200))], &[]);
    let over = bundle(
        &[create("bob", &"a".repeat(400 - fits.to_string().len() + 201))],
        &[],
    );
    assert_eq!(over.to_string().len(), 401);
    insta::assert_snapshot!(world.post(BUNDLE, &over).await, @r#""#);
    let at_limit = bundle(
        &[create("bob", &"a".repeat(400 - fits.to_string().len() + 200))],
        &[],
    );
    assert!(world.post(BUNDLE, &at_limit).await.starts_with("200"));
}

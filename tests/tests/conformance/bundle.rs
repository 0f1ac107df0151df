//! Bundles: a mix of operations on resources and on relationships, all or nothing, at once.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::registry::{Answer, Registry, answer, column, create, create_edge, delete, faults};

const BUNDLE: &str = "/sources/clinics/v1/bundle";

async fn send(registry: &Registry, bundle: &Value) -> Answer {
    let request = registry
        .request(Method::POST, BUNDLE)
        .header(CONTENT_TYPE, "application/json");
    answer(request.body(bundle.to_string())).await
}

#[tokio::test]
async fn a_bundle_is_stored_as_a_whole_with_tokens_for_what_it_creates() {
    let registry = Registry::start().await;
    let named = |token: &str| json!({"action": "CREATE", "create": {"type": "provider", "id": token, "data": {"name": token}}});
    let bundle = json!({
        "relationshipOperations": [create_edge("@rootId1", "@rootId2"), create_edge("@rootId", "@rootId1")],
        "resourceOperations": [named("@rootId"), named("@rootId1"), named("@rootId2")],
    });
    let answer = send(&registry, &bundle).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &json!("PERSISTED")),
        "{answer:?}"
    );
    let task = answer.body["taskId"].as_str().unwrap();
    assert!(task.starts_with("bd_"));
    let ids = column(&answer.body["resourceReceipts"], "id");
    assert!(ids.iter().all(|id| id.len() == 27), "{ids:?}");
    let edges = column(&answer.body["relationshipReceipts"], "id");
    assert_eq!(
        edges,
        [format!("{}.{}", ids[1], ids[2]), format!("{}.{}", ids[0], ids[1])]
    );
    for edge in &edges {
        registry.read(&format!("relationships/refersTo/{edge}")).await;
    }
    // It is a task, also after a restart.
    let registry = registry.restarted().await;
    let task = registry.read(&format!("tasks/{task}?withReceipts=true")).await;
    assert_eq!(
        (&task["kind"], &task["status"], &task["outcome"]),
        (&json!("BUNDLE"), &json!("SUCCESS"), &json!("COMPLETE"))
    );
    assert_eq!(column(&task["receipts"], "id"), [ids, edges].concat());
    assert_eq!(registry.read("tasks").await["data"], json!([]));
    assert_eq!(
        registry.read("tasks?kind=BUNDLE").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_failure_undoes_all_of_a_bundle() {
    let registry = Registry::start().await;
    registry
        .carried_out(json!({"operations": [create("ada", "Ada")]}).to_string())
        .await;
    for (bundle, status, error) in [
        (
            json!({"resourceOperations": [create("bob", "Bob"), create("ada", "Eve")]}),
            409,
            "ALREADY_EXISTS",
        ),
        (
            json!({"resourceOperations": [create("bob", "Bob"), delete("cyd")]}),
            404,
            "NOT_FOUND",
        ),
        (
            json!({"resourceOperations": [create("bob", "Bob")], "relationshipOperations": [create_edge("bob", "cyd")]}),
            404,
            "NOT_FOUND",
        ),
        (
            json!({"resourceOperations": [create("bob", "Bob"), {"action": "CREATE"}]}),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            json!({"resourceOperations": [create("bob", "Bob"), create("bob", "Bob")]}),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            json!({"resourceOperations": [create("bob", "Bob")], "relationshipOperations": [create_edge("bob", "@rootId")]}),
            400,
            "INVALID_ARGUMENT",
        ),
    ] {
        let answer = send(&registry, &bundle).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (status, &json!("REJECTED")),
            "{answer:?}"
        );
        assert!(answer.body.get("taskId").is_none());
        let mut receipts = Vec::new();
        for list in ["resourceReceipts", "relationshipReceipts"] {
            receipts.extend(answer.body[list].as_array().unwrap().iter().cloned());
        }
        assert_eq!(receipts[0]["status"], "CANCELLED");
        assert_eq!(receipts[1]["status"], "FAILURE");
        assert_eq!(
            (&receipts[1]["error"]["code"], &receipts[1]["error"]["type"]),
            (&json!(status), &json!(error))
        );
        let names: Vec<Value> = registry
            .providers()
            .await
            .iter()
            .map(|one| one["data"]["name"].clone())
            .collect();
        assert_eq!(names, ["Ada"]);
    }
    assert_eq!(registry.read("tasks?kind=BUNDLE").await["data"], json!([]));
}

#[tokio::test]
async fn every_fault_of_every_operation_is_in_its_receipt() {
    let registry = Registry::start().await;
    let bad = json!({"action": "CREATE", "create": {"type": "provider", "data": {"nmae": 1, "practiceNumber": "x"}}});
    let edge = json!({"action": "CREATE", "create": {"type": "refersTo", "from": {"type": "provider", "id": "ada"}}});
    let answer = send(
        &registry,
        &json!({"resourceOperations": [bad, create("ada", "Ada")], "relationshipOperations": [edge]}),
    )
    .await;
    assert_eq!(answer.status, 400);
    let places = |receipt: &Value| {
        faults(receipt)
            .into_iter()
            .map(|(path, _)| path)
            .collect::<Vec<_>>()
    };
    let resources = &answer.body["resourceReceipts"];
    assert_eq!(
        places(&resources[0])[..2],
        ["/create/data/nmae", "/create/data/practiceNumber"]
    );
    assert_eq!(resources[1], json!({"status": "CANCELLED"}));
    assert_eq!(places(&answer.body["relationshipReceipts"][0]), ["/create/to"]);
    registry.assert_empty().await;
}

#[tokio::test]
async fn what_is_no_bundle_is_refused_as_a_call() {
    let registry = Registry::start().await;
    for bad in [
        json!({}),
        json!([]),
        json!({"resourceOperations": []}),
        json!({"operations": [create("ada", "Ada")]}),
        json!({"resourceOperations": {}, "relationshipOperations": [create_edge("ada", "bob")]}),
    ] {
        assert_eq!(
            send(&registry, &bad).await.error(),
            (400, "INVALID_ARGUMENT"),
            "{bad}"
        );
    }
    let of = |length: usize| {
        let bundle = json!({"resourceOperations": [create("ada", "")]}).to_string();
        json!({"resourceOperations": [create("ada", &"x".repeat(length - bundle.len()))]})
    };
    assert_eq!(
        send(&registry, &of(500_001)).await.error(),
        (413, "CONTENT_TOO_LARGE")
    );
    assert_eq!(send(&registry, &of(500_000)).await.status, 200);
}

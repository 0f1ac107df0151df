//! *Upsert Operation*.

use serde_json::json;

use super::examples;
use super::registry::{Registry, column, fault, request, upsert};

#[tokio::test]
async fn the_example_creates_the_provider_if_it_does_not_exist() {
    let registry = Registry::start().await;
    let task = registry.carried_out(examples::UPSERT).await;
    let receipt = &task["receipts"][0];
    assert_eq!(
        (&receipt["status"], &receipt["id"]),
        (&json!("SUCCESS"), &json!(examples::ID))
    );
    let provider = registry
        .read(&format!("resources/provider/{}", examples::ID))
        .await;
    assert_eq!(provider["data"]["name"], "John Doe");
    assert_eq!(provider["meta"]["version"], 1);
}

#[tokio::test]
async fn it_updates_all_properties_of_an_existing_resource() {
    let registry = Registry::start().await;
    registry.carried_out(examples::UPSERT).await;
    let before = registry
        .read(&format!("resources/provider/{}", examples::ID))
        .await;
    let task = registry
        .carried_out(request(&[upsert(examples::ID, "Jane Doe")]))
        .await;
    assert_eq!(column(&task["receipts"], "id"), [examples::ID]);
    let after = registry
        .read(&format!("resources/provider/{}", examples::ID))
        .await;
    // What was not sent is gone.
    assert_eq!(after["data"], json!({"name": "Jane Doe"}));
    assert_eq!(after["meta"]["version"], 2);
    assert_eq!(after["meta"]["createdAt"], before["meta"]["createdAt"]);
    assert_eq!(registry.providers().await.len(), 1);
}

#[tokio::test]
async fn the_example_sent_again_changes_nothing() {
    let registry = Registry::start().await;
    registry.carried_out(examples::UPSERT).await;
    let before = registry.providers().await;
    let task = registry.carried_out(examples::UPSERT).await;
    let receipt = &task["receipts"][0];
    assert_eq!(
        (&receipt["status"], &receipt["unchanged"]),
        (&json!("SUCCESS"), &json!(true))
    );
    assert_eq!(registry.providers().await, before);
}

#[tokio::test]
async fn contained_resources_are_replaced_too() {
    let registry = Registry::start().await;
    registry
        .define("profiles/line", r#"{"type": "CONTAINED", "properties": {}}"#)
        .await;
    let order = json!({"properties": {}, "contained": {"lines": {"types": ["line"], "cardinality": "0:*"}}});
    registry.define("profiles/order", &order.to_string()).await;
    let upsert = |contained| {
        json!({"action": "UPSERT", "upsert": {
            "type": "order", "id": "o1", "data": {}, "contained": contained,
        }})
    };
    let line = |id: &str| json!({"id": id, "type": "line", "data": {}});
    registry
        .carried_out(request(&[upsert(json!({"lines": [line("a1"), line("b2")]}))]))
        .await;
    registry
        .carried_out(request(&[upsert(json!({"lines": [line("c3")]}))]))
        .await;
    let stored = registry.read("resources/order/o1").await;
    assert_eq!(stored["contained"], json!({"lines": [line("c3")]}));
}

#[tokio::test]
async fn the_operation_of_the_text_works_once_its_placeholders_are_filled() {
    let registry = Registry::start().await;
    let filled = examples::UPSERT_OPERATION
        .replace("<resourceId>", "ada")
        .replace("<resourceType>", "provider")
        .replace("\"data\": {", "\"data\": {\"name\": \"Ada\"");
    let task = registry
        .carried_out(format!(r#"{{"operations":[{filled}]}}"#))
        .await;
    assert_eq!(task["receipts"][0]["status"], "SUCCESS");
}

#[tokio::test]
async fn it_needs_the_id_of_the_targeted_resource() {
    let registry = Registry::start().await;
    let operation = json!({"action": "UPSERT", "upsert": {"type": "provider", "data": {"name": "Ada"}}});
    assert_eq!(
        registry.send(request(&[operation])).await.faults(),
        [fault("/upsert/id", "required")]
    );
}

//! *Delete Operation*.

use serde_json::json;

use super::examples;
use super::registry::{Registry, column, create, create_edge, delete, fault, request};

#[tokio::test]
async fn the_example_deletes_the_provider() {
    let registry = Registry::start().await;
    registry.carried_out(examples::UPSERT).await;
    let task = registry.carried_out(examples::DELETE).await;
    let receipt = &task["receipts"][0];
    assert_eq!(
        (&receipt["status"], &receipt["id"]),
        (&json!("SUCCESS"), &json!(examples::ID))
    );
    let path = format!("/sources/clinics/v1/resources/provider/{}", examples::ID);
    assert_eq!(registry.get(&path).await.error(), (404, "NOT_FOUND"));
    assert!(registry.providers().await.is_empty());
}

#[tokio::test]
async fn a_resource_must_exist_to_be_deleted() {
    let registry = Registry::start().await;
    let task = registry.carried_out(examples::DELETE).await;
    let receipt = &task["receipts"][0];
    assert_eq!(receipt["status"], "FAILURE");
    assert_eq!(
        (&receipt["error"]["code"], &receipt["error"]["type"]),
        (&json!(404), &json!("NOT_FOUND"))
    );
    assert_eq!(
        (&task["status"], &task["outcome"]),
        (&json!("SUCCESS"), &json!("NONE"))
    );
}

#[tokio::test]
async fn the_operation_of_the_text_works_once_its_placeholders_are_filled() {
    let registry = Registry::start().await;
    registry.carried_out(request(&[create("ada", "Ada")])).await;
    let filled = examples::DELETE_OPERATION
        .replace("<resourceId>", "ada")
        .replace("<resourceType>", "provider");
    let task = registry
        .carried_out(format!(r#"{{"operations":[{filled}]}}"#))
        .await;
    assert_eq!(task["receipts"][0]["status"], "SUCCESS");
}

#[tokio::test]
async fn it_needs_id_and_type_and_has_nothing_else() {
    let registry = Registry::start().await;
    let operation = |payload| request(&[json!({"action": "DELETE", "delete": payload})]);
    let send = async |payload| registry.send(operation(payload)).await.faults();
    assert_eq!(
        send(json!({"type": "provider"})).await,
        [fault("/delete/id", "required")]
    );
    assert_eq!(
        send(json!({"id": "ada"})).await,
        [fault("/delete/type", "required")]
    );
    let more = json!({"type": "provider", "id": "ada", "data": {}});
    assert_eq!(send(more).await, [fault("/delete/data", "unknown")]);
}

#[tokio::test]
async fn the_relationships_of_a_deleted_resource_go_with_it() {
    let registry = Registry::start().await;
    let three = [create("ada", "Ada"), create("bob", "Bob"), create("cyd", "Cyd")];
    registry.carried_out(request(&three)).await;
    let edges = [
        create_edge("ada", "bob"),
        create_edge("bob", "cyd"),
        create_edge("cyd", "ada"),
    ];
    registry.carried_out_on("relationships", request(&edges)).await;
    registry.carried_out(request(&[delete("bob")])).await;
    assert_eq!(
        column(&registry.read("relationships/refersTo").await["data"], "id"),
        ["cyd.ada"]
    );
    // Created again it has none of them.
    registry.carried_out(request(&[create("bob", "Bob")])).await;
    assert_eq!(
        column(&registry.read("relationships/refersTo").await["data"], "id"),
        ["cyd.ada"]
    );
}

#[tokio::test]
async fn a_deleted_id_is_free_again() {
    let registry = Registry::start().await;
    let operations = [
        create("ada", "Ada"),
        delete("ada"),
        create("ada", "Ada the second"),
    ];
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(task["outcome"], "COMPLETE");
    let ada = registry.read("resources/provider/ada").await;
    assert_eq!(
        (&ada["data"]["name"], &ada["meta"]["version"]),
        (&json!("Ada the second"), &json!(1))
    );
}

//! *Using the Bulk API*.

use serde_json::json;

use super::registry::{Registry, column, create, create_edge, delete, request, upsert};

#[tokio::test]
async fn multiple_operations_are_sent_at_once() {
    let registry = Registry::start().await;
    let operations = [
        create("ada", "Ada"),
        upsert("bob", "Bob"),
        create("cyd", "Cyd"),
        delete("ada"),
    ];
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(
        column(&task["receipts"], "action"),
        ["CREATE", "UPSERT", "CREATE", "DELETE"]
    );
    assert_eq!(column(&task["receipts"], "status"), ["SUCCESS"; 4]);
    assert_eq!(column(&json!(registry.providers().await), "id"), ["bob", "cyd"]);
}

#[tokio::test]
async fn a_large_volume_goes_in_one_request() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..20_000)
        .map(|n| upsert(&format!("p{}", n % 15_000), "Ada"))
        .collect();
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(
        task["counts"],
        json!({"total": 20_000, "success": 20_000, "failure": 0, "pending": 0, "cancelled": 0})
    );
    assert_eq!(task["receipts"].as_array().unwrap().len(), 20_000);
    let lines = registry.request(reqwest::Method::GET, "/sources/clinics/v1/resources/provider");
    let lines = lines
        .header("accept", "application/x-ndjson")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(lines.lines().count(), 15_000);
}

#[tokio::test]
async fn it_is_validated_synchronously_that_a_request_is_well_formed() {
    let registry = Registry::start().await;
    registry
        .send(r#"{"operations": [{"action": "CREATE""#)
        .await
        .rejected_as_a_whole();
    registry.assert_empty().await;
}

#[tokio::test]
async fn it_is_validated_synchronously_that_operations_conform_to_the_profiles_of_the_source() {
    let registry = Registry::start().await;
    let nameless = json!({"action": "CREATE", "create": {"type": "provider", "data": {}}});
    let answer = registry.send(request(&[nameless])).await;
    assert_eq!(
        answer.faults(),
        [super::registry::fault("/create/data/name", "required")]
    );

    let ends = [create("ada", "Ada"), create("bob", "Bob")];
    registry.carried_out(request(&ends)).await;
    let mut edge = create_edge("ada", "bob");
    edge["create"]["data"] = json!({"since": "yesterday"});
    let answer = registry.send_to("relationships", request(&[edge])).await;
    assert_eq!(
        answer.faults(),
        [super::registry::fault("/create/data/since", "type")]
    );
}

#[tokio::test]
async fn if_a_request_is_rejected_all_its_operations_are_cancelled() {
    let registry = Registry::start().await;
    let wrong = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": 7}}});
    let answer = registry
        .send(request(&[create("ada", "Ada"), wrong, create("bob", "Bob")]))
        .await;
    assert_eq!(
        column(&json!(answer.rejected()), "status"),
        ["CANCELLED", "FAILURE", "CANCELLED"]
    );
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_accepted_request_is_a_task_whose_status_has_an_endpoint_and_whose_id_is_in_the_answer() {
    let registry = Registry::start().await;
    let answer = registry.send(request(&[create("ada", "Ada")])).await;
    let id = answer.accepted();
    let location = answer.headers["location"].to_str().unwrap();
    assert_eq!(location, format!("/sources/clinics/v1/resources/bulk/{id}"));
    registry.ended("resources", &id).await;
    assert_eq!(registry.get(location).await.body["taskId"], id);
    assert_eq!(registry.read(&format!("tasks/{id}")).await["bulkId"], id);
}

#[tokio::test]
async fn a_task_has_a_status_for_every_single_operation_and_its_error() {
    let registry = Registry::start().await;
    let operations = [create("ada", "Ada"), create("ada", "Ada"), delete("bob")];
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(
        column(&task["receipts"], "status"),
        ["SUCCESS", "FAILURE", "FAILURE"]
    );
    let errors: Vec<_> = task["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["error"]["type"].clone())
        .collect();
    assert_eq!(errors, [json!(null), json!("ALREADY_EXISTS"), json!("NOT_FOUND")]);
}

#[tokio::test]
async fn each_operation_targets_a_single_entity() {
    let registry = Registry::start().await;
    let mut two = create("ada", "Ada");
    two["upsert"] = upsert("bob", "Bob")["upsert"].clone();
    assert_eq!(registry.send(request(&[two])).await.rejected().len(), 1);
    let many = json!({"action": "DELETE", "delete": {"type": "provider", "id": ["ada", "bob"]}});
    assert_eq!(
        registry.send(request(&[many])).await.faults(),
        [super::registry::fault("/delete/id", "type")]
    );
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_operation_is_atomic() {
    let registry = Registry::start().await;
    let whole = json!({"action": "CREATE", "create": {"type": "provider", "id": "ada", "data": {
        "name": "Ada", "practiceNumber": 7, "specialities": ["Pharmacist"],
    }}});
    registry.carried_out(request(&[whole])).await;
    let before = registry.providers().await;
    // It fails, and nothing of it takes effect.
    let task = registry
        .carried_out(request(&[create("ada", "Somebody else")]))
        .await;
    assert_eq!(column(&task["receipts"], "status"), ["FAILURE"]);
    assert_eq!(registry.providers().await, before);
}

#[tokio::test]
async fn a_failed_operation_does_not_stop_the_others() {
    let registry = Registry::start().await;
    let operations = [
        delete("ada"),
        create("ada", "Ada"),
        create("ada", "Ada"),
        delete("bob"),
        create("bob", "Bob"),
    ];
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(
        column(&task["receipts"], "status"),
        ["FAILURE", "SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]
    );
    assert_eq!(column(&json!(registry.providers().await), "id"), ["ada", "bob"]);
}

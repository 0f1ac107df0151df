//! *Bulk Response*.

use serde_json::json;

use super::examples;
use super::registry::{Registry, column, create, delete, request};

#[tokio::test]
async fn an_accepted_request_is_answered_with_the_id_of_its_task() {
    let registry = Registry::start().await;
    let answer = registry.send(examples::CREATE).await;
    assert_eq!(answer.status, 202);
    let id = answer.accepted();
    assert!(id.starts_with("bk_") && id.len() == 30, "{id}");
    assert_eq!(
        answer.body,
        json!({"status": "ACCEPTED", "bulkId": id, "taskId": id})
    );
}

#[tokio::test]
async fn each_request_has_a_task_of_its_own() {
    let registry = Registry::start().await;
    let first = registry.send(examples::CREATE).await.accepted();
    let second = registry.send(examples::CREATE).await.accepted();
    assert_ne!(first, second);
    registry.ended("resources", &second).await;
    assert_eq!(
        column(&registry.read("tasks").await["data"], "taskId"),
        [second, first],
        "the newest first"
    );
}

#[tokio::test]
async fn a_rejected_request_is_answered_with_receipts_for_all_its_operations() {
    let registry = Registry::start().await;
    let wrong = json!({"action": "UPSERT", "upsert": {"type": "provider", "data": {"name": "Ada"}}});
    let answer = registry
        .send(request(&[create("ada", "Ada"), wrong, delete("ada")]))
        .await;
    assert_eq!(
        column(&json!(answer.rejected()), "status"),
        ["CANCELLED", "FAILURE", "CANCELLED"]
    );
    assert!(answer.body.get("error").is_none());
    assert!(answer.body.get("bulkId").is_none());
}

#[tokio::test]
async fn the_error_of_a_receipt_has_code_message_and_type() {
    let registry = Registry::start().await;
    let answer = registry.send(examples::CREATE.replace("John", "\\ud800")).await;
    let error = &answer.rejected()[0]["error"];
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!(400), &json!("INVALID_ARGUMENT"))
    );
    assert!(!error["message"].as_str().unwrap().is_empty());
    let members: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(members, ["code", "details", "message", "type"]);
}

#[tokio::test]
async fn every_wrong_operation_is_told_its_own_error_and_every_fault_of_it() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..3_000)
        .map(|n| match n % 3 {
            0 => create(&format!("p{n}"), "Ada"),
            1 => {
                json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": n, "colour": n}}})
            }
            _ => json!({"action": "DELETE", "delete": {"type": "provider", "id": format!("_{n}")}}),
        })
        .collect();
    let answer = registry.send(request(&operations)).await;
    let receipts = answer.rejected();
    assert_eq!(receipts.len(), operations.len());
    for (n, receipt) in receipts.iter().enumerate() {
        match n % 3 {
            0 => assert_eq!(receipt["status"], "CANCELLED"),
            1 => assert_eq!(receipt["error"]["details"].as_array().unwrap().len(), 2),
            _ => assert!(
                receipt["error"].to_string().contains(&format!("'_{n}'")),
                "{receipt}"
            ),
        }
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn what_depends_on_what_is_stored_does_not_reject_a_request() {
    let registry = Registry::start().await;
    let operations = [delete("nobody"), create("ada", "Ada"), create("ada", "Ada")];
    registry.carried_out(request(&operations)).await;
}

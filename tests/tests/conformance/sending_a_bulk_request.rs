//! *Sending a Bulk Request*.

use serde_json::{Value, json};

use super::examples;
use super::registry::{Registry, column, create, create_edge, delete, fault, faults, request, upsert};

#[tokio::test]
async fn a_request_contains_a_list_of_operations() {
    let registry = Registry::start().await;
    // The text's own request names no types: it is well formed, and each of its operations is told what it lacks.
    let answer = registry.send(examples::REQUEST).await;
    let found: Vec<_> = answer.rejected().iter().map(faults).collect();
    assert_eq!(
        found[0],
        [
            fault("/create/type", "required"),
            fault("/create/data", "required")
        ]
    );
    assert_eq!(
        found[1],
        [
            fault("/upsert/type", "required"),
            fault("/upsert/id", "required"),
            fault("/upsert/data", "required")
        ]
    );
    assert_eq!(
        found[2],
        [fault("/delete/type", "required"), fault("/delete/id", "required")]
    );
    assert!(answer.body.get("error").is_none());
}

#[tokio::test]
async fn a_request_cannot_have_targets_of_both_kinds() {
    let registry = Registry::start().await;
    let both = request(&[create("ada", "Ada"), create_edge("ada", "ada")]);
    let answer = registry.send(both.clone()).await;
    assert_eq!(
        column(&json!(answer.rejected()), "status"),
        ["CANCELLED", "FAILURE"]
    );
    let message = answer.body["receipts"][1]["error"].to_string();
    assert!(
        message.contains("send its operations to the relationships of the source"),
        "{message}"
    );
    let answer = registry.send_to("relationships", both).await;
    assert_eq!(
        column(&json!(answer.rejected()), "status"),
        ["FAILURE", "CANCELLED"]
    );
    let message = answer.body["receipts"][0]["error"].to_string();
    assert!(
        message.contains("send its operations to the resources of the source"),
        "{message}"
    );
    registry.assert_empty().await;
}

#[tokio::test]
async fn there_are_two_distinct_bulk_endpoints() {
    let registry = Registry::start().await;
    let task = registry
        .carried_out(request(&[create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    assert_eq!(
        (&task["targetType"], &task["receipts"][0]["targetType"]),
        (&json!("RESOURCE"), &json!("RESOURCE"))
    );
    let of_edges = registry
        .carried_out_on("relationships", request(&[create_edge("ada", "bob")]))
        .await;
    assert_eq!(of_edges["targetType"], "RELATIONSHIP");
    let receipt = &of_edges["receipts"][0];
    assert_eq!(
        (&receipt["id"], &receipt["type"]),
        (&json!("ada.bob"), &json!("refersTo"))
    );
    // A task is found where its operations belong.
    let id = of_edges["taskId"].as_str().unwrap();
    assert_eq!(
        registry
            .get(&format!("/sources/clinics/v1/resources/bulk/{id}"))
            .await
            .error(),
        (404, "NOT_FOUND")
    );
}

#[tokio::test]
async fn relationships_are_created_upserted_and_deleted_too() {
    let registry = Registry::start().await;
    registry
        .carried_out(request(&[create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let end = |id: &str| json!({"type": "provider", "id": id});
    let upsert = json!({"action": "UPSERT", "upsert": {
        "type": "refersTo", "from": end("ada"), "to": end("bob"), "data": {"since": "2020-02-29"},
    }});
    let operations = [create_edge("ada", "bob"), upsert];
    let task = registry
        .carried_out_on("relationships", request(&operations))
        .await;
    assert_eq!(column(&task["receipts"], "status"), ["SUCCESS", "SUCCESS"]);
    let edge = registry.read("relationships/refersTo/ada.bob").await;
    assert_eq!(
        (&edge["data"], &edge["meta"]["version"]),
        (&json!({"since": "2020-02-29"}), &json!(2))
    );
    let by_id = json!({"action": "DELETE", "delete": {"type": "refersTo", "id": "ada.bob"}});
    let by_ends =
        json!({"action": "DELETE", "delete": {"type": "refersTo", "from": end("ada"), "to": end("bob")}});
    let task = registry
        .carried_out_on("relationships", request(&[by_id, by_ends]))
        .await;
    assert_eq!(column(&task["receipts"], "status"), ["SUCCESS", "FAILURE"]);
    assert_eq!(registry.read("relationships/refersTo").await["data"], json!([]));
}

#[tokio::test]
async fn there_are_three_types_of_operations() {
    let registry = Registry::start().await;
    for other in ["UPDATE", "PATCH", "MERGE", "GET", "CREATE ", ""] {
        let operation = json!({"action": other, "create": create("ada", "Ada")["create"]});
        assert_eq!(
            registry.send(request(&[operation])).await.faults()[0],
            fault("/action", "enum"),
            "{other}"
        );
    }
    let operations = [create("ada", "Ada"), upsert("ada", "Bob"), delete("ada")];
    let task = registry.carried_out(request(&operations)).await;
    assert_eq!(column(&task["receipts"], "status"), ["SUCCESS"; 3]);
}

#[tokio::test]
async fn operations_are_processed_in_the_order_they_are_provided() {
    let registry = Registry::start().await;
    // Each outcome depends on all before it.
    let operations = [
        delete("ada"),
        create("ada", "1"),
        create("ada", "2"),
        upsert("ada", "3"),
        delete("ada"),
        delete("ada"),
        upsert("ada", "4"),
        create("ada", "5"),
        upsert("ada", "6"),
    ];
    let task = registry.carried_out(request(&operations)).await;
    let (ok, no) = ("SUCCESS", "FAILURE");
    assert_eq!(
        column(&task["receipts"], "status"),
        [no, ok, no, ok, ok, no, ok, no, ok]
    );
    let indexes: Vec<Value> = task["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["index"].clone())
        .collect();
    assert_eq!(indexes, (0..9).map(|n| json!(n)).collect::<Vec<_>>());
    let ada = registry.read("resources/provider/ada").await;
    assert_eq!(
        (&ada["data"]["name"], &ada["meta"]["version"]),
        (&json!("6"), &json!(2))
    );
}

#[tokio::test]
async fn many_operations_on_one_record_end_with_the_last() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..5_000).map(|n| upsert("ada", &n.to_string())).collect();
    registry.carried_out(request(&operations)).await;
    let ada = registry.read("resources/provider/ada").await;
    assert_eq!(
        (&ada["data"]["name"], &ada["meta"]["version"]),
        (&json!("4999"), &json!(5_000))
    );
}

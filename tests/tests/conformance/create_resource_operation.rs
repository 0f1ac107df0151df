//! *Create Resource Operation*.

use serde_json::json;

use super::examples;
use super::registry::{Registry, create, fault, request};

#[tokio::test]
async fn the_example_creates_a_provider() {
    let registry = Registry::start().await;
    let task = registry.carried_out(examples::CREATE).await;
    let receipt = &task["receipts"][0];
    assert_eq!(
        (&receipt["status"], &receipt["type"]),
        (&json!("SUCCESS"), &json!("provider"))
    );
    let [provider] = &registry.providers().await[..] else {
        panic!("not one provider")
    };
    assert_eq!(provider["id"], receipt["id"]);
    assert_eq!(provider["type"], "provider");
    assert_eq!(
        provider["data"],
        json!({"name": "John Doe", "practiceNumber": 1_020_993, "specialities": ["Pharmacist"]})
    );
}

#[tokio::test]
async fn the_operation_of_the_text_works_once_its_placeholders_are_filled() {
    let registry = Registry::start().await;
    let as_it_stands = format!(r#"{{"operations":[{}]}}"#, examples::CREATE_OPERATION);
    let answer = registry.send(as_it_stands.clone()).await;
    assert!(answer.faults().contains(&fault("/create/id", "id")), "{answer:?}");
    let filled = as_it_stands
        .replace("<resourceId>", "ada")
        .replace("<resourceType>", "provider")
        .replace("\"data\":{", "\"data\":{\"name\": \"Ada\"");
    let task = registry.carried_out(filled).await;
    assert_eq!(task["receipts"][0]["id"], "ada");
}

#[tokio::test]
async fn an_id_is_optional_and_made_by_the_system_if_not_provided() {
    let registry = Registry::start().await;
    // Sent twice it is two providers.
    let ids: Vec<String> = [
        registry.carried_out(examples::CREATE).await,
        registry.carried_out(examples::CREATE).await,
    ]
    .iter()
    .map(|task| task["receipts"][0]["id"].as_str().unwrap().to_owned())
    .collect();
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        assert!(
            id.len() == 27 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{id}"
        );
        assert_eq!(
            registry.read(&format!("resources/provider/{id}")).await["id"],
            **id
        );
    }
}

#[tokio::test]
async fn an_id_that_is_provided_is_kept() {
    let registry = Registry::start().await;
    let task = registry.carried_out(request(&[create("ada-1_X", "Ada")])).await;
    assert_eq!(task["receipts"][0]["id"], "ada-1_X");
    assert_eq!(
        registry.read("resources/provider/ada-1_X").await["data"]["name"],
        "Ada"
    );
}

#[tokio::test]
async fn an_id_belongs_to_its_type() {
    let registry = Registry::start().await;
    registry
        .define(
            "profiles/nurse",
            r#"{"properties": {"name": {"type": "symbol"}}}"#,
        )
        .await;
    let nurse =
        json!({"action": "CREATE", "create": {"type": "nurse", "id": "ada", "data": {"name": "Ada"}}});
    let task = registry
        .carried_out(request(&[create("ada", "Ada"), nurse]))
        .await;
    assert_eq!(task["outcome"], "COMPLETE");
}

#[tokio::test]
async fn contained_resources_are_kept_with_their_properties() {
    let registry = Registry::start().await;
    registry
        .define(
            "profiles/line",
            r#"{"type": "CONTAINED", "properties": {"count": {"type": "integer"}}}"#,
        )
        .await;
    let order = json!({"properties": {}, "contained": {"lines": {"types": ["line"], "cardinality": "1:*"}}});
    registry.define("profiles/order", &order.to_string()).await;
    let lines = json!([{"id": "first", "type": "line", "data": {"count": 2}}, {"type": "line", "data": {"count": 3}}]);
    let create = json!({"action": "CREATE", "create": {
        "type": "order", "id": "o1", "data": {}, "contained": {"lines": lines},
    }});
    registry.carried_out(request(&[create])).await;
    let stored = registry.read("resources/order/o1").await;
    assert_eq!(stored["contained"]["lines"][0], lines[0]);
    assert_eq!(stored["contained"]["lines"][1]["data"], json!({"count": 3}));
    assert_eq!(stored["contained"]["lines"][1]["id"].as_str().unwrap().len(), 27);

    let wrong = json!({"action": "CREATE", "create": {"type": "order", "data": {}, "contained": {
        "lines": [{"type": "line", "data": {"count": "2", "colour": "red"}}, {"type": "order", "data": {}}],
        "parts": [],
    }}});
    let faults = registry.send(request(&[wrong])).await.faults();
    for expected in [
        fault("/create/contained/lines/0/data/count", "type"),
        fault("/create/contained/lines/0/data/colour", "unknown"),
        fault("/create/contained/lines/1/type", "type"),
        fault("/create/contained/parts", "unknown"),
    ] {
        assert!(faults.contains(&expected), "{expected:?} is not among {faults:?}");
    }
    let none = json!({"action": "CREATE", "create": {"type": "order", "data": {}}});
    assert_eq!(
        registry.send(request(&[none])).await.faults(),
        [fault("/create/contained/lines", "cardinality")]
    );
}

#[tokio::test]
async fn a_property_that_the_profile_does_not_contain_is_an_error() {
    let registry = Registry::start().await;
    let body = examples::CREATE.replace("practiceNumber", "practicNumber");
    let answer = registry.send(body).await;
    assert_eq!(answer.faults(), [fault("/create/data/practicNumber", "unknown")]);
    let message = answer.body["receipts"][0]["error"]["details"][0]["message"]
        .as_str()
        .unwrap();
    assert!(message.contains("did you mean 'practiceNumber'?"), "{message}");
    registry.assert_empty().await;
}

#[tokio::test]
async fn a_value_that_does_not_respect_the_type_of_its_property_is_an_error() {
    let registry = Registry::start().await;
    for (right, wrong, path) in [
        ("1020993", "\"1020993\"", "practiceNumber"),
        ("1020993", "1020993.0", "practiceNumber"),
        ("1020993", "9223372036854775808", "practiceNumber"),
        ("\"John Doe\"", "7", "name"),
        ("\"John Doe\"", "{\"first\": \"John\"}", "name"),
        ("\"Pharmacist\"", "true", "specialities/0"),
        ("\"Pharmacist\"", "null", "specialities/0"),
    ] {
        let answer = registry.send(examples::CREATE.replace(right, wrong)).await;
        assert_eq!(
            answer.faults(),
            [fault(&format!("/create/data/{path}"), "type")],
            "{wrong}"
        );
    }
    registry.assert_empty().await;
}

//! Codes that are bound to vocabularies, against a real server.

use reqwest::Method;
use serde_json::{Value, json};

use super::registry::{Answer, Registry, answer, fault};

const COLOURS: &str = "/terminology/v1/vocabularies/colours";

impl Registry {
    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        answer(self.request(method, path).json(&body)).await
    }

    /// A server with the vocabulary `colours` and pens that are bound to it by a code and by a coding.
    async fn with_pens(strength: &str) -> Self {
        let registry = Self::start().await;
        let put = registry.call(Method::PUT, COLOURS, json!({"title": "Colours"}));
        assert_eq!(put.await.status, 201);
        let create =
            |code: &str| json!({"action": "CREATE", "create": {"code": code, "designation": {"en": code}}});
        let operations = json!({"operations": [create("red"), create("dark blue")]});
        let bulk = format!("{COLOURS}/concepts/bulk");
        let created = registry.call(Method::POST, &bulk, operations).await;
        assert_eq!(
            (created.status, &created.body["status"]),
            (200, &json!("SUCCESS"))
        );
        registry.define_pen(strength).await;
        registry
    }

    async fn define_pen(&self, strength: &str) {
        let binding = json!({"vocabulary": {"key": "colours", "strength": strength}});
        let pen = json!({"properties": {
            "colour": {"type": "code", "binding": binding},
            "colours": {"type": "array", "items": {"type": "code", "binding": binding}},
            "coded": {"type": "coding", "binding": binding},
        }});
        self.define("profiles/pen", &pen.to_string()).await;
    }

    async fn send_pen(&self, data: Value) -> Answer {
        let operation = json!({"action": "CREATE", "create": {"type": "pen", "data": data}});
        self.send(json!({"operations": [operation]}).to_string()).await
    }
}

#[tokio::test]
async fn a_required_binding_takes_the_codes_of_its_vocabulary_alone() {
    let registry = Registry::with_pens("required").await;
    let good = json!({
        "colour": "dark blue",
        "colours": ["red", "red"],
        "coded": {"system": "urn:colours", "code": "red", "display": "Red"},
    });
    registry.send_pen(good).await.accepted();
    for nothing in [
        json!({}),
        json!({"colours": []}),
        json!({"coded": {"display": "Red"}}),
    ] {
        registry.send_pen(nothing).await.accepted();
    }
    for (data, path) in [
        (json!({"colour": "Red"}), "/colour"),
        (json!({"colours": ["red", "green"]}), "/colours/1"),
        (json!({"coded": {"code": "green"}}), "/coded/code"),
    ] {
        let answer = registry.send_pen(data).await;
        assert_eq!(
            answer.faults(),
            [fault(&format!("/create/data{path}"), "binding")]
        );
    }
}

#[tokio::test]
async fn a_preferred_binding_takes_any_code() {
    let registry = Registry::with_pens("preferred").await;
    let other = json!({"colour": "green", "colours": ["blue"], "coded": {"code": "yellow"}});
    registry.send_pen(other).await.accepted();
    let refused = registry.call(Method::DELETE, COLOURS, json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["type"]),
        (400, &json!("FAILED_PRECONDITION"))
    );
}

#[tokio::test]
async fn what_a_vocabulary_holds_counts_at_once_and_stays_over_a_restart() {
    let registry = Registry::with_pens("required").await;
    let red = json!({"colour": "red"});
    registry.send_pen(red.clone()).await.accepted();
    let concept = format!("{COLOURS}/concepts/red");
    let deleted = registry.call(Method::DELETE, &concept, json!({})).await;
    assert_eq!((deleted.status, deleted.body), (200, json!({"code": "red"})));
    assert_eq!(registry.send_pen(red.clone()).await.status, 400);
    let registry = registry.restarted().await;
    assert_eq!(registry.send_pen(red.clone()).await.status, 400);
    registry.send_pen(json!({"colour": "dark blue"})).await.accepted();
    let colours = registry.get(COLOURS).await.body;
    assert_eq!(
        (&colours["title"], &colours["conceptCount"]),
        (&json!("Colours"), &json!(1))
    );
    let put = registry.call(Method::PUT, &concept, json!({"definition": "like blood"}));
    assert_eq!(put.await.status, 201);
    registry.send_pen(red).await.accepted();
}

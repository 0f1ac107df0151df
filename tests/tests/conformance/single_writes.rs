//! Writes of one record: what a caller expects of it (`ETag`, `If-Match`), and changes of a part of it.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, LOCATION};
use serde_json::{Value, json};

use super::registry::{Answer, Registry, answer, create, create_edge, request};

const V1: &str = "/sources/clinics/v1";

async fn send(registry: &Registry, method: Method, path: &str, body: &str, when: &[(&str, &str)]) -> Answer {
    let mut request = registry.request(method, &format!("{V1}/{path}"));
    for (name, value) in when {
        request = request.header(*name, *value);
    }
    answer(
        request
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned()),
    )
    .await
}

fn tag(answer: &Answer) -> String {
    answer.headers[ETAG].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_that_rests_on_what_is_no_longer_there_is_refused() {
    let registry = Registry::start().await;
    let (ada, body) = ("resources/provider/ada", |name: &str| {
        json!({"data": {"name": name}}).to_string()
    });
    let first = send(
        &registry,
        Method::PUT,
        ada,
        &body("Ada"),
        &[("if-none-match", "*")],
    )
    .await;
    assert_eq!(first.status, 201);
    let again = send(
        &registry,
        Method::PUT,
        ada,
        &body("Ada"),
        &[("if-none-match", "*")],
    )
    .await;
    assert_eq!(again.error(), (412, "FAILED_PRECONDITION"));
    let second = send(
        &registry,
        Method::PUT,
        ada,
        &body("Eve"),
        &[("if-match", &tag(&first))],
    )
    .await;
    assert_eq!(second.status, 200);
    // The tag of a state is the same whoever asks, and after a restart.
    let registry = registry.restarted().await;
    let read = registry.get(&format!("{V1}/{ada}")).await;
    assert_eq!(tag(&read), tag(&second));
    for method in [Method::PUT, Method::DELETE] {
        let late = send(
            &registry,
            method,
            ada,
            &body("Late"),
            &[("if-match", &tag(&first))],
        )
        .await;
        assert_eq!(late.error(), (412, "FAILED_PRECONDITION"));
    }
    assert_eq!(registry.read(ada).await["data"]["name"], "Eve");
    let unchanged = registry
        .request(Method::GET, &format!("{V1}/{ada}"))
        .header("if-none-match", tag(&second));
    assert_eq!(unchanged.send().await.unwrap().status(), 304);
    let gone = send(&registry, Method::DELETE, ada, "", &[("if-match", &tag(&second))]).await;
    assert_eq!(gone.status, 200);
    // The record that comes after it is another one.
    let third = send(&registry, Method::PUT, ada, &body("Eve"), &[]).await;
    assert!(![tag(&first), tag(&second)].contains(&tag(&third)));
    // So is a source that comes after another, with all it holds.
    let source = |method| registry.request(method, "/catalog/v1/sources/clinics?purge=true");
    assert_eq!(answer(source(Method::DELETE)).await.status, 202);
    let made = registry
        .request(Method::PUT, "/catalog/v1/sources/clinics")
        .header(CONTENT_TYPE, "application/json");
    assert_eq!(answer(made.body(r#"{"type":"registry"}"#)).await.status, 201);
    registry
        .define(
            "profiles/provider",
            r#"{"properties":{"name":{"type":"symbol"}}}"#,
        )
        .await;
    let fourth = send(&registry, Method::PUT, ada, &body("Ada"), &[]).await;
    assert_eq!(fourth.status, 201);
    let late = send(
        &registry,
        Method::PUT,
        ada,
        &body("Late"),
        &[("if-match", &tag(&third))],
    )
    .await;
    assert_eq!(late.error(), (412, "FAILED_PRECONDITION"));
}

#[tokio::test]
async fn of_many_clients_that_expect_one_state_one_changes_it() {
    let registry = Registry::start().await;
    let ada = "resources/provider/ada";
    let mut now = tag(&send(&registry, Method::PUT, ada, r#"{"data":{"name":"0"}}"#, &[]).await);
    for round in 0..5 {
        let clients = (0..16).map(|n| {
            let body = json!({"data": {"name": format!("{round} {n}")}}).to_string();
            let (registry, now) = (&registry, now.clone());
            async move { send(registry, Method::PUT, ada, &body, &[("if-match", &now)]).await }
        });
        let answers = futures::future::join_all(clients).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 15);
        now = tag(won[0]);
    }
    assert_eq!(registry.read(ada).await["meta"]["version"], 6);
}

#[tokio::test]
async fn the_data_of_an_edge_is_patched() {
    let registry = Registry::start().await;
    registry
        .carried_out(request(&[create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    registry
        .carried_out_on("relationships", request(&[create_edge("ada", "bob")]))
        .await;
    let edge = "relationships/refersTo/ada.bob";
    let patch = |body: &'static str| send(&registry, Method::PATCH, edge, body, &[]);
    let added = patch(r#"[{"op":"add","path":"/since","value":"2020-02"}]"#).await;
    assert_eq!((added.status, &added.body["status"]), (200, &json!("PERSISTED")));
    assert_eq!(added.body["relationship"]["data"], json!({"since": "2020-02"}));
    assert_eq!(added.body["relationship"]["meta"]["version"], 2);
    for (bad, error) in [
        (
            r#"[{"op":"remove","path":"/since"},{"op":"remove","path":"/since"}]"#,
            (400, "INVALID_ARGUMENT"),
        ),
        (
            r#"[{"op":"remove","path":"/since"},{"op":"test","path":"/since","value":1}]"#,
            (400, "FAILED_PRECONDITION"),
        ),
        (
            r#"[{"op":"replace","path":"/since","value":"then"}]"#,
            (400, "INVALID_ARGUMENT"),
        ),
        (
            r#"[{"op":"add","path":"/until","value":"2021"}]"#,
            (400, "INVALID_ARGUMENT"),
        ),
        (
            r#"[{"op":"copy","from":"/since","path":"/until"}]"#,
            (400, "INVALID_ARGUMENT"),
        ),
        (r#"{"since":"2021"}"#, (400, "INVALID_ARGUMENT")),
    ] {
        assert_eq!(patch(bad).await.error(), error, "{bad}");
        assert_eq!(
            registry.read(edge).await["data"],
            json!({"since": "2020-02"}),
            "{bad}"
        );
    }
    let removed =
        patch(r#"[{"op":"test","path":"/since","value":"2020-02"},{"op":"remove","path":"/since"}]"#).await;
    assert_eq!(
        (removed.status, &removed.body["relationship"]["data"]),
        (200, &json!({}))
    );
    let missing = send(
        &registry,
        Method::PATCH,
        "relationships/refersTo/bob.ada",
        "[]",
        &[],
    )
    .await;
    assert_eq!(missing.error(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn many_patches_of_one_edge_are_all_made() {
    let registry = Registry::start().await;
    let counts = json!({
        "from": {"profileKey": "provider", "includeKey": "counts", "includeCardinality": "0:*"},
        "to": {"profileKey": "provider", "includeKey": "countedBy", "includeCardinality": "0:*"},
        "properties": {"seen": {"type": "array", "items": {"type": "decimal"}}},
    });
    registry
        .define("relationship-definitions/counts", &counts.to_string())
        .await;
    registry.carried_out(request(&[create("ada", "Ada")])).await;
    let edge = r#"{"from":{"type":"provider","id":"ada"},"to":{"type":"provider","id":"ada"},"data":{"seen":[1.10]}}"#;
    assert_eq!(
        send(&registry, Method::POST, "relationships/counts", edge, &[])
            .await
            .status,
        201
    );
    let path = "relationships/counts/ada.ada";
    let clients = (0..24).map(|n| {
        let patch = json!([{"op": "add", "path": "/seen/-", "value": n}]).to_string();
        let registry = &registry;
        async move { send(registry, Method::PATCH, path, &patch, &[]).await.status }
    });
    assert_eq!(futures::future::join_all(clients).await, [200; 24]);
    let text = registry
        .request(Method::GET, &format!("{V1}/{path}"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    // What was there first is there digit for digit.
    assert!(text.contains(r#"{"seen":[1.10,"#), "{text}");
    let edge: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            edge["data"]["seen"].as_array().unwrap().len(),
            &edge["meta"]["version"]
        ),
        (25, &json!(25))
    );
}

#[tokio::test]
async fn contained_resources_are_changed_one_at_a_time() {
    let registry = Registry::start().await;
    registry
        .define(
            "profiles/room",
            r#"{"type":"CONTAINED","properties":{"door":{"type":"integer"}}}"#,
        )
        .await;
    let office = r#"{"type":"CONTAINED","properties":{"city":{"type":"symbol"}},"contained":{"rooms":{"types":["room"],"cardinality":"0:*"}}}"#;
    registry.define("profiles/office", office).await;
    let clinic = r#"{"properties":{"fee":{"type":"decimal"}},"contained":{"offices":{"types":["office"],"cardinality":"1:*"},"main":{"types":["office"],"cardinality":"0:1"}}}"#;
    registry.define("profiles/clinic", clinic).await;
    let body = r#"{"data":{"fee":1.10},"contained":{"offices":[{"id":"o1","type":"office","data":{}}]}}"#;
    let made = send(&registry, Method::PUT, "resources/clinic/c1", body, &[]).await;
    assert_eq!(made.status, 201);
    let room = send(
        &registry,
        Method::POST,
        "resources/clinic/c1/offices/o1/rooms",
        r#"{"type":"room","data":{"door":7}}"#,
        &[],
    )
    .await;
    assert_eq!(
        (room.status, &room.body["resource"]["meta"]["version"]),
        (201, &json!(2))
    );
    assert_ne!(tag(&made), tag(&room));
    let location = room.headers[LOCATION].to_str().unwrap().to_owned();
    let id = location
        .strip_prefix(&format!("{V1}/resources/clinic/c1/offices/o1/rooms/"))
        .unwrap()
        .to_owned();
    let registry = registry.restarted().await;
    assert_eq!(
        registry.get(&location).await.body,
        json!({"type": "room", "data": {"door": 7}, "id": id})
    );
    let at = format!("resources/clinic/c1/offices/o1/rooms/{id}");
    for (method, path, body, error) in [
        (
            Method::POST,
            "resources/clinic/c1/offices",
            r#"{"id":"o1","type":"office","data":{}}"#.to_owned(),
            (409, "ALREADY_EXISTS"),
        ),
        (
            Method::POST,
            "resources/clinic/c1/offices",
            r#"{"type":"room","data":{}}"#.to_owned(),
            (400, "INVALID_ARGUMENT"),
        ),
        (
            Method::POST,
            "resources/clinic/c2/offices",
            r#"{"type":"office","data":{}}"#.to_owned(),
            (404, "NOT_FOUND"),
        ),
        (
            Method::PUT,
            "resources/clinic/c1/offices/o9/rooms/r1",
            r#"{"type":"room","data":{}}"#.to_owned(),
            (404, "NOT_FOUND"),
        ),
        (
            Method::DELETE,
            "resources/clinic/c1/offices/o1",
            String::new(),
            (400, "FAILED_PRECONDITION"),
        ),
    ] {
        let answer = send(&registry, method, path, &body, &[]).await;
        assert_eq!(answer.error(), error, "{path}");
    }
    let late = send(&registry, Method::DELETE, &at, "", &[("if-match", &tag(&made))]).await;
    assert_eq!(late.error(), (412, "FAILED_PRECONDITION"));
    let replaced = send(
        &registry,
        Method::PUT,
        &at,
        r#"{"type":"room","data":{"door":8}}"#,
        &[("if-match", &tag(&room))],
    )
    .await;
    assert_eq!(replaced.status, 200);
    assert_eq!(send(&registry, Method::DELETE, &at, "", &[]).await.status, 200);
    assert_eq!(registry.get(&location).await.error(), (404, "NOT_FOUND"));
    let text = registry
        .request(Method::GET, &format!("{V1}/resources/clinic/c1"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains(r#""data":{"fee":1.10}"#), "{text}");
    // All that came of it, sent again as a whole, is what is stored.
    let whole: Value = serde_json::from_str(&text).unwrap();
    let again = format!(
        r#"{{"data":{{"fee":1.10}},"contained":{}}}"#,
        stored_contained(&text)
    );
    let same = send(&registry, Method::PUT, "resources/clinic/c1", &again, &[]).await;
    assert_eq!(
        (same.status, &same.body["resource"]["meta"]["version"]),
        (200, &whole["meta"]["version"])
    );
}

/// The `contained` of a resource, as it is stored.
fn stored_contained(resource: &str) -> &str {
    let rest = resource.split_once(r#","contained":"#).unwrap().1;
    rest.split_once(r#","meta":"#).unwrap().0
}

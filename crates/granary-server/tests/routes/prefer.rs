//! `Prefer: wait`: the answer of a call waits for the end of a task.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::world::{BULK, World, create};

struct Waited {
    status: u16,
    applied: Option<String>,
    body: Value,
}

async fn waited(request: RequestBuilder, prefer: &str) -> Waited {
    let answer = request.header("prefer", prefer).send().await.unwrap();
    let applied = answer.headers().get("preference-applied");
    Waited {
        status: answer.status().as_u16(),
        applied: applied.map(|value| value.to_str().unwrap().to_owned()),
        body: answer.json().await.unwrap(),
    }
}

fn one() -> Value {
    json!({"operations": [create("ada", "Ada"), create("ada", "Ada")]})
}

#[tokio::test]
async fn a_bulk_request_that_ends_in_time_is_answered_with_its_task() {
    let world = World::new().await;
    let sent = waited(world.request(Method::POST, BULK).json(&one()), "wait=30").await;
    assert_eq!((sent.status, sent.applied.as_deref()), (200, Some("wait")));
    assert_eq!(
        (&sent.body["status"], &sent.body["task"]["status"]),
        (&json!("ACCEPTED"), &json!("SUCCESS"))
    );
    assert_eq!(sent.body["task"]["counts"]["failure"], 1);
    assert_eq!(sent.body["task"]["taskId"], sent.body["taskId"]);
    // What was accepted before is waited for too.
    let keyed = || {
        let request = world.request(Method::POST, BULK).header("idempotency-key", "k");
        request.json(&one())
    };
    let first = waited(keyed(), "wait=0").await;
    let again = waited(keyed(), "wait=30").await;
    assert_eq!(
        (again.status, &again.body["taskId"]),
        (200, &first.body["taskId"])
    );
    assert_eq!(again.body["task"]["status"], "SUCCESS");
    // Nothing is waited for where nothing was accepted, or nobody would wait.
    let check = format!("{BULK}?validateOnly=true");
    let valid = waited(world.request(Method::POST, &check).json(&one()), "wait=30").await;
    assert_eq!((valid.status, valid.applied), (200, None));
    let sent = waited(world.request(Method::POST, BULK).json(&one()), "respond-async").await;
    assert_eq!(
        (sent.status, sent.applied, &sent.body["task"]),
        (202, None, &Value::Null)
    );
}

#[tokio::test]
async fn what_does_not_end_in_time_is_told_as_it_is() {
    let world = World::at_rest().await;
    let began = Instant::now();
    let sent = waited(world.request(Method::POST, BULK).json(&one()), "wait=1").await;
    assert_eq!((sent.status, sent.applied.as_deref()), (202, Some("wait")));
    assert_eq!(sent.body["task"], Value::Null);
    let id = sent.body["taskId"].as_str().unwrap();
    for path in [format!("/sources/clinics/v1/tasks/{id}"), format!("{BULK}/{id}")] {
        let read = waited(world.request(Method::GET, &path), "wait=1").await;
        assert_eq!((read.status, read.applied.as_deref()), (200, Some("wait")));
        assert_eq!(read.body["status"], "PENDING");
    }
    // Each waited its second.
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_read_waits_for_the_end_and_no_longer() {
    let world = World::at_rest().await;
    let id = world.accepted(BULK, json!([create("ada", "Ada")])).await;
    let path = format!("/sources/clinics/v1/tasks/{id}");
    let read = tokio::spawn(waited(world.request(Method::GET, &path), "wait=60"));
    let cancelled = world.call("POST", &format!("{path}/cancel")).await;
    assert!(cancelled.starts_with("200"), "{cancelled}");
    assert_eq!(read.await.unwrap().body["status"], "CANCELLED");
    let none = format!("/sources/clinics/v1/tasks/{}", "bk_x");
    assert_eq!(
        waited(world.request(Method::GET, &none), "wait=60").await.status,
        404
    );
}

#[tokio::test]
async fn a_server_that_stops_answers_who_waits() {
    let world = World::at_rest().await;
    let sent = tokio::spawn(waited(world.request(Method::POST, BULK).json(&one()), "wait=60"));
    while world.read("/sources/clinics/v1/tasks").await["data"] == json!([]) {}
    world.stop.now.cancel();
    let sent = sent.await.unwrap();
    assert_eq!((sent.status, sent.applied.as_deref()), (202, Some("wait")));
}

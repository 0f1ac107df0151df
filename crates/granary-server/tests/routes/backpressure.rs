//! Too much is waiting: every refusal with the time after which the same may come again, and what works all the same.

use granary_core::limits::Limits;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{BULK, PROVIDERS, World, create, shown};

fn bulk(operations: Value) -> Value {
    json!({ "operations": operations })
}

const PURGE: &str = "/sources/clinics/v1/purge";

#[tokio::test]
async fn one_request_more_than_may_be_in_flight_is_refused_for_now() {
    let limits = Limits {
        requests_in_flight: 2,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    let first = world.engine.admit().unwrap();
    let ada = create("ada", "Ada");
    let accepted = world.post(BULK, &bulk(json!([ada]))).await;
    assert!(accepted.starts_with("202"), "at the limit: {accepted}");
    let second = world.engine.admit().unwrap();
    insta::assert_snapshot!(world.post(BULK, &bulk(json!([ada]))).await, @r#"
    429
    retry-after: 1
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"2 requests are in flight, which is the limit requestsInFlight; send the request again later"}
    "#);
    let write = world
        .put(&format!("{PROVIDERS}/bob"), &json!({"data": {"name": "Bob"}}))
        .await;
    assert!(write.starts_with("429\nretry-after: "), "{write}");
    // Reads take no place, and deletes have places of their own, as many.
    assert!(world.get("/sources/clinics/v1/tasks").await.starts_with("200"));
    let edge = "/sources/clinics/v1/relationships/refersTo/bob.ada";
    for path in [&format!("{PROVIDERS}/bob"), edge] {
        let deleted = world.call("DELETE", path).await;
        assert!(deleted.starts_with("404"), "{path}: {deleted}");
    }
    let deletes = [world.engine.admit_delete(), world.engine.admit_delete()].map(Result::unwrap);
    for path in [&format!("{PROVIDERS}/bob"), edge] {
        let deleted = world.call("DELETE", path).await;
        assert!(deleted.starts_with("429\nretry-after: "), "{path}: {deleted}");
        assert!(deleted.contains("2 deletes are in flight"), "{path}: {deleted}");
    }
    drop(deletes);
    drop((first, second));
    assert!(world.post(BULK, &bulk(json!([ada]))).await.starts_with("202"));
}

#[tokio::test]
async fn a_purge_more_than_may_wait_is_refused_for_now_and_cancelling_makes_room() {
    let limits = Limits {
        tasks_waiting_per_source: 1,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    let id = world.accepted(BULK, json!([create("ada", "Ada")])).await;
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    insta::assert_snapshot!(world.post(PURGE, &purge).await, @r#"
    429
    retry-after: 5
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"the source has 1 tasks waiting, which is the limit tasksWaitingPerSource"}
    "#);
    let task = format!("/sources/clinics/v1/tasks/{id}");
    assert!(world.get(&task).await.starts_with("200"));
    let cancelled = world.call("POST", &format!("{task}/cancel")).await;
    assert!(cancelled.starts_with("200"), "{cancelled}");
    assert!(world.post(PURGE, &purge).await.starts_with("202"));
    // It is full again, and can be deleted with all that waits.
    let deleted = world.delete("/catalog/v1/sources/clinics?purge=true").await;
    assert!(deleted.starts_with("202"), "{deleted}");
}

/// A world that has no room for a byte more, and how many are spooled.
async fn full_of_bytes() -> World {
    // As many as a store counts at the most for what is accepted here, or one more.
    let limits = Limits {
        spool_bytes: 2_000,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    loop {
        let more = bulk(json!([create("ada", &"x".repeat(600))]));
        let answer = world.post(BULK, &more).await;
        if answer.starts_with("429") {
            return world;
        }
        assert!(answer.starts_with("202"), "{answer}");
    }
}

#[tokio::test]
async fn bytes_over_what_may_be_spooled_are_refused_for_now() {
    let world = full_of_bytes().await;
    let request = world.request(Method::POST, BULK);
    let answer = shown(request.json(&bulk(json!([create("bob", &"x".repeat(3_000))])))).await;
    assert!(answer.starts_with("429\nretry-after: 5\n"), "{answer}");
    assert!(
        answer.contains("the limit spoolBytes of 2000; send the request again later"),
        "{answer}"
    );
    // Single writes are not spooled.
    let write = world
        .put(&format!("{PROVIDERS}/bob"), &json!({"data": {"name": "Bob"}}))
        .await;
    assert!(write.starts_with("201"), "{write}");
    let tasks = world.read("/sources/clinics/v1/tasks").await;
    let id = tasks["data"][0]["taskId"].as_str().unwrap();
    let cancel = format!("/sources/clinics/v1/tasks/{id}/cancel");
    assert!(world.call("POST", &cancel).await.starts_with("200"));
    let more = bulk(json!([create("bob", &"x".repeat(600))]));
    assert!(
        world.post(BULK, &more).await.starts_with("202"),
        "there is room again"
    );
}

/// Asks whether a body of so many bytes may be sent, and reads what is said before it was.
async fn asked(world: &World, length: usize) -> (TcpStream, String) {
    let address = world.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {BULK} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to(&mut connection, "\r\n\r\n").await;
    (connection, answer)
}

async fn read_to(connection: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends_its_body_or_told_to_go_on() {
    let world = full_of_bytes().await;
    let body = bulk(json!([create("bob", &"x".repeat(300))])).to_string();
    let (mut connection, refusal) = asked(&world, 1_000_000_000).await;
    assert!(refusal.starts_with("HTTP/1.1 429"), "{refusal}");
    assert!(refusal.contains("\r\nretry-after: 5\r\n"), "{refusal}");
    let error = read_to(&mut connection, "}").await;
    assert!(error.contains("RESOURCE_EXHAUSTED"), "{error}");
    // No place is held by one that was refused.
    let held = world.engine.figures().requests_in_flight;
    assert_eq!(held, 0);

    let tasks = world.read("/sources/clinics/v1/tasks").await;
    for task in tasks["data"].as_array().unwrap() {
        let cancel = format!(
            "/sources/clinics/v1/tasks/{}/cancel",
            task["taskId"].as_str().unwrap()
        );
        assert!(world.call("POST", &cancel).await.starts_with("200"));
    }
    let (mut connection, go_on) = asked(&world, body.len()).await;
    assert_eq!(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(body.as_bytes()).await.unwrap();
    let accepted = read_to(&mut connection, "\r\n\r\n").await;
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
}

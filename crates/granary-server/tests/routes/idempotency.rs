//! `Idempotency-Key`: requests that are carried out once.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::world::{BULK, EDGES, NDJSON, PROVIDERS, World, create, create_edge, shown};

/// What of an answer a replay repeats.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    location: Option<String>,
    replayed: bool,
    body: Value,
}

async fn answered(request: RequestBuilder) -> Answered {
    let answer = request.send().await.unwrap();
    let header = |name: &str| Some(answer.headers().get(name)?.to_str().unwrap().to_owned());
    Answered {
        status: answer.status().as_u16(),
        location: header(LOCATION.as_str()),
        replayed: match header("idempotency-replayed") {
            None => false,
            Some(value) => {
                assert_eq!(value, "true");
                true
            }
        },
        body: answer.json().await.unwrap(),
    }
}

fn request(world: &World, path: &str, key: &str, body: &Value) -> RequestBuilder {
    world
        .request(Method::POST, path)
        .header("idempotency-key", key)
        .json(body)
}

async fn send(world: &World, path: &str, key: &str, body: &Value) -> Answered {
    answered(request(world, path, key, body)).await
}

/// Sends it twice, and sees that the second time is told as the first one was. Answers what was told.
async fn twice(world: &World, path: &str, body: &Value) -> Answered {
    let first = send(world, path, "twice", body).await;
    let again = send(world, path, "twice", body).await;
    assert!((200..300).contains(&first.status) && !first.replayed, "{first:?}");
    assert!(again.replayed, "{again:?}");
    let again = Answered {
        replayed: false,
        ..again
    };
    assert_eq!(again, first);
    first
}

async fn tasks(world: &World) -> usize {
    let page = world.read("/sources/clinics/v1/tasks").await;
    page["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_bulk_request_is_accepted_once() {
    let world = World::new().await;
    let body = json!({"operations": [create("ada", "Ada")]});
    let first = twice(&world, BULK, &body).await;
    assert_eq!(first.status, 202);
    assert_eq!(tasks(&world).await, 1);

    // Another body, query or type of body is another request.
    let other = json!({"operations": [create("bob", "Bob")]});
    insta::assert_snapshot!(shown(request(&world, BULK, "twice", &other)).await, @r#"
    422
    {"code":422,"type":"ABORTED","message":"this Idempotency-Key was used for another request: its body, its query or its Content-Type was not this one; take a new key for a new request"}
    "#);
    let failures_only = format!("{BULK}?receipts=failures");
    assert_eq!(send(&world, &failures_only, "twice", &body).await.status, 422);
    let lines = world
        .request(Method::POST, BULK)
        .header("idempotency-key", "twice")
        .header(CONTENT_TYPE, NDJSON)
        .body(body.to_string());
    assert_eq!(answered(lines).await.status, 422);
    // However the path is spelled, it is the same one.
    let spelled = BULK.replace("clinics", "%63linics");
    let again = send(&world, &spelled, "twice", &body).await;
    assert!(again.replayed && again.body == first.body, "{again:?}");
    // Another key, path or source is another name.
    assert_eq!(send(&world, BULK, "another", &body).await.status, 202);
    let edges = "/sources/clinics/v1/relationships/bulk";
    let edge = json!({"operations": [create_edge("ada", "ada")]});
    assert_eq!(send(&world, edges, "twice", &edge).await.status, 202);
    assert_eq!(tasks(&world).await, 3);
}

#[tokio::test]
async fn the_replay_of_a_bulk_request_reads_it_whole_and_within_the_limits() {
    let world = World::new().await;
    let body = json!({"operations": [create("ada", "Ada")]}).to_string();
    let sent = |body: String| {
        world
            .request(Method::POST, BULK)
            .header("idempotency-key", "k")
            .header(CONTENT_TYPE, "application/json")
            // Of no told length, in pieces.
            .body(Body::wrap_stream(futures::stream::iter(
                body.into_bytes()
                    .chunks(7)
                    .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                    .collect::<Vec<_>>(),
            )))
    };
    let first = answered(sent(body.clone())).await;
    let again = answered(sent(body.clone())).await;
    assert!(again.replayed && again.body == first.body, "{again:?}");
    // What follows counts.
    assert_eq!(answered(sent(format!("{body} "))).await.status, 422);
}

#[tokio::test]
async fn a_rejected_request_leaves_its_key_free() {
    let world = World::new().await;
    let wrong = json!({"operations": [{"action": "CREATE", "create": {"type": "provider", "data": {}}}]});
    let rejected = send(&world, BULK, "k", &wrong).await;
    assert_eq!((rejected.status, rejected.replayed), (400, false));
    let right = json!({"operations": [create("ada", "Ada")]});
    assert_eq!(send(&world, BULK, "k", &right).await.status, 202);
    // So do a write that is refused, and a check.
    let ada = json!({"id": "eve", "data": {"name": "Eve"}});
    let check = format!("{PROVIDERS}?validateOnly=true");
    for _ in 0..2 {
        let valid = send(&world, &check, "k", &ada).await;
        assert_eq!((valid.status, valid.replayed), (200, false));
    }
    assert_eq!(
        send(&world, PROVIDERS, "k", &json!({"data": {}})).await.status,
        400
    );
    assert_eq!(send(&world, PROVIDERS, "k", &ada).await.status, 201);
}

#[tokio::test]
async fn a_create_is_carried_out_once_and_told_as_the_record_is_now() {
    let world = World::new().await;
    let body = json!({"data": {"name": "Ada"}});
    let first = twice(&world, PROVIDERS, &body).await;
    assert_eq!(first.status, 201);
    let path = first.location.clone().unwrap();
    world.put(&path, &json!({"data": {"name": "Eve"}})).await;
    let changed = send(&world, PROVIDERS, "twice", &body).await;
    assert_eq!(changed.body["resource"]["meta"]["version"], 2);
    assert_eq!(
        (changed.status, changed.replayed, &changed.body["taskId"]),
        (201, true, &first.body["taskId"])
    );
    world.delete(&path).await;
    let gone = send(&world, PROVIDERS, "twice", &body).await;
    assert_eq!(
        gone.body,
        json!({"taskId": first.body["taskId"], "status": "PERSISTED"})
    );
    assert_eq!((gone.status, gone.location, gone.replayed), (201, None, true));
    assert_eq!(world.read(PROVIDERS).await["data"], json!([]));

    world
        .post(PROVIDERS, &json!({"id": "ada", "data": {"name": "Ada"}}))
        .await;
    let edge = json!({"from": {"id": "ada", "type": "provider"}, "to": {"id": "ada", "type": "provider"}});
    let first = twice(&world, EDGES, &edge).await;
    assert_eq!(first.status, 201);
    world.delete(&first.location.unwrap()).await;
    let definition = format!(
        "/sources/clinics/v1/relationship-definitions/{}",
        EDGES.rsplit('/').next().unwrap()
    );
    let deleted = world.delete(&definition).await;
    assert!(deleted.starts_with("200"), "{deleted}");
    let gone = send(&world, EDGES, "twice", &edge).await;
    assert_eq!((gone.status, gone.location, gone.replayed), (201, None, true));
    assert_eq!(
        gone.body,
        json!({"taskId": first.body["taskId"], "status": "PERSISTED"})
    );
}

#[tokio::test]
async fn a_contained_resource_is_added_once() {
    let world = World::new().await;
    let room = json!({"type": "CONTAINED", "properties": {"name": {"type": "symbol"}}});
    let clinic = json!({"properties": {}, "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}}});
    for (path, body) in [("room", room), ("clinic", clinic)] {
        let answer = world
            .put(&format!("/sources/clinics/v1/profiles/{path}"), &body)
            .await;
        assert!(answer.starts_with("201"), "{answer}");
    }
    let clinics = "/sources/clinics/v1/resources/clinic";
    let clinic = world.post(clinics, &json!({"id": "c1", "data": {}})).await;
    assert!(clinic.starts_with("201"), "{clinic}");
    let rooms = format!("{clinics}/c1/rooms");
    let first = twice(&world, &rooms, &json!({"type": "room", "data": {"name": "One"}})).await;
    assert_eq!(first.status, 201);
    let path = first.location.unwrap();
    assert_eq!(world.read(&path).await["data"]["name"], "One");
    assert_eq!(world.read(&rooms).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_bundle_and_a_purge_are_carried_out_once() {
    let world = World::new().await;
    let bundle = json!({
        "resourceOperations": [
            {"action": "CREATE", "create": {"type": "provider", "id": "@rootId", "data": {"name": "Ada"}}},
            {"action": "UPSERT", "upsert": {"type": "provider", "id": "bob", "data": {"name": "Bob"}}},
        ],
        "relationshipOperations": [
            {"action": "CREATE", "create": {
                "type": "refersTo",
                "from": {"id": "@rootId", "type": "provider"},
                "to": {"id": "bob", "type": "provider"},
            }},
        ],
    });
    let path = "/sources/clinics/v1/bundle";
    assert_eq!(twice(&world, path, &bundle).await.status, 200);
    assert_eq!(world.read(PROVIDERS).await["data"].as_array().unwrap().len(), 2);

    let path = "/sources/clinics/v1/purge";
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    let first = send(&world, path, "p", &purge).await;
    world.ended("/sources/clinics/v1/tasks").await;
    world
        .post(PROVIDERS, &json!({"id": "new", "data": {"name": "New"}}))
        .await;
    let again = send(&world, path, "p", &purge).await;
    assert_eq!((again.status, again.replayed), (202, true));
    assert_eq!(
        (&again.location, &again.body["taskId"]),
        (&first.location, &first.body["taskId"])
    );
    world.ended("/sources/clinics/v1/tasks").await;
    assert!(world.get(&format!("{PROVIDERS}/new")).await.starts_with("200"));
}

/// A request whose body does not end.
pub(crate) struct InFlight {
    sent: JoinHandle<reqwest::Result<reqwest::Response>>,
    _pieces: mpsc::Sender<Result<Vec<u8>, std::io::Error>>,
}

/// Sends a bulk request of this key that the server is reading, and goes on to.
pub(crate) async fn in_flight(world: &World, path: &str, key: &str) -> InFlight {
    let (pieces, body_of_first) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let first = world
        .request(Method::POST, path)
        .header("idempotency-key", key)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::wrap_stream(futures::stream::unfold(
            body_of_first,
            async |mut pieces| {
                let piece = pieces.recv().await?;
                Some((piece, pieces))
            },
        )));
    let sent = tokio::spawn(first.send());
    pieces.send(Ok(b"{\"operations\":[".to_vec())).await.unwrap();
    // More than a connection holds: the server reads it, so it has taken the name.
    for _ in 0..32 {
        pieces.send(Ok(vec![b' '; 1 << 20])).await.unwrap();
    }
    InFlight {
        sent,
        _pieces: pieces,
    }
}

#[tokio::test]
async fn a_key_in_flight_is_told_so_and_free_once_its_connection_is_gone() {
    let world = World::new().await;
    let body = json!({"operations": [create("ada", "Ada")]});
    let first = in_flight(&world, BULK, "k").await;
    let told = send(&world, BULK, "k", &body).await;
    assert_eq!(told.status, 409);
    assert_eq!(told.body["type"], "ABORTED");
    first.sent.abort();
    drop(first);
    let second = loop {
        let second = send(&world, BULK, "k", &body).await;
        if second.status != 409 {
            break second;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((second.status, second.replayed), (202, false));
    assert_eq!(tasks(&world).await, 1);
}

#[tokio::test]
async fn a_key_is_kept_for_its_hours() {
    let world = World::new().await;
    let hours = world.engine.limits().idempotency_key_hours;
    let body = json!({"operations": [create("ada", "Ada")]});
    let first = send(&world, BULK, "k", &body).await;
    world.clock.advance(Duration::from_secs(hours * 3_600));
    assert!(send(&world, BULK, "k", &body).await.replayed);
    world.clock.advance(Duration::from_millis(1));
    let next = send(&world, BULK, "k", &body).await;
    assert!(
        !next.replayed && next.body["taskId"] != first.body["taskId"],
        "{next:?}"
    );
    assert!(send(&world, BULK, "k", &body).await.replayed);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    let body = json!({"operations": [create("ada", "Ada")]});
    for wrong in ["", "two words", "ä", &"k".repeat(256)] {
        let answer = world
            .request(Method::POST, BULK)
            .header("idempotency-key", wrong.as_bytes())
            .json(&body);
        let answer = answered(answer).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{wrong}"
        );
    }
    let two = request(&world, BULK, "one", &body).header("idempotency-key", "two");
    assert_eq!(answered(two).await.status, 400);
    assert_eq!(tasks(&world).await, 0);
}

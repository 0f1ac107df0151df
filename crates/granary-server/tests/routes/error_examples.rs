//! The examples of errors in the description of the API are what the server says.

use std::collections::BTreeSet;
use std::time::Duration;

use granary_core::limits::Limits;
use granary_server::AccessOptions;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::idempotency::in_flight;
use crate::world::{BULK, World, create, provider, without_ids};

const SOURCE: &str = "/catalog/v1/sources/clinic";
const PROVIDERS: &str = "/sources/clinic/v1/resources/provider";
const BULK_OF_CLINIC: &str = "/sources/clinic/v1/resources/bulk";

/// Error objects, each with its generated ids as `[id]`.
type Errors = BTreeSet<String>;

fn examples() -> Errors {
    let description = granary_api::description::description();
    let responses = description["components"]["responses"].as_object().unwrap();
    let examples = responses
        .values()
        .filter_map(|response| response["content"]["application/json"]["examples"].as_object());
    examples
        .flat_map(|examples| examples.values())
        .map(|example| without_ids(&example["value"].to_string()))
        .collect()
}

/// Sends a call that fails, and keeps what is answered.
async fn fails(errors: &mut Errors, request: RequestBuilder) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["code"], status.as_u16(), "{error}");
    errors.insert(without_ids(&error.to_string()));
}

/// What fails where there is a source.
async fn of_a_source(errors: &mut Errors) {
    let world = World::empty().await;
    let get = |path: &str| world.request(Method::GET, path);
    let put = |path: &str| world.request(Method::PUT, path);
    let post = || world.request(Method::POST, PROVIDERS);
    fails(errors, get(SOURCE)).await;
    fails(errors, get("/catalog/v1/sources?cursor=x")).await;
    fails(errors, put(SOURCE).header(IF_MATCH, "*")).await;
    fails(errors, put(SOURCE).header(CONTENT_TYPE, "text/plain").body("x")).await;
    let end =
        |key: &str, name: &str| json!({"profileKey": key, "includeKey": name, "includeCardinality": "0:*"});
    for (path, body) in [
        (SOURCE, json!({"type": "registry"})),
        ("/sources/clinic/v1/profiles/provider", provider()),
        ("/sources/clinic/v1/profiles/site", json!({"properties": {}})),
        (
            "/sources/clinic/v1/relationship-definitions/worksAt",
            json!({"from": end("provider", "worksAt"), "to": end("site", "staff")}),
        ),
    ] {
        let answer = world.put(path, &body).await;
        assert!(answer.starts_with("201"), "{answer}");
    }
    fails(errors, get(BULK_OF_CLINIC)).await;
    fails(
        errors,
        world.request(Method::DELETE, "/sources/clinic/v1/profiles/provider"),
    )
    .await;
    fails(errors, post().json(&json!({"data": {}}))).await;
    fails(errors, post().body(" ".repeat(10_000_001))).await;
    let john = json!({"id": "john-doe", "data": {"name": "John Doe"}});
    let once = |body: &Value| post().header("idempotency-key", "k").json(body);
    assert_eq!(once(&john).send().await.unwrap().status(), 201);
    fails(errors, post().json(&john)).await;
    fails(errors, once(&json!({"data": {"name": "Jane Doe"}}))).await;
    fails(
        errors,
        get(&format!("{PROVIDERS}/john-doe")).header(IF_MATCH, "\"x\""),
    )
    .await;
    let held = in_flight(&world, BULK_OF_CLINIC, "held").await;
    let again = world
        .request(Method::POST, BULK_OF_CLINIC)
        .header("idempotency-key", "held");
    fails(errors, again.json(&json!({"operations": []}))).await;
    drop(held);
    let world = World::new().await;
    let most = Limits::default().requests_in_flight;
    let admitted: Vec<_> = (0..most).map(|_| world.engine.admit().unwrap()).collect();
    let send = || world.request(Method::POST, BULK).json(&json!({"operations": []}));
    fails(errors, send()).await;
    drop(admitted);
    world.engine.stop().await;
    fails(errors, send()).await;
}

#[tokio::test]
async fn every_example_of_an_error_is_what_the_server_says() {
    let mut errors = Errors::new();
    of_a_source(&mut errors).await;

    let world = World::new().await;
    let id = world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    let kept = Duration::from_millis((7 * 24 * 60 * 60 + 15 * 60 + 30) * 1_000 + 250);
    world.clock.advance(kept);
    world.engine.retire_tasks().await.unwrap();
    fails(&mut errors, world.request(Method::GET, &format!("{BULK}/{id}"))).await;

    let world = World::with_access(AccessOptions::default()).await;
    let admin = world.admin().await;
    fails(&mut errors, world.request(Method::GET, SOURCE)).await;
    let reader = world.key(Some(&admin), json!({"role": "reader"})).await.key;
    let write = world.request(Method::POST, PROVIDERS).header("x-api-key", reader);
    fails(&mut errors, write).await;

    // What is our fault is not to be had for the asking.
    let internal = granary_core::error::ErrorObject::internal();
    errors.insert(serde_json::to_value(internal).unwrap().to_string());
    assert_eq!(examples(), errors);
}

//! Keys: made, shown once, listed, revoked, and when they were used.

use std::time::{Duration, Instant};

use granary_server::AccessOptions;
use reqwest::Method;
use serde_json::{Value, json};

use super::KEYS;
use crate::world::{World, shown};

#[tokio::test]
async fn a_key_is_shown_once_and_never_kept() {
    let world = World::new().await;
    let answer = world
        .request(Method::POST, KEYS)
        .json(&json!({"role": "admin", "name": "the first"}));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let first: Value = answer.json().await.unwrap();
    let (id, key) = (first["id"].as_str().unwrap(), first["key"].as_str().unwrap());
    assert_eq!(location, format!("{KEYS}/{id}"));
    assert_eq!(key.len(), 79);
    assert!(key.starts_with(&format!("granary_{id}_")), "{key}");
    assert_eq!(first["sources"], json!(["*"]));

    let get = |path: &str| shown(world.request(Method::GET, path).header("x-api-key", key));
    insta::assert_snapshot!(get(&location).await, @r#"
    200
    {"id":"[id]","name":"the first","role":"admin","sources":["*"],"createdAt":"2026-01-31T08:00:00.000Z","lastUsedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    let secret = &key[36..];
    for path in [&location, KEYS] {
        let answer = world.request(Method::GET, path).header("x-api-key", key);
        assert!(
            !answer
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
                .contains(secret)
        );
    }
    let stored = world.engine.store().access().keys().await.unwrap();
    assert!(!format!("{stored:?}").contains(secret));
}

#[tokio::test]
async fn keys_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let admin = world.admin().await;
    let many: Vec<String> = (0..101).map(|n| format!("s{n}")).collect();
    let mut answers = String::new();
    for new in [
        json!({}),
        json!({"role": "boss"}),
        json!({"role": "reader", "sources": []}),
        json!({"role": "reader", "sources": ["*", "clinics"]}),
        json!({"role": "reader", "sources": ["a b"]}),
        json!({"role": "reader", "name": "a\nb"}),
        json!({"role": "reader", "expires": "soon"}),
        json!({"role": "reader", "sources": many}),
    ] {
        let request = world.request(Method::POST, KEYS).header("x-api-key", &admin);
        answers += &shown(request.json(&new)).await;
        answers += "\n";
    }
    insta::assert_snapshot!(answers, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a key is written as {\"role\":\"writer\",\"sources\":[\"…\"]}: missing field `role` at line 1 column 2"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a key is written as {\"role\":\"writer\",\"sources\":[\"…\"]}: unknown variant `boss`, expected one of `reader`, `writer`, `admin` at line 1 column 14"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a key without sources could do nothing; name some, or leave 'sources' out for a key for all"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"'*' stands for every source, name it alone"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"key 'a b' is not valid: a key has 1 to 62 of the characters A-Z a-z 0-9 _ -, does not start with _, and is not 'bulk'"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"name 'a\nb' is not valid: a name of a key has 1 to 100 characters on one line, without blanks at its ends"}
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a key is written as {\"role\":\"writer\",\"sources\":[\"…\"]}: unknown field `expires`, expected one of `name`, `role`, `sources` at line 1 column 10"}
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of sources of the key is over the limit sourcesPerKey of 100"}
    "#);
}

#[tokio::test]
async fn a_revoked_key_is_not_valid_from_the_answer_on() {
    let world = World::new().await;
    let admin = world.admin().await;
    let reader = world.key(Some(&admin), json!({"role": "reader"})).await;
    let path = format!("{KEYS}/{}", reader.id);
    for _ in 0..3 {
        assert_eq!(world.status("GET", "/limits", Some(&reader.key)).await, 200);
    }
    assert_eq!(world.status("DELETE", &path, Some(&reader.key)).await, 403);
    assert_eq!(world.status("DELETE", &path, Some(&admin)).await, 200);
    assert_eq!(world.status("GET", "/limits", Some(&reader.key)).await, 401);
    assert_eq!(world.status("DELETE", &path, Some(&admin)).await, 404);
    assert_eq!(world.status("GET", "/limits", Some(&admin)).await, 200);
    // A key in the place of an id is not shown again.
    let path = format!("{KEYS}/{admin}");
    let answer = world.request(Method::DELETE, &path).header("x-api-key", &admin);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(!answer.text().await.unwrap().contains(&admin[36..]));
}

#[tokio::test]
async fn without_its_last_key_a_server_is_closed_and_not_open() {
    let world = World::new().await;
    let admin = world.key(None, json!({"role": "admin"})).await;
    let path = format!("{KEYS}/{}", admin.id);
    assert_eq!(world.status("DELETE", &path, Some(&admin.key)).await, 200);
    for key in [None, Some(admin.key.as_str())] {
        assert_eq!(world.status("GET", "/limits", key).await, 401);
        assert_eq!(world.status("POST", KEYS, key).await, 401);
    }
}

#[tokio::test]
async fn a_key_that_another_node_revokes_is_not_valid_within_the_time_it_is_kept() {
    let kept = AccessOptions {
        keys_kept: Duration::from_millis(200),
        unknown_kept: Duration::ZERO,
        ..AccessOptions::default()
    };
    let world = World::with_access(kept).await;
    let admin = world.key(None, json!({"role": "admin"})).await;
    // Beside the server, as another node does it.
    let store = world.engine.store().clone();
    let now = world.engine.clock().now();
    let new = granary_engine::NewKey {
        name: None,
        role: granary_core::access::Role::Reader,
        sources: None,
    };
    let (made, record) = granary_engine::create_key(store.as_ref(), world.engine.limits(), new, now)
        .await
        .unwrap();
    assert_eq!(world.status("GET", "/limits", Some(made.reveal())).await, 200);
    store.access().revoke_key(record.id).await.unwrap();
    let started = Instant::now();
    while world.status("GET", "/limits", Some(made.reveal())).await != 401 {
        assert!(started.elapsed() < Duration::from_secs(60), "it stays valid");
    }
    assert_eq!(world.status("GET", "/limits", Some(&admin.key)).await, 200);
}

#[tokio::test]
async fn the_last_use_is_written_down_beside_the_calls_and_when_the_server_stops() {
    let often = AccessOptions {
        uses_noted_every: Duration::from_millis(20),
        ..AccessOptions::default()
    };
    for options in [often, AccessOptions::default()] {
        let stopped = options.uses_noted_every > Duration::from_secs(1);
        let world = World::with_access(options).await;
        let admin = world.key(None, json!({"role": "admin"})).await;
        let reader = world.key(Some(&admin.key), json!({"role": "reader"})).await;
        let store = world.engine.store().clone();
        let written = async |id: &str| {
            let keys = store.access().keys().await.unwrap().keys;
            let found = keys.into_iter().find(|key| key.id.to_string() == id);
            found.unwrap().last_used_at
        };
        assert_eq!(written(&reader.id).await, None);
        assert_eq!(world.status("GET", "/limits", Some(&reader.key)).await, 200);
        if stopped {
            assert_eq!(written(&reader.id).await, None, "a call does not write it");
            world.stop.now.cancel();
            world.serving.await.unwrap().unwrap();
        }
        let started = Instant::now();
        while written(&reader.id).await.is_none() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "it is not written down"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(written(&reader.id).await, Some(world.engine.clock().now()));
    }
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let world = World::new().await;
    let admin = world.key(None, json!({"role": "admin"})).await;
    let mut ids = vec![format!("{:?}", admin.id)];
    for _ in 0..4 {
        let key = world.key(Some(&admin.key), json!({"role": "reader"})).await;
        ids.push(format!("{:?}", key.id));
    }
    ids.sort();
    let mut world = world;
    world.always_sends(&admin.key);
    for limit in [1, 2, 5, 10] {
        assert_eq!(world.walk(&format!("{KEYS}?limit={limit}"), "id").await, ids);
    }
}

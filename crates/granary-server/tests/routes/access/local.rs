//! A server without keys: it serves this machine, and no page of another site that a browser shows there.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use tokio::task::spawn_blocking;

use granary_server::AccessOptions;

use crate::world::World;

/// The status line and all else that is answered to these bytes.
async fn sent(world: &World, head: &str) -> String {
    let address = world.url.strip_prefix("http://").unwrap().to_owned();
    let head = head.replace("$address", &address);
    spawn_blocking(move || {
        let mut connection = TcpStream::connect(&address).unwrap();
        write!(connection, "{head}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

async fn status(world: &World, head: &str) -> u16 {
    let answer = sent(world, head).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn without_keys_only_names_of_this_machine_are_served() {
    let world = World::new().await;
    for path in ["/catalog/v1/sources", "/metrics", "/none"] {
        let here = if path == "/none" { 404 } else { 200 };
        for (host, expected) in [
            ("$address", here),
            ("localhost", here),
            ("LocalHost:8080", here),
            ("[::1]:8080", here),
            ("evil.example", 403),
            ("evil.example:8080", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost.evil.example", 403),
            ("", 403),
            ("10.0.0.1", 403),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nhost: {host}");
            assert_eq!(status(&world, &head).await, expected, "{path} at {host}");
        }
    }
    // What a balancer asks tells nothing.
    for path in ["/healthz", "/readyz"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: granary.example");
        assert_eq!(status(&world, &head).await, 200, "{path}");
    }
    let refused = sent(&world, "GET / HTTP/1.1\r\nhost: evil.example").await;
    assert!(refused.contains("granary key create"), "{refused}");
    // Without a host, with two, or with another one in the line of the request.
    assert_eq!(status(&world, "GET /limits HTTP/1.0\r\nx: y").await, 403);
    let two = "GET /limits HTTP/1.1\r\nhost: localhost\r\nhost: evil.example";
    assert!([400, 403].contains(&status(&world, two).await));
    let absolute = "GET http://evil.example/limits HTTP/1.1\r\nhost: localhost";
    assert_eq!(status(&world, absolute).await, 403);

    // With keys a server has whatever name it is given.
    let admin = world.admin().await;
    let head = format!("GET /limits HTTP/1.1\r\nhost: granary.example\r\nx-api-key: {admin}");
    assert_eq!(status(&world, &head).await, 200);
    assert_eq!(
        status(&world, "GET /healthz HTTP/1.1\r\nhost: granary.example").await,
        200
    );
}

#[tokio::test]
async fn a_server_that_others_reach_serves_nobody_without_a_key() {
    let world = World::that_others_reach().await;
    for (method, path) in [("GET", "/limits"), ("POST", "/access/v1/keys")] {
        assert_eq!(world.status(method, path, None).await, 401);
    }
    assert_eq!(world.status("GET", "/healthz", None).await, 200);
}

#[tokio::test]
async fn pages_of_other_sites_may_call_where_they_are_named_and_nowhere_else() {
    let console = "https://console.example";
    let named = AccessOptions {
        origins: vec![HeaderValue::from_static("https://console.example")],
        ..AccessOptions::default()
    };
    for (options, allowed) in [(named, true), (AccessOptions::default(), false)] {
        let world = World::with_access(options.clone()).await;
        let admin = world.key(None, json!({"role": "admin"})).await.key;
        // Of a server that has no keys nobody knows who is behind a page.
        let keyless = World::with_access(options.clone()).await;
        let call = keyless.request(Method::GET, "/limits").header("origin", console);
        assert_eq!(call.send().await.unwrap().status(), 403);
        for origin in [console, "https://other.example"] {
            let allowed = (allowed && origin == console).then_some(console);
            let asked = world
                .request(Method::OPTIONS, "/limits")
                .header("origin", origin)
                .header("access-control-request-method", "GET")
                .header("access-control-request-headers", "x-api-key");
            let asked = asked.send().await.unwrap();
            assert!(
                asked.headers().contains_key("x-request-id"),
                "each answer has one"
            );
            let may = |name: &str| Some(asked.headers().get(name)?.to_str().unwrap().to_lowercase());
            assert_eq!(may("access-control-allow-origin").as_deref(), allowed, "{origin}");
            if allowed.is_some() {
                assert_eq!(asked.status(), 200);
                assert!(may("access-control-allow-headers").unwrap().contains("x-api-key"));
                assert!(may("access-control-allow-methods").unwrap().contains("patch"));
                assert_eq!(may("access-control-allow-credentials"), None);
            }
            let call = world
                .request(Method::GET, "/limits")
                .header("origin", origin)
                .header("x-api-key", &admin);
            let answer = call.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let shown = answer.headers().get("access-control-allow-origin");
            assert_eq!(shown.map(|shown| shown.to_str().unwrap()), allowed, "{origin}");
            let exposed = answer.headers().get("access-control-expose-headers");
            assert!(exposed.is_some() || allowed.is_none());
            if let Some(exposed) = exposed {
                assert!(exposed.to_str().unwrap().contains("preference-applied"));
            }
        }
    }
}

#[tokio::test]
async fn the_first_key_is_an_admins_for_all_sources() {
    let world = World::new().await;
    for wrong in [
        json!({"role": "reader"}),
        json!({"role": "writer"}),
        json!({"role": "admin", "sources": ["clinics"]}),
    ] {
        let answer = world.post("/access/v1/keys", &wrong).await;
        assert!(
            answer.starts_with("400\n") && answer.contains("FAILED_PRECONDITION"),
            "{answer}"
        );
    }
    // Nothing was made: whoever is on this machine is still served.
    assert_eq!(world.status("GET", "/limits", None).await, 200);
    let admin = world.admin().await;
    let answer = world
        .request(Method::POST, "/access/v1/keys")
        .header("x-api-key", &admin)
        .json(&json!({"role": "reader", "sources": ["clinics"]}));
    assert_eq!(answer.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_server_that_only_carries_out_tasks_asks_for_a_key_too() {
    let world = World::that_takes_nothing_in().await;
    assert_eq!(world.status("GET", "/metrics", None).await, 200);
    let new = granary_engine::NewKey {
        name: None,
        role: granary_core::access::Role::Admin,
        sources: None,
    };
    let (store, limits) = (world.engine.store().as_ref(), world.engine.limits());
    let made = granary_engine::create_key(store, limits, new, world.engine.clock().now()).await;
    let key = made.unwrap().0.reveal().to_owned();
    while world.status("GET", "/metrics", None).await != 401 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.status("GET", "/metrics", Some(&key)).await, 200);
    assert_eq!(world.status("GET", "/readyz", None).await, 200);
}

//! How a key is sent, and what is said to who has none.

use reqwest::Method;
use serde_json::json;

use crate::world::{World, shown};

const SOURCES: &str = "/catalog/v1/sources";

#[tokio::test]
async fn from_the_first_key_on_every_call_takes_one() {
    let world = World::new().await;
    assert_eq!(world.status("GET", SOURCES, None).await, 200);
    let admin = world.admin().await;
    let answer = world.request(Method::GET, SOURCES).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="granary""#);
    insta::assert_snapshot!(answer.text().await.unwrap(), @r#"{"code":401,"type":"UNAUTHENTICATED","message":"the call carries no key; send one in X-API-Key or Authorization: Bearer"}"#);
    assert_eq!(world.status("GET", SOURCES, Some(&admin)).await, 200);
    // What is no call is nobody's business without one.
    assert_eq!(world.status("GET", "/none", None).await, 401);
    assert_eq!(world.status("GET", "/none", Some(&admin)).await, 404);
    assert_eq!(world.status("POST", SOURCES, None).await, 401);
    assert_eq!(world.status("POST", SOURCES, Some(&admin)).await, 405);
    // A balancer has none.
    for open in ["/healthz", "/readyz"] {
        assert_eq!(world.status("GET", open, None).await, 200, "{open}");
    }
    assert_eq!(world.status("HEAD", SOURCES, None).await, 401);
    assert_eq!(world.status("HEAD", SOURCES, Some(&admin)).await, 200);
}

#[tokio::test]
async fn a_key_is_sent_in_either_header() {
    let world = World::new().await;
    let admin = &world.admin().await;
    for (headers, status) in [
        (vec![("x-api-key", admin.clone())], 200),
        (vec![("authorization", format!("Bearer {admin}"))], 200),
        (vec![("authorization", format!("bearer  {admin}"))], 200),
        (vec![("authorization", format!("Basic {admin}"))], 401),
        (vec![("authorization", admin.clone())], 401),
        // A proxy may have a password of its own.
        (
            vec![
                ("authorization", "Basic eDp5".to_owned()),
                ("x-api-key", admin.clone()),
            ],
            200,
        ),
        (
            vec![
                ("authorization", format!("Bearer {admin}")),
                ("x-api-key", admin.clone()),
            ],
            200,
        ),
        (
            vec![
                ("authorization", "Bearer x".to_owned()),
                ("x-api-key", admin.clone()),
            ],
            401,
        ),
        (
            vec![("x-api-key", admin.clone()), ("x-api-key", admin.clone())],
            401,
        ),
        (vec![("x-api-key", String::new())], 401),
        (vec![("x-api-key", format!("{admin}0"))], 401),
        (vec![("x-api-key", "é".to_owned())], 401),
    ] {
        let mut request = world.request(Method::GET, SOURCES);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{headers:?}");
        let body = answer.text().await.unwrap();
        assert!(!body.contains(&admin[40..]), "{body}");
    }
}

#[tokio::test]
async fn a_key_with_another_secret_or_another_id_is_not_valid() {
    let world = World::new().await;
    let admin = world.admin().await;
    let reader = world.key(Some(&admin), json!({"role": "reader"})).await.key;
    let last = if admin.ends_with('0') { "1" } else { "0" };
    let other_secret = format!("{}{last}", &admin[..admin.len() - 1]);
    // The id of one with the secret of the other.
    let mixed = format!("{}{}", &admin[..35], &reader[35..]);
    for key in [&other_secret, &mixed] {
        let request = world.request(Method::GET, SOURCES).header("x-api-key", key);
        let said = r#"401
{"code":401,"type":"UNAUTHENTICATED","message":"the key is not valid, or not any more; use another"}"#;
        assert_eq!(shown(request).await, said);
    }
}

#[tokio::test]
async fn who_is_not_let_in_may_send_a_large_body_and_reads_why() {
    let world = World::new().await;
    world.admin().await;
    let request = world
        .request(Method::POST, crate::world::BULK)
        .body(vec![b' '; 3_000_000]);
    assert_eq!(request.send().await.unwrap().status(), 401);
}

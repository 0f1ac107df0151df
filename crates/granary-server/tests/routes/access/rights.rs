//! What each role may call, and on which sources.

use std::collections::BTreeSet;

use granary_api::rights::{CALLS, Call};
use granary_core::access::{Right, Role};
use serde_json::json;

use crate::world::World;

const ROLES: [Role; 3] = [Role::Reader, Role::Writer, Role::Admin];

#[test]
fn every_call_has_its_right_and_every_right_its_call() {
    let routed: BTreeSet<(String, &str)> = granary_server::calls().collect();
    let listed: Vec<(String, &str)> = CALLS
        .iter()
        .map(|call| (call.method.to_owned(), call.path))
        .collect();
    let once: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "a call stands there twice");
    let differ: Vec<_> = routed.symmetric_difference(&once).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// The contract, section 13: a reader reads; a writer also writes data and runs tasks; an admin also changes sources,
/// definitions, vocabularies and keys; an import brings definitions along.
#[test]
fn rights_are_those_of_the_contract() {
    for call in CALLS {
        let Call {
            method, path, right, ..
        } = call;
        let open = [
            "/",
            "/console/{*path}",
            "/docs",
            "/docs/{file}",
            "/healthz",
            "/openapi.json",
            "/readyz",
        ]
        .contains(path);
        let role = match *method {
            _ if path.starts_with("/access/") => Role::Admin,
            "GET" => Role::Reader,
            _ if path.starts_with("/sources/")
                && !path.contains("/profiles")
                && !path.contains("definitions")
                && !path.ends_with("/import") =>
            {
                Role::Writer
            }
            _ => Role::Admin,
        };
        let of_none = path.starts_with("/access/") || *path == "/metrics" || *method != "GET";
        let expected = match path.contains("{source}") {
            _ if open => Right::Open,
            true => Right::OfSource(role),
            false if of_none => Right::Everywhere(role),
            false => Right::Any(role),
        };
        assert_eq!(*right, expected, "{method} {path}");
        let changes = *method != "GET"
            && (role == Role::Admin || path.ends_with("/purge") || path.ends_with("/cancel"));
        assert_eq!(call.audited.is_some(), changes, "{method} {path}");
    }
}

#[tokio::test]
async fn each_call_is_refused_to_whom_the_table_refuses_it() {
    let world = World::at_rest().await;
    let admin = world.admin().await;
    let mut keys = Vec::new();
    for role in ROLES {
        for sources in [json!(["*"]), json!(["clinics", "later"]), json!(["other"])] {
            let key = json!({"role": role, "sources": sources});
            let created = world.key(Some(&admin), key).await;
            keys.push((role, created.sources, created.key));
        }
    }
    for call in CALLS {
        let Call {
            method, path, right, ..
        } = call;
        for source in ["clinics", "none", "cl%69nics"] {
            let path = path
                .replace("{source}", source)
                .replace("{key}", "none")
                .replace("{type}", "none")
                .replace("{id}", "none")
                .replace("{*contained}", "none/none")
                .replace("{code}", "none");
            let decoded = source.replace("%69", "i");
            let without = world.status(method, &path, None).await;
            assert_eq!(
                without != 401,
                *right == Right::Open,
                "{method} {path}: {without}"
            );
            for (role, sources, key) in &keys {
                let may = right.check(*role, sources, Some(&decoded)).is_ok();
                let status = world.status(method, &path, Some(key)).await;
                assert_eq!(
                    status != 403,
                    may,
                    "{method} {path} as {role:?} of {sources:?}: {status}"
                );
                assert_ne!(status, 401, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_for_some_sources_sees_no_other() {
    let world = World::new().await;
    let admin = world.admin().await;
    for source in ["a", "b", "c"] {
        let put = world.request(reqwest::Method::PUT, &format!("/catalog/v1/sources/{source}"));
        let put = put.json(&json!({"type": "registry"})).header("x-api-key", &admin);
        assert_eq!(put.send().await.unwrap().status(), 201);
    }
    let key = json!({"role": "reader", "sources": ["a", "c", "none", "clinics"]});
    let key = world.key(Some(&admin), key).await.key;
    let mut world = world;
    world.always_sends(&key);
    for limit in [1, 2, 3, 50] {
        let seen = world
            .walk(&format!("/catalog/v1/sources?limit={limit}"), "key")
            .await;
        assert_eq!(seen, [r#""a""#, r#""c""#, r#""clinics""#]);
    }
    // A source that is there and one that is not are told by nothing.
    let there = world.get("/catalog/v1/sources/b").await;
    assert_eq!(there, world.get("/catalog/v1/sources/unheard").await);
    insta::assert_snapshot!(there, @r#"
    403
    {"code":403,"type":"PERMISSION_DENIED","message":"the key is not for this source; use one that is"}
    "#);
    assert!(world.get("/catalog/v1/sources/none").await.starts_with("404"));
}

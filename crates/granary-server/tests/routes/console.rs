//! `/` and `/console/…`.

use granary_server::AccessOptions;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};

use crate::world::World;

/// What a page loads: the values of `src` and `href`.
fn named(page: &str) -> Vec<&str> {
    let values = page
        .split(['"', '\''])
        .filter(|part| part.starts_with("console/"));
    values.collect()
}

#[tokio::test]
async fn the_console_may_load_and_call_its_own_server_alone() {
    let world = World::empty().await;
    let answer = world.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-cache");
    let policy = headers["content-security-policy"].to_str().unwrap();
    let mut parts: Vec<&str> = policy.split("; ").collect();
    parts.sort_unstable();
    assert_eq!(
        parts,
        [
            "base-uri 'none'",
            "connect-src 'self'",
            "default-src 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "img-src 'self' data:",
            "require-trusted-types-for 'script'",
            "script-src 'self'",
            "style-src 'self'",
            "trusted-types 'none'",
        ]
    );
    let page = answer.text().await.unwrap();
    let named = named(&page);
    assert!(named.len() >= 5, "{named:?}");
    for path in named {
        let answer = world.request(Method::GET, &format!("/{path}")).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let expected = match path.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{other}"),
        };
        assert_eq!(answer.headers()[CONTENT_TYPE], expected, "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let world = World::empty().await;
    let first = world.request(Method::GET, "/console/js/main.js").send();
    let tag = first.await.unwrap().headers()[ETAG].clone();
    let again = world.request(Method::GET, "/console/js/main.js");
    let again = again.header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()[ETAG]), (304, &tag));
    assert!(again.bytes().await.unwrap().is_empty());
    // As a proxy that encodes what it hands on gives the tag back, and among others.
    for known in [
        format!("W/{}", tag.to_str().unwrap()),
        format!("\"x\", {}", tag.to_str().unwrap()),
        "*".to_owned(),
    ] {
        let again = world.request(Method::GET, "/console/js/main.js");
        let again = again.header(IF_NONE_MATCH, &known).send().await.unwrap();
        assert_eq!(again.status(), 304, "{known}");
        assert_eq!(again.headers()["cache-control"], "no-cache");
    }
    let other = world.request(Method::GET, "/console/js/api.js");
    let other = other.header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn what_the_console_has_not_is_not_found() {
    let world = World::empty().await;
    insta::assert_snapshot!(world.get("/console/js/none.js").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"the console has no file 'js/none.js'"}
    "#);
    for path in [
        "/console/../Cargo.toml",
        "/console/tests/package.json",
        "/console/",
    ] {
        let answer = world.get(path).await;
        assert!(answer.starts_with("404"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn no_key_is_asked_for_and_another_name_of_the_server_is_refused_as_ever() {
    let world = World::with_access(AccessOptions::default()).await;
    let elsewhere = world.request(Method::GET, "/").header(HOST, "evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
    world.admin().await;
    assert!(world.get("/catalog/v1/sources").await.starts_with("401"));
    for path in ["/", "/console/js/main.js"] {
        assert!(world.get(path).await.starts_with("200"), "{path}");
    }
}

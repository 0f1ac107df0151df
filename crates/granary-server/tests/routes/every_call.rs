//! What holds for every call, whatever its path.

use reqwest::Method;
use serde_json::json;

use crate::terminology::{CONCEPTS, VOCABULARIES};
use crate::world::{BULK, EDGES, PROVIDERS, World, shown};

#[tokio::test]
async fn a_request_id_that_was_sent_comes_back() {
    let world = World::empty().await;
    let long = "x".repeat(128);
    for id in ["a", "9d3b-41/é".trim_end_matches("/é"), long.as_str()] {
        let request = world.request(Method::GET, "/healthz").header("x-request-id", id);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], id);
    }
}

#[tokio::test]
async fn a_request_id_is_made_where_none_was_sent_or_a_wrong_one() {
    let world = World::empty().await;
    let long = "x".repeat(129);
    let mut made = Vec::new();
    for id in [None, None, Some("with blank"), Some(""), Some(long.as_str())] {
        let mut request = world.request(Method::GET, "/nothing/here");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let answer = request.send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(id.len(), 27);
        made.push(id);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5);
}

#[tokio::test]
async fn a_path_that_is_none_is_not_found() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get("/nothing").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no path '/nothing'"}
    "#);
    for path in [
        "//catalog/v1/sources",
        "/catalog/v1/sources/",
        "/catalog/v1//sources",
        "/catalog/v2/sources",
        "/sources/clinics/v1",
        "/sources/clinics/v1/",
        "/sources//v1/profiles",
        "/sources/clinics/v1/profiles//provider",
        "/SOURCES/clinics/v1/profiles",
    ] {
        let answer = world.get(path).await;
        assert!(
            answer.starts_with("404\n{\"code\":404,\"type\":\"NOT_FOUND\""),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_answer_does_not_grow_with_the_path() {
    let world = World::empty().await;
    let long = format!("/{}", "x".repeat(20_000));
    for method in ["GET", "BREW"] {
        assert!(world.call(method, &long).await.len() < 400);
    }
    assert!(world.call(&"X".repeat(5_000), "/healthz").await.len() < 400);
}

#[tokio::test]
async fn a_path_that_is_not_utf8_once_decoded_is_invalid() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get("/catalog/v1/sources/%ff").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the path of the URL is not UTF-8 once it is decoded"}
    "#);
    for path in [
        "/sources/%c3%28/v1/profiles",
        "/sources/clinics/v1/resources/%80/x1",
        "/console/%ff",
        "/docs/%ff",
    ] {
        let answer = world.get(path).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_query_that_is_not_utf8_once_decoded_is_invalid() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get(&format!("{PROVIDERS}?identifier=:%ff:")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not UTF-8 once it is decoded"}
    "#);
    let replaced = world.get(&format!("{PROVIDERS}?identifier=:%ef%bf%bd:")).await;
    assert!(replaced.starts_with("200"), "U+FFFD may be asked for: {replaced}");
}

#[tokio::test]
async fn a_key_may_be_percent_encoded() {
    let world = World::new().await;
    let plain = world.get("/sources/clinics/v1/profiles/provider").await;
    assert_eq!(
        world.get("/sources/%63linics/v1/profiles/pro%76ider").await,
        plain
    );
}

#[tokio::test]
async fn what_is_no_key_names_nothing() {
    let world = World::new().await;
    for (path, noun) in [
        ("/catalog/v1/sources/a%2Fb", "source 'a/b'"),
        ("/sources/a%2Fb/v1/profiles", "source 'a/b'"),
        ("/sources/clinics%00/v1/profiles", "source 'clinics"),
        ("/sources/clinics/v1/profiles/a%2Fb", "profile 'a/b'"),
        ("/sources/clinics/v1/profiles/%20", "profile ' '"),
        (
            "/sources/clinics/v1/relationship-definitions/x%2e",
            "relationship definition 'x.'",
        ),
        ("/sources/clinics/v1/resources/a%2Fb", "ROOT profile 'a/b'"),
        ("/sources/clinics/v1/resources/provider/a%2Fb", "id 'a/b'"),
        (
            "/sources/clinics/v1/relationships/a%2Fb",
            "relationship definition 'a/b'",
        ),
        (
            "/sources/clinics/v1/relationships/refersTo/nothing",
            "id 'nothing'",
        ),
        ("/sources/clinics/v1/tasks/%00", "task '"),
        ("/terminology/v1/vocabularies/a%2Fb", "vocabulary 'a/b'"),
        ("/terminology/v1/vocabularies/%20/concepts/x", "vocabulary ' '"),
        ("/sources/clinics/v1/tasks/%zz", "task '%zz'"),
    ] {
        let answer = world.get(path).await;
        assert!(
            answer.starts_with("404\n{\"code\":404,\"type\":\"NOT_FOUND\""),
            "{path}: {answer}"
        );
        assert!(answer.contains(noun), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_named_and_the_others_are_allowed() {
    let world = World::new().await;
    insta::assert_snapshot!(world.call("PATCH", "/catalog/v1/sources").await, @r#"
    405
    allow: GET,HEAD
    {"code":405,"type":"UNIMPLEMENTED","message":"the path '/catalog/v1/sources' has no method PATCH"}
    "#);
    let v1 = "/sources/clinics/v1";
    for (method, path, allowed) in [
        ("POST", "/catalog/v1/sources".to_owned(), "GET,HEAD"),
        (
            "POST",
            "/catalog/v1/sources/clinics".to_owned(),
            "GET,HEAD,PUT,DELETE",
        ),
        ("PUT", format!("{v1}/profiles"), "GET,HEAD"),
        ("POST", format!("{v1}/profiles/provider"), "GET,HEAD,PUT,DELETE"),
        ("DELETE", format!("{v1}/relationship-definitions"), "GET,HEAD"),
        (
            "PATCH",
            format!("{v1}/relationship-definitions/x"),
            "GET,HEAD,PUT,DELETE",
        ),
        ("GET", format!("{v1}/resources/bulk"), "POST"),
        ("PUT", format!("{v1}/resources/bulk"), "POST"),
        ("DELETE", format!("{v1}/resources/bulk/x1"), "GET,HEAD"),
        ("PUT", format!("{v1}/relationships/bulk/x1"), "GET,HEAD"),
        ("PUT", format!("{v1}/resources/provider"), "GET,HEAD,POST"),
        (
            "POST",
            format!("{v1}/resources/provider/x1"),
            "GET,HEAD,PUT,DELETE",
        ),
        (
            "PUT",
            format!("{v1}/relationships/refersTo/x1.y1"),
            "GET,HEAD,DELETE,PATCH",
        ),
        ("DELETE", format!("{v1}/tasks"), "GET,HEAD"),
        ("POST", format!("{v1}/tasks/x"), "GET,HEAD"),
        ("POST", format!("{v1}/tasks/x/receipts"), "GET,HEAD"),
        ("GET", format!("{v1}/tasks/x/cancel"), "POST"),
        ("GET", format!("{v1}/bundle"), "POST"),
        ("OPTIONS", "/healthz".to_owned(), "GET,HEAD"),
        ("BREW", "/limits".to_owned(), "GET,HEAD"),
    ] {
        let answer = world.call(method, &path).await;
        let expected = format!("405\nallow: {allowed}\n{{\"code\":405,\"type\":\"UNIMPLEMENTED\"");
        assert!(answer.starts_with(&expected), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let world = World::new().await;
    for path in [
        "/healthz",
        "/catalog/v1/sources",
        PROVIDERS,
        "/sources/clinics/v1/tasks",
    ] {
        let get = world.request(Method::GET, path).send().await.unwrap();
        let head = world.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(
            head.headers()["content-length"],
            get.headers()["content-length"],
            "{path}"
        );
        assert!(head.bytes().await.unwrap().is_empty());
    }
    let missing = world
        .request(Method::HEAD, "/sources/none/v1/tasks")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn a_header_that_would_change_what_a_write_means_is_not_passed_over() {
    let world = World::new().await;
    let write = |name, value| {
        let request = world.request(Method::PUT, &format!("{PROVIDERS}/x1"));
        shown(
            request
                .header(name, value)
                .json(&json!({"data": {"name": "Ada"}})),
        )
    };
    insta::assert_snapshot!(write("idempotency-key", "k").await, @r#"
    501
    {"code":501,"type":"UNIMPLEMENTED","message":"the header idempotency-key is not supported here; leave it out"}
    "#);
    // By a path that has no states to expect one of.
    for (method, path) in [
        ("POST", BULK),
        ("PUT", "/catalog/v1/sources/clinics"),
        ("DELETE", "/catalog/v1/sources/clinics"),
    ] {
        for (name, value) in [("if-match", "\"1\""), ("if-none-match", "*")] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = shown(world.request(method, path).header(name, value)).await;
            let expected = format!("the header {name} is not supported here; leave it out");
            assert!(
                answer.starts_with("501\n") && answer.contains(&expected),
                "{answer}"
            );
        }
    }
    insta::assert_snapshot!(world.get(PROVIDERS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    // A read is none.
    let read = world.request(Method::GET, PROVIDERS).header("if-none-match", "*");
    assert!(shown(read).await.starts_with("200"));
}

#[tokio::test]
async fn a_source_that_does_not_exist_is_not_found_by_any_call() {
    let world = World::new().await;
    let v1 = "/sources/none/v1";
    let profile = crate::world::provider();
    let create = json!({"operations": [crate::world::create("x1", "Ada")]});
    let record = json!({"data": {"name": "Ada"}});
    let end = |id: &str| json!({"type": "provider", "id": id});
    let edge = json!({"from": end("x1"), "to": end("y1")});
    for (method, path, body) in [
        ("GET", "/catalog/v1/sources/none".to_owned(), None),
        ("DELETE", "/catalog/v1/sources/none".to_owned(), None),
        ("GET", format!("{v1}/profiles"), None),
        ("GET", format!("{v1}/profiles/provider"), None),
        ("PUT", format!("{v1}/profiles/provider"), Some(&profile)),
        ("DELETE", format!("{v1}/profiles/provider"), None),
        ("GET", format!("{v1}/relationship-definitions"), None),
        ("GET", format!("{v1}/relationship-definitions/x"), None),
        ("PUT", format!("{v1}/relationship-definitions/x"), Some(&profile)),
        ("DELETE", format!("{v1}/relationship-definitions/x"), None),
        ("GET", format!("{v1}/resources/provider"), None),
        ("POST", format!("{v1}/resources/provider"), Some(&record)),
        ("GET", format!("{v1}/resources/provider/x1"), None),
        ("PUT", format!("{v1}/resources/provider/x1"), Some(&record)),
        ("DELETE", format!("{v1}/resources/provider/x1"), None),
        ("POST", format!("{v1}/resources/bulk"), Some(&create)),
        ("GET", format!("{v1}/resources/bulk/bk_x"), None),
        ("GET", format!("{v1}/relationships/refersTo"), None),
        ("POST", format!("{v1}/relationships/refersTo"), Some(&edge)),
        ("GET", format!("{v1}/relationships/refersTo/x1.y1"), None),
        ("DELETE", format!("{v1}/relationships/refersTo/x1.y1"), None),
        ("POST", format!("{v1}/relationships/bulk"), Some(&create)),
        ("GET", format!("{v1}/relationships/bulk/bk_x"), None),
        ("GET", format!("{v1}/tasks"), None),
        ("GET", format!("{v1}/tasks/bk_x"), None),
        ("GET", format!("{v1}/tasks/bk_x/receipts"), None),
    ] {
        let mut request = world.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = shown(request).await;
        let expected =
            "404\n{\"code\":404,\"type\":\"NOT_FOUND\",\"message\":\"source 'none' does not exist\"}";
        assert_eq!(answer, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_by_every_call() {
    let world = World::new().await;
    let v1 = "/sources/clinics/v1";
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limits=3").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: limits: unknown field `limits`, expected `limit` or `cursor`"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{PROVIDERS}/x1?expand=all")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"this call has no query, leave '?expand=all' out"}
    "#);
    for (method, path) in [
        ("GET", "/catalog/v1/sources/clinics".to_owned()),
        ("PUT", "/catalog/v1/sources/clinics".to_owned()),
        ("DELETE", "/catalog/v1/sources/clinics".to_owned()),
        ("GET", format!("{v1}/profiles")),
        ("GET", format!("{v1}/profiles/provider")),
        ("PUT", format!("{v1}/profiles/provider")),
        ("DELETE", format!("{v1}/profiles/provider")),
        ("GET", format!("{v1}/relationship-definitions")),
        ("GET", format!("{v1}/relationship-definitions/refersTo")),
        ("PUT", format!("{v1}/relationship-definitions/refersTo")),
        ("DELETE", format!("{v1}/relationship-definitions/refersTo")),
        ("GET", PROVIDERS.to_owned()),
        ("POST", PROVIDERS.to_owned()),
        ("GET", format!("{PROVIDERS}/x1")),
        ("PUT", format!("{PROVIDERS}/x1")),
        ("DELETE", format!("{PROVIDERS}/x1")),
        ("POST", BULK.to_owned()),
        ("GET", format!("{BULK}/bk_x")),
        ("GET", EDGES.to_owned()),
        ("POST", EDGES.to_owned()),
        ("GET", format!("{EDGES}/x1.y1")),
        ("DELETE", format!("{EDGES}/x1.y1")),
        ("GET", format!("{v1}/tasks")),
        ("GET", format!("{v1}/tasks/bk_x")),
        ("GET", format!("{v1}/tasks/bk_x/receipts")),
        ("GET", VOCABULARIES.to_owned()),
        ("POST", format!("{VOCABULARIES}/bulk")),
        ("GET", format!("{VOCABULARIES}/colours")),
        ("PUT", format!("{VOCABULARIES}/colours")),
        ("DELETE", format!("{VOCABULARIES}/colours")),
        ("GET", CONCEPTS.to_owned()),
        ("POST", format!("{CONCEPTS}/bulk")),
        ("GET", format!("{CONCEPTS}/red")),
        ("PUT", format!("{CONCEPTS}/red")),
        ("DELETE", format!("{CONCEPTS}/red")),
        ("GET", format!("{CONCEPTS}/bulk")),
        ("PUT", format!("{CONCEPTS}/bulk")),
        ("DELETE", format!("{CONCEPTS}/bulk")),
    ] {
        let answer = world.call(method, &format!("{path}?nonsense=1")).await;
        let expected = "400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\"";
        assert!(answer.starts_with(expected), "{method} {path}: {answer}");
        assert!(answer.contains("nonsense"), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn without_keys_a_page_of_another_site_may_not_call() {
    let world = World::new().await;
    let write = |origin: String| {
        let request = world.request(Method::POST, PROVIDERS).header("origin", origin);
        shown(request.body(r#"{"data":{"name":"Ada"}}"#))
    };
    insta::assert_snapshot!(write("https://evil.example".to_owned()).await, @r#"
    403
    {"code":403,"type":"PERMISSION_DENIED","message":"a page of another site may not call here; with an API key and --cors-origin it may"}
    "#);
    let other_port = "http://127.0.0.1:1".to_owned();
    for origin in [
        "null".to_owned(),
        other_port,
        "é".to_owned(),
        String::new(),
        format!("{}0", world.url),
    ] {
        assert!(write(origin.clone()).await.starts_with("403\n"), "{origin}");
    }
    assert!(write(world.url.clone()).await.starts_with("201\n"));
    for (origin, status) in [("https://other.example", "403\n"), (&world.url, "200\n")] {
        let read = world.request(Method::GET, PROVIDERS).header("origin", origin);
        assert!(shown(read).await.starts_with(status), "{origin}");
    }
}

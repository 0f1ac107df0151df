//! Bodies of whatever call: their types, encodings, sizes, and those that nobody reads.

use granary_core::limits::Limits;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::terminology::VOCABULARIES;
use crate::world::{BULK, EDGES, NDJSON, PROVIDERS, World, shown};

/// Every call that takes a body, with the limit on it.
pub(crate) fn with_bodies() -> [(Method, String, &'static str); 9] {
    let v1 = "/sources/clinics/v1";
    [
        (
            Method::PUT,
            "/catalog/v1/sources/other".to_owned(),
            "definitionBytes",
        ),
        (Method::PUT, format!("{v1}/profiles/other"), "definitionBytes"),
        (
            Method::PUT,
            format!("{v1}/relationship-definitions/other"),
            "definitionBytes",
        ),
        (Method::POST, PROVIDERS.to_owned(), "singleBodyBytes"),
        (Method::PUT, format!("{PROVIDERS}/x1"), "singleBodyBytes"),
        (Method::POST, EDGES.to_owned(), "singleBodyBytes"),
        (Method::POST, BULK.to_owned(), "bulkBodyBytes"),
        (Method::PUT, format!("{VOCABULARIES}/colours"), "singleBodyBytes"),
        (Method::POST, format!("{VOCABULARIES}/bulk"), "singleBodyBytes"),
    ]
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let world = World::new().await;
    let xml = world
        .request(Method::POST, BULK)
        .header(CONTENT_TYPE, "text/xml")
        .body("<a/>");
    insta::assert_snapshot!(shown(xml).await, @r#"
    415
    {"code":415,"type":"UNSUPPORTED_MEDIA_TYPE","message":"the Content-Type 'text/xml' is not known here; send application/json or application/x-ndjson or text/csv"}
    "#);
    for (method, path, limit) in with_bodies() {
        let mut types = vec!["text/plain", "application/xml", "", "application/jsonp", "é"];
        if limit != "bulkBodyBytes" {
            types.extend([NDJSON, "text/csv"]);
        }
        for content_type in types {
            let request = world
                .request(method.clone(), &path)
                .header(CONTENT_TYPE, content_type)
                .body("{}");
            let answer = shown(request).await;
            let expected = "415\n{\"code\":415,\"type\":\"UNSUPPORTED_MEDIA_TYPE\"";
            assert!(
                answer.starts_with(expected),
                "{method} {path} {content_type}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_may_name_its_charset_or_not_its_type() {
    let world = World::new().await;
    for content_type in [
        "application/json; charset=utf-8",
        "application/json;Charset=\"UTF-8\"",
        "application/json; charset=utf8",
        "application/json; charset=US-ASCII",
        "Application/JSON",
        "application/json;a=b",
        "application/json;a=\"b;charset=latin1\"",
        "application/json ;\tcharset=utf-8;; ",
    ] {
        let request = world
            .request(Method::POST, PROVIDERS)
            .header(CONTENT_TYPE, content_type);
        let answer = shown(request.body(r#"{"data":{"name":"Ada"}}"#)).await;
        assert!(answer.starts_with("201"), "{content_type}: {answer}");
    }
    let request = world
        .request(Method::POST, PROVIDERS)
        .body(r#"{"data":{"name":"Ada"}}"#);
    assert!(shown(request).await.starts_with("201"));
}

#[tokio::test]
async fn a_body_in_another_charset_is_refused() {
    let world = World::new().await;
    let sent = |content_type: &str| {
        let request = world
            .request(Method::POST, PROVIDERS)
            .header(CONTENT_TYPE, content_type);
        shown(request.body(&b"{\"data\":{\"name\":\"Zo\xeb\"}}"[..]))
    };
    insta::assert_snapshot!(sent("application/json; charset=latin1").await, @r#"
    415
    {"code":415,"type":"UNSUPPORTED_MEDIA_TYPE","message":"the charset 'latin1' is not read here; send the body in UTF-8"}
    "#);
    let quoted = sent("application/json;a=b; CHARSET=\"utf-16\"").await;
    assert!(quoted.starts_with("415"), "{quoted}");
}

#[tokio::test]
async fn a_body_has_one_content_type() {
    let world = World::new().await;
    let request = world.request(Method::POST, PROVIDERS);
    let request = request
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_TYPE, "text/csv");
    insta::assert_snapshot!(shown(request.body(r#"{"data":{"name":"Ada"}}"#)).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"a body has one Content-Type, and not several"}
    "#);
}

#[tokio::test]
async fn a_body_in_an_encoding_that_is_not_known_is_refused() {
    let world = World::new().await;
    let packed = |encodings: &[&str], path: &str| {
        let mut request = world
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/json");
        for encoding in encodings {
            request = request.header(CONTENT_ENCODING, *encoding);
        }
        shown(request.body(r#"{"data":{"name":"Ada"}}"#))
    };
    insta::assert_snapshot!(packed(&["br"], PROVIDERS).await, @r#"
    415
    {"code":415,"type":"UNSUPPORTED_MEDIA_TYPE","message":"the Content-Encoding 'br' is not known; send the body as it is, or as one of gzip, zstd"}
    "#);
    for encodings in [
        &["identity", "br"][..],
        &["gzip, zstd"],
        &["gzip", "gzip"],
        &["é"],
    ] {
        for path in [PROVIDERS, BULK] {
            let answer = packed(encodings, path).await;
            assert!(answer.starts_with("415\n"), "{encodings:?}: {answer}");
        }
    }
    assert!(packed(&["identity"], PROVIDERS).await.starts_with("201"));
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_with_the_limit_whether_or_not_its_length_was_told() {
    let limits = Limits {
        definition_bytes: 1_000,
        single_body_bytes: 1_001,
        bulk_body_bytes: 1_002,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    for (method, path, limit) in with_bodies() {
        let max = match limit {
            "definitionBytes" => 1_000,
            "singleBodyBytes" => 1_001,
            _ => 1_002,
        };
        let body = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
        for told in [true, false] {
            let send = |length| {
                let request = world
                    .request(method.clone(), &path)
                    .header(CONTENT_TYPE, "application/json");
                shown(match told {
                    true => request.body(body(length)),
                    false => request.body(reqwest::Body::wrap_stream(futures::stream::iter(
                        body(length)
                            .into_bytes()
                            .chunks(1_000)
                            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                            .collect::<Vec<_>>(),
                    ))),
                })
            };
            let over = send(max + 1).await;
            assert!(
                over.starts_with("413\n{\"code\":413,\"type\":\"CONTENT_TOO_LARGE\""),
                "{path} {told}: {over}"
            );
            assert!(
                over.contains(&format!("over the limit {limit} of {max}")),
                "{path} {told}: {over}"
            );
            // Its client has the answer though it still sends.
            let far_over = send(max + 8_000_000).await;
            assert!(far_over.starts_with("413\n"), "{path} {told}: {far_over}");
            let within = send(max).await;
            assert!(within.starts_with("400\n"), "{path} {told}: {within}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_refused_is_answered_whatever_is_still_sent() {
    let world = World::new().await;
    let body = " ".repeat(30_000_000);
    for (path, status) in [
        ("/nothing", "404"),
        ("/healthz", "405"),
        ("/sources/none/v1/resources/bulk", "404"),
        ("/sources/clinics/v1/bundle", "413"),
        ("/sources/clinics/v1/resources/bulk?x=1", "400"),
    ] {
        let request = world.request(Method::POST, path).body(body.clone());
        assert!(shown(request).await.starts_with(status), "{path}");
    }
    let request = world
        .request(Method::POST, BULK)
        .header("if-match", "*")
        .body(body);
    assert!(shown(request).await.starts_with("501"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_go_on_where_it_is_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new().await;
    let address = world.url.strip_prefix("http://").unwrap();
    for (path, refused) in [("/nothing", true), (BULK, false)] {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let mut piece = [0; 1_000];
        if !refused {
            let length = connection.read(&mut piece).await.unwrap();
            assert_eq!(
                std::str::from_utf8(&piece[..length]).unwrap(),
                "HTTP/1.1 100 Continue\r\n\r\n"
            );
            connection.write_all(b"{}").await.unwrap();
        }
        while !answer.contains('}') {
            let length = connection.read(&mut piece).await.unwrap();
            assert!(length > 0, "{answer}");
            answer += std::str::from_utf8(&piece[..length]).unwrap();
        }
        let expected = if refused { "HTTP/1.1 404" } else { "HTTP/1.1 400" };
        assert!(answer.starts_with(expected), "{answer}");
    }
}

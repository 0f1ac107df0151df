//! Content codings: bodies that come in `gzip` and `zstd`, and answers that go in them.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use granary_core::limits::Limits;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, VARY,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::bodies::with_bodies;
use crate::world::{BULK, NDJSON, PROVIDERS, World, create, shown};

const CODINGS: [&str; 2] = ["gzip", "zstd"];

fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    if coding == "zstd" {
        return zstd::encode_all(plain, 1).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(coding: &str, sent: &[u8]) -> Vec<u8> {
    if coding == "zstd" {
        return zstd::decode_all(sent).unwrap();
    }
    let mut decoder = MultiGzDecoder::new(Vec::new());
    decoder.write_all(sent).unwrap();
    decoder.finish().unwrap()
}

/// The headers of an answer and its body.
async fn taken(request: RequestBuilder) -> (HeaderMap, Vec<u8>) {
    let answer = request.send().await.unwrap();
    (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
}

fn sent(world: &World, method: Method, path: &str, coding: &str, body: Vec<u8>) -> RequestBuilder {
    let request = world.request(method, path).header(CONTENT_ENCODING, coding);
    request.body(body)
}

#[tokio::test]
async fn a_body_of_any_call_may_be_encoded() {
    let world = World::new().await;
    for (method, path, _) in with_bodies() {
        let plain = br#"{"x": [1]}"#;
        let expected = shown(world.request(method.clone(), &path).body(plain.to_vec())).await;
        for coding in ["gzip", "x-gzip", "GZIP", "zstd", "identity, zstd"] {
            let body = packed(coding.trim_start_matches("identity, "), plain);
            let answer = shown(sent(&world, method.clone(), &path, coding, body)).await;
            assert_eq!(answer, expected, "{method} {path} {coding}");
        }
    }
    for coding in CODINGS {
        let halves = [&br#"{"data":{"name""#[..], br#":"Ada"}}"#];
        let body = halves.map(|half| packed(coding, half)).concat();
        let answer = shown(sent(&world, Method::POST, PROVIDERS, coding, body)).await;
        assert!(answer.starts_with("201"), "{answer}");
        let lines: String = (0..5_000)
            .map(|n| format!("{}\n", create(&format!("{coding}{n}"), "Ada")))
            .collect();
        let request = sent(
            &world,
            Method::POST,
            BULK,
            coding,
            packed(coding, lines.as_bytes()),
        );
        let answer = shown(request.header(CONTENT_TYPE, NDJSON)).await;
        assert!(answer.starts_with("202"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_refused_and_nothing_of_it_is_kept() {
    let world = World::new().await;
    let whole = packed("gzip", br#"{"data":{"name":"Ada"}}"#);
    let single = |body: &[u8], coding| shown(sent(&world, Method::POST, PROVIDERS, coding, body.to_vec()));
    insta::assert_snapshot!(single(&whole[..whole.len() - 1], "gzip").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded: what was sent as gzip ends too early, or its check sum is not that of its content"}
    "#);
    insta::assert_snapshot!(single(&[&whole[..], b"x"].concat(), "gzip").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded: what was sent as gzip ends too early, or its check sum is not that of its content"}
    "#);
    insta::assert_snapshot!(single(br#"{"data":{}}"#, "gzip").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded: it is not gzip: invalid gzip header"}
    "#);
    insta::assert_snapshot!(single(br#"{"data":{}}"#, "zstd").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded: it is not zstd: Unknown frame descriptor"}
    "#);
    insta::assert_snapshot!(single(b"", "gzip").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded: what was sent as gzip ends too early, or its check sum is not that of its content"}
    "#);
    let lines = format!("{}\n{}\n", create("one", "Ada"), create("two", "Bob"));
    for coding in CODINGS {
        let whole = packed(coding, lines.as_bytes());
        let damaged = [&whole[..whole.len() - 1], &[&whole[..], b"rubbish"].concat()].map(<[u8]>::to_vec);
        for body in damaged {
            let request = sent(&world, Method::POST, BULK, coding, body);
            let answer = shown(request.header(CONTENT_TYPE, NDJSON)).await;
            let expected = r#"{"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the body cannot be decoded at byte "#;
            assert!(answer.starts_with(&format!("400\n{expected}")), "{answer}");
        }
    }
    assert_eq!(world.read(PROVIDERS).await["data"], json!([]));
}

#[tokio::test]
async fn the_limit_of_a_body_is_on_what_it_expands_to() {
    let limits = Limits {
        definition_bytes: 1_000_000,
        single_body_bytes: 1_000_000,
        bulk_body_bytes: 1_000_000,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2)).into_bytes();
    for coding in CODINGS {
        let [within, over, far_over] =
            [1_000_000, 1_000_001, 20_000_000].map(|length| packed(coding, &padded(length)));
        // What expands to nothing is not read for ever either.
        let nothing = packed(coding, b"").repeat(120_000);
        for (method, path, limit) in with_bodies() {
            let send = |body: &[u8]| shown(sent(&world, method.clone(), &path, coding, body.to_vec()));
            assert!(send(&within).await.starts_with("400\n"), "{path}");
            for body in [&over, &far_over, &nothing] {
                let answer = send(body).await;
                assert!(answer.starts_with("413\n"), "{path}: {answer}");
                assert!(
                    answer.contains(&format!("over the limit {limit} of 1000000")),
                    "{path}: {answer}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_is_not_known_is_told_which_are() {
    let world = World::new().await;
    for path in [PROVIDERS, BULK] {
        for coding in ["br", "deflate", "gzip, zstd"] {
            let answer = sent(&world, Method::POST, path, coding, b"{}".to_vec())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 415, "{coding}");
            assert_eq!(answer.headers()[ACCEPT_ENCODING], "gzip, zstd", "{coding}");
        }
        // Where the type is to blame it is not said.
        let request = world
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "text/plain");
        let answer = request.body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 415);
        assert!(!answer.headers().contains_key(ACCEPT_ENCODING));
    }
}

#[tokio::test]
async fn answers_come_in_the_coding_that_is_asked_for() {
    let world = World::new().await;
    let operations: Vec<Value> = (0..3_000)
        .map(|n| create(&format!("p{n:04}"), "Ada Lovelace"))
        .collect();
    let task = world.carried_out(BULK, json!(operations)).await;
    let wrong: Vec<Value> = (0..3_000)
        .map(|n| json!({"action": "CREATE", "create": {"x": n}}))
        .collect();
    let receipts = format!("/sources/clinics/v1/tasks/{task}/receipts");
    let lists = [
        (
            Method::GET,
            format!("{PROVIDERS}?limit=1000"),
            "application/json",
            None,
        ),
        (Method::GET, PROVIDERS.to_owned(), NDJSON, None),
        (Method::GET, receipts, NDJSON, None),
        (
            Method::GET,
            format!("/sources/clinics/v1/resources/bulk/{task}"),
            "application/json",
            None,
        ),
        (
            Method::POST,
            BULK.to_owned(),
            "application/json",
            Some(json!({"operations": wrong})),
        ),
    ];
    for (method, path, accept, body) in lists {
        let request = || {
            let request = world.request(method.clone(), &path).header(ACCEPT, accept);
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let (headers, plain) = taken(request()).await;
        assert!(plain.len() > 50_000, "{path}");
        assert_eq!(headers[VARY], "Accept-Encoding", "{path}");
        assert!(!headers.contains_key(CONTENT_ENCODING));
        for (asked, coding) in [
            ("gzip", Some("gzip")),
            ("gzip, zstd", Some("zstd")),
            ("zstd;q=0.1, gzip;q=0.2", Some("gzip")),
            ("br", None),
            ("gzip;q=0", None),
        ] {
            let (headers, body) = taken(request().header(ACCEPT_ENCODING, asked)).await;
            assert_eq!(headers[VARY], "Accept-Encoding", "{path}");
            let told = headers
                .get(CONTENT_ENCODING)
                .map(|coding| coding.to_str().unwrap());
            assert_eq!(told, coding, "{path} {asked}");
            let Some(coding) = coding else {
                assert_eq!(body, plain, "{path} {asked}");
                continue;
            };
            assert!(body.len() < plain.len() / 4, "{path} {asked}");
            assert!(unpacked(coding, &body) == plain, "{path} {asked}");
        }
    }
}

#[tokio::test]
async fn a_record_goes_as_it_is_so_that_its_tag_names_one_string_of_bytes() {
    let world = World::new().await;
    let path = format!("{PROVIDERS}/ada");
    let ada = json!({"data": {"name": "Ada".repeat(1_000)}});
    assert!(world.put(&path, &ada).await.starts_with("201"));
    let (plain, body) = taken(world.request(Method::GET, &path)).await;
    let (headers, same) = taken(world.request(Method::GET, &path).header(ACCEPT_ENCODING, "gzip")).await;
    assert_eq!((&headers[ETAG], same), (&plain[ETAG], body));
    assert!(!headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(VARY));
    let put = world.request(Method::PUT, &path).header(IF_MATCH, &headers[ETAG]);
    assert!(shown(put.json(&ada)).await.starts_with("200"));
}

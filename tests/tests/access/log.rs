//! What the log does not hold.

use serde_json::{Value, json};

use super::Logged;
use super::calls::{CONTENT, V1, of_data};

#[tokio::test]
async fn neither_records_nor_keys_are_in_a_log_that_shows_much() {
    let logged = Logged::start("debug").await;
    logged.define().await;
    let other = json!({"role": "reader", "sources": ["other"]});
    let (_, other) = logged.send("POST", "/access/v1/keys", other).await;
    let other = other["key"].as_str().unwrap().to_owned();
    for (expected, method, path, body) in of_data() {
        let (status, answer) = logged.send(method, &path, body.clone()).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        // The same of who may not: with a key for another source, one that is spoilt, none.
        for (key, expected) in [
            (other.clone(), [403, 404]),
            (format!("{}x", logged.key), [401; 2]),
            (String::new(), [401; 2]),
        ] {
            let (status, answer) = logged.send_as(method, &path, body.clone(), &key).await;
            assert!(expected.contains(&status), "{method} {path}: {status} {answer}");
            assert!(!answer.contains(&logged.key[36..]), "{answer}");
        }
    }
    // In the place of an id, and of a name.
    for path in [
        format!("/access/v1/keys/{}", logged.key),
        format!("/access/v1/keys?cursor={}", logged.key),
    ] {
        let (status, answer) = logged.send("GET", &path, Value::Null).await;
        assert!([400, 404].contains(&status), "{status} {answer}");
        assert!(!answer.to_string().contains(&logged.key[36..]), "{answer}");
    }
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "patient"});
    assert_eq!(logged.send("POST", &format!("{V1}/purge"), purge).await.0, 202);
    let log = logged.log();
    // It does show much: every call with its route, also those that were refused.
    for route in [
        "/sources/{source}/v1/resources/{type}/{id}",
        "/sources/{source}/v1/bundle",
        "status=401",
    ] {
        assert!(log.contains(route), "{route} is not in the log");
    }
    for secret in [&logged.key[36..], &other[36..]] {
        assert!(!log.contains(secret), "a key is in the log");
    }
    let content: Vec<&str> = log.lines().filter(|line| line.contains(CONTENT)).collect();
    assert!(content.is_empty(), "{content:#?}");
}

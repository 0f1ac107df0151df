//! Clients that mean no good, or know no better: what each gets, exactly, and that others are served meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bad_bodies::raw;
use super::examples;
use super::registry::{Registry, create, fault, request};

/// It only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

async fn connected(registry: &Registry) -> TcpStream {
    let address = registry.server.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// The status of an answer that was read as it came.
fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status
        .unwrap_or_else(|| panic!("no answer: {answer}"))
        .parse()
        .unwrap()
}

/// A figure of the server.
async fn figure(registry: &Registry, name: &str) -> f64 {
    let metrics = registry
        .request(reqwest::Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

/// Waits until a figure is as wanted.
async fn until(registry: &Registry, name: &str, is_wanted: impl Fn(f64) -> bool) {
    let began = Instant::now();
    while !is_wanted(figure(registry, name).await) {
        assert!(began.elapsed() < PATIENCE, "{name} stays as it is");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_once_it_has_sent_all_is_answered() {
    let registry = Registry::start().await;
    let read = "GET /sources/clinics/v1/profiles HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&raw(&registry, read.as_bytes(), true).await), 200);
    let body = examples::CREATE;
    let head = "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nPrefer: wait=60\r\n";
    let sent = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let answer = raw(&registry, sent.as_bytes(), true).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(registry.providers().await.len(), 1);
}

#[tokio::test]
async fn two_hundred_slow_clients_keep_nobody_from_being_served() {
    let registry = Registry::start().await;
    let mut slow = Vec::new();
    for at in 0..200 {
        let mut connection = connected(&registry).await;
        let sent = match at % 4 {
            // Nothing, the begin of a head, a head without its end,
            0 => "",
            1 => "POST /sour",
            2 => "GET /sources HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1\r\n",
            // and some a body that does not come.
            _ if at < 120 => {
                "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"operations\":["
            }
            _ => "GET",
        };
        connection.write_all(sent.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    until(&registry, "granary_requests_in_flight", |count| count == 30.0).await;
    let served = async {
        let operations: Vec<_> = (0..1_000).map(|at| create(&format!("p{at}"), "Ada")).collect();
        let task = registry.carried_out(request(&operations)).await;
        assert_eq!(task["counts"]["success"], 1_000);
        assert_eq!(
            registry.read("resources/provider/p7").await["data"]["name"],
            "Ada"
        );
    };
    // Each gets on a little all the while.
    let trickle = async {
        loop {
            for connection in &mut slow {
                let _ = connection.write_all(b" ").await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let served = tokio::time::timeout(PATIENCE, served);
    tokio::select! {
        served = served => served.unwrap(),
        () = trickle => {}
    }
    drop(slow);
    until(&registry, "granary_requests_in_flight", |count| count == 0.0).await;
}

#[tokio::test]
async fn bodies_that_come_slowly_give_their_places_up_to_others() {
    let registry = Registry::start_with(&[("GRANARY_LIMIT_REQUESTS_IN_FLIGHT", "4")]).await;
    let head = "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"operations\":[";
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut connection = connected(&registry).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    until(&registry, "granary_requests_in_flight", |count| count == 4.0).await;
    let began = Instant::now();
    // It is told to come again until a place is free.
    let served = loop {
        let answer = registry.send(examples::CREATE).await;
        if answer.status != 429 {
            break answer;
        }
        assert!(answer.headers.contains_key("retry-after"));
        assert!(began.elapsed() < Duration::from_secs(40), "no place comes free");
        for connection in &mut slow {
            let _ = connection.write_all(b" ").await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    served.accepted();
    // One of them is told why; the others go on.
    let told = slow.into_iter().map(|mut connection| {
        Box::pin(async move {
            let mut told = String::new();
            while !told.contains("so slowly") {
                let mut piece = [0; 1_000];
                let length = connection.read(&mut piece).await.unwrap();
                assert!(length > 0, "{told}");
                told += std::str::from_utf8(&piece[..length]).unwrap();
            }
            told
        })
    });
    let (told, _, others) = futures::future::select_all(told).await;
    assert_eq!(status(&told), 429);
    assert_eq!(others.len(), 3);
}

#[tokio::test]
async fn uploads_that_are_dropped_leave_nothing_behind() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..20_000).map(|at| create(&format!("p{at}"), "Ada")).collect();
    let whole = request(&operations);
    let head = format!(
        "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        whole.len()
    );
    for part in [whole.len() / 2, whole.len() - 1] {
        let mut connection = connected(&registry).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(&whole.as_bytes()[..part]).await.unwrap();
        until(&registry, "granary_spool_bytes", |bytes| bytes > 0.0).await;
        drop(connection);
        until(&registry, "granary_spool_bytes", |bytes| bytes == 0.0).await;
        until(&registry, "granary_requests_in_flight", |count| count == 0.0).await;
    }
    registry.assert_empty().await;
    let left = std::fs::read_dir(registry.data().join("segments"));
    if let Ok(left) = left {
        assert_eq!(left.count(), 0, "no file of them is left");
    }
    registry.carried_out(examples::CREATE).await;
}

#[tokio::test]
async fn heads_past_their_bounds_are_refused() {
    let registry = Registry::start().await;
    let headers = |count: usize| -> String { (0..count).map(|at| format!("X-{at}: 1\r\n")).collect() };
    let long = |length: usize| format!("X-Long: {}\r\n", "x".repeat(length));
    for (path, more, expected) in [
        ("/limits".to_owned(), headers(90), 200),
        ("/limits".to_owned(), headers(120), 431),
        ("/limits".to_owned(), long(40_000), 200),
        ("/limits".to_owned(), long(80_000), 431),
        (format!("/{}", "x".repeat(40_000)), String::new(), 404),
        (format!("/{}", "x".repeat(65_000)), long(40_000), 431),
    ] {
        let call = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        let answer = raw(&registry, call.as_bytes(), false).await;
        assert_eq!(status(&answer), expected, "{} and {}", path.len(), more.len());
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let registry = Registry::start().await;
    for (sent, expected) in [
        ("\u{0}\u{1}\u{2}\r\n\r\n", 400),
        ("hello\r\n\r\n", 400),
        ("GET /limits HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        ("GET /limits HTTP/1.1\r\nHost localhost\r\n\r\n", 400),
        (
            "GET /limits HTTP/1.1\r\nHost: localhost\r\nX: a\u{0}b\r\n\r\n",
            400,
        ),
        ("GET /limits HTTP/1.1\r\nHost: localhost\r\nX y: z\r\n\r\n", 400),
        (
            "GET /limits HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
            400,
        ),
        ("GET limits HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n", 400),
    ] {
        let answer = raw(&registry, sent.as_bytes(), false).await;
        assert_eq!(status(&answer), expected, "{sent:?}");
    }
    // What begins as HTTP/2 does is not answered in a language that it does not speak.
    let other = raw(&registry, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false).await;
    assert_eq!(other, "");
}

#[tokio::test]
async fn a_path_names_what_it_spells_and_nothing_else() {
    let registry = Registry::start().await;
    registry.carried_out(request(&[create("ada", "Ada")])).await;
    let records = "/sources/clinics/v1/resources/provider";
    for (path, expected) in [
        (format!("{records}/ada"), 200),
        (format!("{records}/%61da"), 200),
        (format!("{records}/ada/"), 404),
        (format!("{records}//ada"), 404),
        (format!("{records}/./ada"), 404),
        (format!("{records}/../provider/ada"), 404),
        (format!("{records}/%2e%2e/provider/ada"), 404),
        (format!("{records}/%2e%2e"), 404),
        (format!("{records}/..%2fprovider%2fada"), 404),
        (format!("{records}/ada%00"), 404),
        (format!("{records}/%ff"), 400),
        (format!("{records}/ada%"), 404),
        ("/sources/..%2f..%2fetc%2fpasswd/v1/profiles".to_owned(), 404),
        ("//sources/clinics/v1/profiles".to_owned(), 404),
        ("/sources/clinics/v1/profiles?limit=1&limit=2".to_owned(), 400),
        ("/sources/clinics/v1/profiles?%00=1".to_owned(), 400),
    ] {
        let call = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&registry, call.as_bytes(), false).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
    }
}

/// An operation whose `data` is this.
fn with_data(data: &str) -> String {
    format!(
        r#"{{"operations":[{{"action":"CREATE","create":{{"type":"provider","id":"ada","data":{data}}}}}]}}"#
    )
}

#[tokio::test]
async fn text_that_is_none_is_a_fault_and_text_that_is_odd_is_kept() {
    let registry = Registry::start().await;
    for wrong in [
        r#"{"name":"\ud800"}"#,
        r#"{"name":"\udc00\ud800"}"#,
        r#"{"name":"\ud800\u0061"}"#,
        r#"{"name":"\u12"}"#,
        r#"{"name":"\x41"}"#,
        "{\"name\":\"a\u{0}b\"}",
        "{\"name\":\"a\nb\"}",
        "{\"name\":\"Ada\"\u{feff}}",
        "{\u{a0}\"name\":\"Ada\"}",
        r#"{"name":"Ada",}"#,
        r#"{'name':"Ada"}"#,
        r#"{"name":NaN}"#,
    ] {
        let answer = registry.send(with_data(wrong)).await;
        let receipts = answer.rejected();
        assert_eq!(receipts.len(), 1, "{wrong}");
        assert_eq!(receipts[0]["error"]["type"], "INVALID_ARGUMENT", "{wrong}");
    }
    let id = examples::CREATE.replace(r#""type": "provider""#, r#""type": "provider", "id": "a\u0000b""#);
    assert_eq!(registry.send(id).await.faults()[0].0, "/create/id");
    registry.assert_empty().await;
    let odd = r#"{"name":"\u0000 \uFEFF \u202E \ud83d\ude00 \uffff"}"#;
    registry.carried_out(with_data(odd)).await;
    let kept = registry.read("resources/provider/ada").await;
    assert_eq!(kept["data"]["name"], "\u{0} \u{feff} \u{202e} \u{1f600} \u{ffff}");
}

#[tokio::test]
async fn numbers_of_any_length_are_judged_and_not_computed() {
    let registry = Registry::start().await;
    let digits = "9".repeat(1_000_000);
    for number in [
        digits.as_str(),
        "1e999999999999999999",
        "-1e-999999999999999999",
        "9223372036854775808",
        "0.1",
        "1e2",
    ] {
        let data = format!(r#"{{"name":"Ada","practiceNumber":{number}}}"#);
        let began = Instant::now();
        let answer = registry.send(with_data(&data)).await;
        assert_eq!(answer.faults(), [fault("/create/data/practiceNumber", "type")]);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    let data = r#"{"name":"Ada","practiceNumber":-9223372036854775808}"#;
    registry.carried_out(with_data(data)).await;
}

#[tokio::test]
async fn very_many_keys_are_counted_and_a_few_are_told() {
    let registry = Registry::start().await;
    let many: String = (0..200_000).map(|at| format!(r#","k{at}":1"#)).collect();
    let answer = registry
        .send(with_data(&format!(r#"{{"name":"Ada"{many}}}"#)))
        .await;
    let error = &answer.rejected()[0]["error"];
    assert_eq!(error["details"].as_array().unwrap().len(), 100);
    assert_eq!(error["detailsTotal"], 200_000);
    let same: String = std::iter::repeat_n(r#","name":"Bob""#, 200_000).collect();
    let answer = registry
        .send(with_data(&format!(r#"{{"name":"Ada"{same}}}"#)))
        .await;
    let error: &Value = &answer.rejected()[0]["error"];
    assert_eq!(
        (&error["details"][0]["rule"], &error["detailsTotal"]),
        (&json!("duplicate"), &json!(200_000))
    );
    registry.assert_empty().await;
}

//! What bad input gets: bodies that are no request.

use std::net::SocketAddr;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::examples;
use super::registry::{Registry, answer, column, create, delete, fault, faults, request};

/// Sends `body` and answers the message about the request as a whole.
async fn message(registry: &Registry, body: impl Into<String>) -> String {
    let answer = registry.send(body).await;
    answer.rejected_as_a_whole()["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_at_which_byte_line_and_operation() {
    let registry = Registry::start().await;
    for (body, byte, line, operation) in [
        ("", 0, 1, 0),
        ("   \n  ", 6, 2, 0),
        ("hello", 0, 1, 0),
        ("<xml/>", 0, 1, 0),
        ("{operations: []}", 1, 1, 0),
        ("{\"operations\" []}", 14, 1, 0),
        ("{\"operations\":[\n,]}", 16, 2, 0),
        ("{\"operations\":[]}}", 17, 1, 0),
        ("{\"operations\":[]} x", 18, 1, 0),
    ] {
        let message = message(&registry, body).await;
        let place = format!("at byte {byte}, line {line}, operation {operation}");
        assert!(message.contains(&place), "{body:?}: {message}");
    }
    // After two operations that are right.
    let two = request(&[create("ada", "Ada"), delete("ada")]);
    let start = &two[..two.len() - 2];
    for rest in [",\n{\"action\":}]}", ",\n!]}", ",\n]}"] {
        let message = message(&registry, format!("{start}{rest}")).await;
        assert!(message.contains("line 2, operation 2"), "{rest:?}: {message}");
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_operation_that_is_not_json_fails_and_those_before_it_are_cancelled() {
    let registry = Registry::start().await;
    let body = format!(
        r#"{{"operations":[{},{{"action":"CREATE" "create":1}},{}]}}"#,
        create("ada", "Ada"),
        delete("ada")
    );
    let answer = registry.send(body).await;
    let whole = answer.rejected_as_a_whole()["message"].clone();
    assert!(whole.as_str().unwrap().contains("operation 1"), "{whole}");
    let statuses = column(&json!(answer.rejected()), "status");
    assert_eq!(statuses[..2], ["CANCELLED", "FAILURE"]);
    registry.assert_empty().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_anywhere_is_rejected() {
    let registry = Registry::start().await;
    let whole = examples::UPSERT;
    for length in 0..whole.len() {
        if !whole.is_char_boundary(length) {
            continue;
        }
        let answer = registry.send(&whole[..length]).await;
        let error = answer.rejected_as_a_whole();
        assert!(
            error["message"].as_str().unwrap().contains(" at byte "),
            "{length}: {error}"
        );
        assert!(answer.rejected().len() <= 1);
    }
    registry.assert_empty().await;
    registry.carried_out(whole).await;
}

#[tokio::test]
async fn a_body_without_operations_is_rejected() {
    let registry = Registry::start().await;
    assert!(message(&registry, "{}").await.contains("'operations'"));
    assert!(
        message(&registry, r#"{"Operations":[]}"#)
            .await
            .contains("'operations'")
    );
    assert!(
        message(&registry, r#"{"operations":[]}"#)
            .await
            .contains("'operations' is empty")
    );
    for other in ["null", "{}", "\"CREATE\"", "1", "true"] {
        let message = message(&registry, format!(r#"{{"operations":{other}}}"#)).await;
        assert!(message.contains("operations"), "{other}: {message}");
    }
    for other in ["[]", "null", "1", "\"x\"", "true"] {
        message(&registry, other).await;
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_array_of_operations_is_no_request_and_is_told_where_it_belongs() {
    let registry = Registry::start().await;
    let message = message(&registry, json!([create("ada", "Ada")]).to_string()).await;
    assert!(message.contains("{\"operations\": […]}"), "{message}");
}

#[tokio::test]
async fn unknown_members_beside_the_operations_are_rejected() {
    let registry = Registry::start().await;
    let operation = create("ada", "Ada");
    for body in [
        format!(r#"{{"operations":[{operation}],"operation":[]}}"#),
        format!(r#"{{"comment":{{"a":[1,"]"]}},"operations":[{operation}]}}"#),
    ] {
        let answer = registry.send(body).await;
        let error = answer.rejected_as_a_whole();
        assert!(error["details"][0]["path"].as_str().unwrap().len() > 1, "{error}");
        assert_eq!(column(&json!(answer.rejected()), "status"), ["CANCELLED"]);
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn duplicate_keys_are_rejected_wherever_they_stand() {
    let registry = Registry::start().await;
    let operation = create("ada", "Ada");
    let twice = format!(r#"{{"operations":[{operation}],"operations":[{operation}]}}"#);
    assert!(message(&registry, twice).await.contains("twice"));
    for (body, path) in [
        (
            r#"{"action":"CREATE","action":"CREATE","create":{"type":"provider","data":{"name":"Ada"}}}"#,
            "/action",
        ),
        (
            r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"Ada"}},"create":{"type":"provider","data":{"name":"Ada"}}}"#,
            "/create",
        ),
        (
            r#"{"action":"CREATE","create":{"type":"provider","type":"provider","data":{"name":"Ada"}}}"#,
            "/create/type",
        ),
        (
            r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"Ada","name":"Bob"}}}"#,
            "/create/data/name",
        ),
        (
            r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"Ada","na\u006de":"Bob"}}}"#,
            "/create/data/name",
        ),
    ] {
        let answer = registry.send(format!(r#"{{"operations":[{body}]}}"#)).await;
        assert_eq!(answer.faults(), [fault(path, "duplicate")], "{body}");
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn a_body_that_is_not_utf8_is_rejected() {
    let registry = Registry::start().await;
    let (before, after) = examples::CREATE.split_once("John").unwrap();
    for wrong in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\x80",
    ] {
        let body = [before.as_bytes(), wrong, after.as_bytes()].concat();
        let answer = answer(registry.bulk("resources").body(body)).await;
        assert!(
            answer.rejected_as_a_whole()["message"]
                .as_str()
                .unwrap()
                .contains("operation 0")
        );
    }
    registry.assert_empty().await;
    // A byte order mark at the start is passed over.
    registry
        .carried_out(format!("\u{feff}{}", examples::CREATE))
        .await;
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let registry = Registry::start().await;
    for content_type in [
        "text/plain",
        "text/json",
        "application/xml",
        "multipart/form-data",
        "json",
    ] {
        let path = "/sources/clinics/v1/resources/bulk";
        let request = registry
            .request(reqwest::Method::POST, path)
            .header(CONTENT_TYPE, content_type);
        let answer = answer(request.body(examples::CREATE)).await;
        assert_eq!(answer.error(), (415, "UNSUPPORTED_MEDIA_TYPE"), "{content_type}");
    }
    let packed = registry
        .bulk("resources")
        .header("content-encoding", "compress")
        .body(examples::CREATE);
    assert_eq!(answer(packed).await.error(), (415, "UNSUPPORTED_MEDIA_TYPE"));
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_operation_past_its_limit_fails_and_one_at_it_does_not() {
    let registry = Registry::start_with(&[("GRANARY_LIMIT_OPERATION_BYTES", "300")]).await;
    let long = |length: usize| {
        let bare = create("ada", "").to_string().len();
        create("ada", &"x".repeat(length - bare))
    };
    let answer = registry
        .send(request(&[delete("ada"), long(301), long(3_000), delete("ada")]))
        .await;
    assert_eq!(
        column(&json!(answer.rejected()), "status"),
        ["CANCELLED", "FAILURE", "FAILURE", "CANCELLED"]
    );
    for receipt in &answer.rejected()[1..3] {
        let error = &receipt["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(413), &json!("CONTENT_TOO_LARGE"))
        );
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("operationBytes of 300"),
            "{error}"
        );
    }
    registry.assert_empty().await;
    registry.carried_out(request(&[long(300)])).await;
}

#[tokio::test]
async fn a_body_past_its_limit_is_refused_with_and_without_its_length() {
    let whole = request(&[create("ada", "Ada")]);
    let max = whole.len();
    let limit = max.to_string();
    let registry = Registry::start_with(&[("GRANARY_LIMIT_BULK_BODY_BYTES", &limit)]).await;
    for told in [true, false] {
        let send = |body: String| {
            let request = registry.bulk("resources");
            answer(match told {
                true => request.body(body),
                false => {
                    let pieces: Vec<_> = body
                        .into_bytes()
                        .chunks(10)
                        .map(|piece| std::io::Result::Ok(piece.to_vec()))
                        .collect();
                    request.body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)))
                }
            })
        };
        let over = send(format!("{whole} ")).await;
        assert_eq!(over.error(), (413, "CONTENT_TOO_LARGE"));
        let message = over.body["message"].as_str().unwrap();
        assert!(message.contains(&format!("bulkBodyBytes of {max}")), "{message}");
        // A far larger one has its answer too, though it is not read to its end.
        assert_eq!(
            send(format!("{whole}{}", " ".repeat(20_000_000))).await.error(),
            (413, "CONTENT_TOO_LARGE")
        );
    }
    registry.assert_empty().await;
    registry.carried_out(whole).await;
}

/// Sends bytes over a connection of its own and answers all that comes back. With `end` the connection is closed for
/// writing first.
pub(super) async fn raw(registry: &Registry, bytes: &[u8], end: bool) -> String {
    let address: SocketAddr = registry
        .server
        .url
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(bytes).await.unwrap();
    if end {
        connection.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn head(header: &str) -> String {
    format!(
        "POST /sources/clinics/v1/resources/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\n{header}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_connection_that_ends_half_way_leaves_nothing() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..5_000).map(|n| create(&format!("p{n}"), "Ada")).collect();
    let whole = request(&operations);
    let address: SocketAddr = registry
        .server
        .url
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    for part in [0, 1, whole.len() / 3, whole.len() - 1, whole.len()] {
        let sent = format!(
            "{}{}",
            head(&format!("Content-Length: {}", whole.len() + 1)),
            &whole[..part]
        );
        // Closed for writing, the answer can still be read.
        let answer = raw(&registry, sent.as_bytes(), true).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains("\"status\":\"REJECTED\",\"error\":"),
            "{part}: {}",
            &answer[..answer.len().min(500)]
        );
        assert!(
            answer.contains("the body breaks off"),
            "{part}: {}",
            &answer[..answer.len().min(500)]
        );
        // Dropped, it cannot.
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(sent.as_bytes()).await.unwrap();
        drop(connection);
    }
    registry.assert_empty().await;
    // What comes after is not disturbed.
    let task = registry.carried_out(examples::CREATE).await;
    assert_eq!(
        column(&registry.read("tasks").await["data"], "taskId"),
        [task["taskId"].as_str().unwrap()]
    );
    assert_eq!(registry.providers().await.len(), 1);
}

#[tokio::test]
async fn a_body_in_chunks_is_whole_only_with_the_last_of_them() {
    let registry = Registry::start().await;
    let head = head("Transfer-Encoding: chunked");
    let one_by_one: String = examples::CREATE
        .chars()
        .map(|c| format!("1\r\n{c}\r\n"))
        .collect();
    for (end, accepted) in [
        ("0\r\n\r\n", true),
        ("0\r\nTrailer: x\r\n\r\n", true),
        ("", false),
        ("0", false),
        ("zz\r\n\r\n", false),
        ("5\r\nab", false),
        ("ffffffffffffffffff\r\n", false),
        ("-1\r\n\r\n", false),
    ] {
        let answer = raw(
            &registry,
            format!("{head}{one_by_one}{end}").as_bytes(),
            !accepted,
        )
        .await;
        let expected = if accepted {
            "HTTP/1.1 202 "
        } else {
            "HTTP/1.1 400 "
        };
        assert!(answer.starts_with(expected), "{end:?}: {answer}");
        assert_eq!(answer.contains("\"REJECTED\""), !accepted, "{end:?}: {answer}");
    }
    assert_eq!(registry.read("tasks").await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways_are_refused() {
    let registry = Registry::start().await;
    let body = examples::CREATE;
    let length = body.len();
    for header in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Content-Length: {length}\r\nContent-Length: 3"),
        format!("Content-Length: +{length}"),
        "Content-Length: x".to_owned(),
        "Transfer-Encoding: gzip".to_owned(),
    ] {
        let answer = raw(&registry, format!("{}{body}", head(&header)).as_bytes(), false).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{header}: {answer}");
    }
    let chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for header in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let answer = raw(&registry, format!("{}{chunks}", head(header)).as_bytes(), false).await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{header}: {answer}");
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn of_a_length_and_chunks_the_chunks_count_and_the_connection_ends() {
    let registry = Registry::start().await;
    let body = examples::CREATE;
    let length = body.len();
    let twice = head("Content-Length: 4\r\nTransfer-Encoding: chunked");
    let sent = format!("{twice}{length:x}\r\n{body}\r\n0\r\n\r\n");
    let answer = raw(&registry, format!("{sent}{sent}").as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn operations_one_a_line_break_off_like_others() {
    let registry = Registry::start().await;
    let lines = |body: String| {
        let path = "/sources/clinics/v1/resources/bulk";
        let request = registry.request(reqwest::Method::POST, path);
        answer(request.header(CONTENT_TYPE, "application/x-ndjson").body(body))
    };
    let line = create("ada", "Ada").to_string();
    for length in 1..line.len() {
        let answer = lines(format!("{line}\n{}", &line[..length])).await;
        let whole = answer.rejected_as_a_whole()["message"].as_str().unwrap();
        assert!(whole.contains("line 2, operation 1"), "{whole}");
        assert_eq!(
            column(&json!(answer.rejected()), "status"),
            ["CANCELLED", "FAILURE"]
        );
    }
    let wrong = json!({"action": "CREATE", "create": {"type": "provider", "data": {}}});
    let answer = lines(format!("{line}\n{wrong}\n")).await;
    assert!(answer.body.get("error").is_none());
    assert_eq!(
        faults(&answer.rejected()[1]),
        [fault("/create/data/name", "required")]
    );
    registry.assert_empty().await;
    let id = lines(format!("{line}\r\n\n{}", delete("ada"))).await.accepted();
    let task: Value = registry.ended("resources", &id).await;
    assert_eq!(task["outcome"], "COMPLETE");
}

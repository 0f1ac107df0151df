//! Traces over OTLP.

use std::time::{Duration, Instant};

use granary_tests::binary;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::collector::{Collector, attributes};
use super::{CONTENT, Telling};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SECRET: &str = "tell-nobody";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace that have this name.
fn named<'a>(spans: &'a [Span], trace: &str, name: &str) -> Vec<&'a Span> {
    let all = spans.iter();
    all.filter(|span| hex(&span.trace_id) == trace && span.name == name)
        .collect()
}

/// The only one of them.
fn one<'a>(spans: &'a [Span], trace: &str, name: &str) -> &'a Span {
    let [span] = named(spans, trace, name)[..] else {
        panic!("{name}: {spans:#?}");
    };
    span
}

const CALL: &str = "POST /sources/{source}/v1/resources/bulk";

#[tokio::test]
async fn a_bulk_request_and_its_task_are_in_the_trace_of_the_caller() {
    let collector = Collector::start().await;
    let headers = format!("x-otlp-key={SECRET}");
    let telling = Telling::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("GRANARY_LOG", "trace"),
    ])
    .await;
    // Its caller does not want to have it traced.
    let untold = "0af7651916cd43dd8448eb211c80319c";
    let unwanted = format!("00-{untold}-{CALLER}-00");
    let other = telling.bulk(("traceparent", &unwanted), &["patient-eve"]).await;
    telling.ended(&other).await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let task = telling
        .bulk(
            ("traceparent", &parent),
            &["patient-ada", "patient-bob", "patient-ada"],
        )
        .await;

    let of_task = |spans: &[Span]| !named(spans, TRACE, "task").is_empty();
    let of_call = |spans: &[Span]| !named(spans, TRACE, CALL).is_empty();
    let collected = collector
        .once(|collected| of_task(&collected.spans) && of_call(&collected.spans))
        .await;
    let spans = &collected.spans;
    let call = one(spans, TRACE, CALL);
    assert_eq!(hex(&call.parent_span_id), CALLER);
    assert_eq!(call.kind, SpanKind::Server as i32);
    let of_call = attributes(&call.attributes);
    assert_eq!(of_call["http.request.method"], "POST");
    assert_eq!(of_call["http.route"], "/sources/{source}/v1/resources/bulk");
    assert_eq!(of_call["http.response.status_code"], "202");
    assert_eq!(of_call["request.id"].len(), 27, "{of_call:?}");
    let check = one(spans, TRACE, "check");
    let accept = one(spans, TRACE, "accept");
    assert_eq!(check.parent_span_id, call.span_id);
    assert_eq!(accept.parent_span_id, call.span_id);
    assert_eq!(attributes(&accept.attributes)["task.id"], task);
    assert!(check.end_time_unix_nano <= accept.start_time_unix_nano);

    let applied = one(spans, TRACE, "task");
    assert_eq!(applied.parent_span_id, accept.span_id);
    assert_eq!(applied.kind, SpanKind::Consumer as i32);
    let of_task = attributes(&applied.attributes);
    for (name, expected) in [
        ("task.id", task.as_str()),
        ("source", "clinic"),
        ("status", "SUCCESS"),
        ("operations", "3"),
        ("success", "2"),
        ("failure", "1"),
    ] {
        assert_eq!(of_task[name], expected, "{of_task:?}");
    }
    assert!(applied.start_time_unix_nano <= applied.end_time_unix_nano);

    assert_eq!(collected.resource["service.name"], "granary");
    assert_eq!(collected.headers["x-otlp-key"], SECRET);
    assert_eq!(collected.headers["content-type"], "application/x-protobuf");
    let all = format!("{spans:?}");
    for kept_back in [CONTENT, "patient-", untold] {
        assert!(!all.contains(kept_back), "{kept_back}: {all}");
    }
    let untold = spans.iter().find(|span| hex(&span.trace_id) == untold);
    assert!(untold.is_none(), "{untold:?}");
    let log = telling.log();
    assert!(!log.contains(SECRET), "a header is in the log");
    assert!(!log.contains(CONTENT), "a record is in the log");
}

#[tokio::test]
async fn what_is_left_is_sent_when_the_server_stops() {
    let collector = Collector::start().await;
    let endpoint = format!("{}/v1/traces", collector.url);
    let mut telling = Telling::start(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "granary-at-the-clinic"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ])
    .await;
    assert!(collector.now().spans.is_empty());
    assert!(telling.server.stop().await.unwrap().success());
    let collected = collector.now();
    let names: Vec<&str> = { collected.spans.iter() }
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "PUT /catalog/v1/sources/{source}",
            "PUT /sources/{source}/v1/profiles/{key}"
        ]
    );
    assert_eq!(collected.resource["service.name"], "granary-at-the-clinic");
}

/// Has a server answer as ever with this for a collector, and stop in time; its log.
async fn answers_without(collector: &str) -> String {
    let mut telling = Telling::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-otlp-key={SECRET}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        // Whoever waited for the collector would wait for long.
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "100000"),
    ])
    .await;
    let began = Instant::now();
    for _ in 0..100 {
        telling
            .put(
                "/catalog/v1/sources/clinic",
                &serde_json::json!({"type": "registry"}),
            )
            .await;
    }
    let task = telling.bulk(("x-request-id", "the-one"), &["ada"]).await;
    telling.ended(&task).await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(telling.server.stop().await.unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let log = telling.log();
    assert!(!log.contains(SECRET), "a header is in the log");
    log
}

#[tokio::test]
async fn without_its_collector_a_server_answers_as_before_and_says_so_once() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let log = answers_without(&format!("http://user:{SECRET}@{address}")).await;
    let told = log
        .matches("the collector does not take spans; they are dropped")
        .count();
    assert_eq!(told, 1, "{log}");
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_nobody() {
    // Connections are made, and nothing comes back.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let log = answers_without(&format!("http://{address}")).await;
    let told = log.matches("dropped a Span due to queue full").count();
    assert_eq!(told, 1, "{log}");
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_at_the_start() {
    for (variable, value, told) in [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "only http/protobuf is supported",
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "leave it off"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "give it whole milliseconds"),
        (
            "OTEL_TRACES_EXPORTER",
            "zipkin",
            "only otlp and none are supported",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "is no URL"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(binary().unwrap())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
            .env(variable, value)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(super::PATIENCE, output)
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variable}: {said}");
        assert!(
            said.contains(variable) && said.contains(told),
            "{variable}: {said}"
        );
    }
}

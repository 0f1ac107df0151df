//! `/metrics`.

use reqwest::Method;
use serde_json::json;

use crate::world::{BULK, PROVIDERS, World, create};

async fn read(world: &World) -> String {
    let answer = world.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let media_type = answer.headers()["content-type"].to_str().unwrap();
    assert_eq!(
        media_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    answer.text().await.unwrap()
}

/// The value of a sample, which is there once at most.
fn value(text: &str, name: &str) -> Option<f64> {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = values.next().map(|value| value.parse().unwrap());
    assert_eq!(values.next(), None, "{name}");
    value
}

#[tokio::test]
async fn what_was_done_is_counted() {
    let world = World::new().await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    world.carried_out(BULK, json!([create("ada", "Ada")])).await;
    world.post(BULK, &json!({"operations": [{}]})).await;
    world.get(&format!("{PROVIDERS}/ada")).await;
    world.get(&format!("{PROVIDERS}/zenobia")).await;
    world.get("/no/such/path").await;
    world.call("BREW", &format!("{PROVIDERS}/ada")).await;
    // A chunk is counted after it can be seen.
    let text = loop {
        let text = read(&world).await;
        if value(&text, "granary_operations_applied_total") == Some(3.0) {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let of = |route: &str, method: &str, status: u16| {
        let name = format!(r#"granary_calls_total{{method="{method}",route="{route}",status="{status}"}}"#);
        value(&text, &name)
    };
    let one = "/sources/{source}/v1/resources/{type}/{id}";
    assert_eq!(of("/sources/{source}/v1/resources/bulk", "POST", 202), Some(2.0));
    assert_eq!(of("/sources/{source}/v1/resources/bulk", "POST", 400), Some(1.0));
    assert_eq!(of(one, "GET", 200), Some(1.0));
    assert_eq!(of(one, "GET", 404), Some(1.0));
    assert_eq!(of(one, "other", 405), Some(1.0));
    assert_eq!(of("-", "GET", 404), Some(1.0));
    let seconds = r#"granary_call_seconds_count{method="POST",route="/sources/{source}/v1/resources/bulk"}"#;
    assert_eq!(value(&text, seconds), Some(3.0));
    for (name, expected) in [
        ("granary_bulk_accepted_total", 2.0),
        ("granary_bulk_rejected_total", 1.0),
        ("granary_bulk_failed_total", 0.0),
        ("granary_operations_accepted_total", 3.0),
        ("granary_operations_applied_total", 3.0),
        ("granary_chunk_failures_total", 0.0),
        ("granary_tasks_removed_total", 0.0),
        ("granary_ready", 1.0),
        ("granary_spool_bytes", 0.0),
        ("granary_requests_in_flight", 0.0),
        ("granary_requests_in_flight_limit", 64.0),
        (r#"granary_limit{name="requestsInFlight"}"#, 64.0),
        (r#"granary_limit{name="bulkBodyBytes"}"#, 5e9),
    ] {
        assert_eq!(value(&text, name), Some(expected), "{name}");
    }
    assert!(value(&text, "granary_chunks_total").unwrap() >= 2.0);
    assert!(text.ends_with("# EOF\n"), "{text}");
    // Of the route it tells, and of nothing that a client named.
    for named in ["clinics", "ada", "zenobia", "such", "BREW"] {
        assert!(!text.contains(named), "{named}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_take_writes_says_so_and_goes_on_telling() {
    let world = World::new().await;
    world.engine.store().close().await.unwrap();
    let text = read(&world).await;
    assert_eq!(value(&text, "granary_ready"), Some(0.0));
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_server_that_only_carries_out_tasks_has_metrics() {
    let text = read(&World::that_takes_nothing_in().await).await;
    assert_eq!(value(&text, "granary_ready"), Some(1.0));
}

//! Deleting very much: a resource with many edges, all records of a type, a source with all it holds.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::registry::{Registry, answer, create, create_edge, request};

const PROVIDERS: &str = "/sources/clinics/v1/resources/provider";
const REFERS_TO: &str = "/sources/clinics/v1/relationship-definitions/refersTo";
/// It only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Edges of the one resource that has many: enough that they are not removed in one go.
/// `GRANARY_TEST_EDGES=1000000` is the size that the design names.
fn edges_count() -> usize {
    std::env::var("GRANARY_TEST_EDGES").map_or(30_000, |count| count.parse().unwrap())
}

/// The most memory that the server has used, in kB.
fn peak_memory(registry: &Registry) -> u64 {
    let pid = registry.server.pid().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
}

async fn load(registry: &Registry, target: &str, operations: impl Iterator<Item = Value>) {
    let lines: String = operations.map(|operation| operation.to_string() + "\n").collect();
    let sent = registry.request(Method::POST, &format!("/sources/clinics/v1/{target}/bulk"));
    let sent = answer(sent.header("content-type", "application/x-ndjson").body(lines)).await;
    let task = registry
        .ended(target, &format!("{}?withReceipts=false", sent.accepted()))
        .await;
    assert_eq!(task["outcome"], "COMPLETE", "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_with_many_edges_is_deleted_at_once_while_others_read_and_write() {
    let registry = Registry::start().await;
    let count = edges_count();
    let others = (0..count).map(|n| create(&format!("p-{n}"), "Other"));
    load(&registry, "resources", others.chain([create("hub", "Hub")])).await;
    load(
        &registry,
        "relationships",
        (0..count).map(|n| create_edge("hub", &format!("p-{n}"))),
    )
    .await;
    let before = peak_memory(&registry);

    let deleted = answer(registry.request(Method::DELETE, &format!("{PROVIDERS}/hub"))).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    for list in [
        "relationships/refersTo",
        "relationships/refersTo?from=hub",
        "relationships/refersTo?to=p-7",
    ] {
        assert_eq!(
            registry.read(list).await,
            json!({"data": [], "meta": {}}),
            "{list}"
        );
    }
    // The same again, with an edge of its own.
    for (path, body) in [
        (PROVIDERS, json!({"id": "hub", "data": {"name": "Hub"}})),
        (
            "/sources/clinics/v1/relationships/refersTo",
            create_edge("hub", "p-1")["create"].clone(),
        ),
    ] {
        let created = answer(registry.request(Method::POST, path).json(&body)).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let (mut writes, started) = (0, Instant::now());
    loop {
        let put = registry.request(Method::PUT, &format!("{PROVIDERS}/p-2"));
        let put = answer(put.json(&json!({"data": {"name": format!("Writer {writes}")}}))).await;
        assert_eq!(put.status, 200, "{put:?}");
        writes += 1;
        let shown = registry.read("relationships/refersTo").await;
        assert_eq!(shown["data"].as_array().unwrap().len(), 1, "{shown}");
        // Only once all old edges are removed is the new one all that keeps the definition.
        let refused = answer(registry.request(Method::DELETE, REFERS_TO)).await;
        assert_eq!(refused.error(), (400, "FAILED_PRECONDITION"));
        if !refused.body["message"]
            .as_str()
            .unwrap()
            .contains("being removed")
        {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the edges are not removed");
    }
    let grown = peak_memory(&registry) - before;
    assert!(grown < 64 * 1024, "deleting {count} edges took {grown} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_goes_on_after_the_server_was_killed() {
    let mut registry = Registry::start().await;
    let count = 20_000;
    load(
        &registry,
        "resources",
        (0..count).map(|n| create(&format!("p-{n}"), "Ada")),
    )
    .await;
    load(
        &registry,
        "relationships",
        (1..count).map(|n| create_edge(&format!("p-{}", n / 2), &format!("p-{n}"))),
    )
    .await;
    let purge = registry.request(Method::POST, "/sources/clinics/v1/purge");
    let body = json!({"collectionType": "RESOURCE", "collectionKey": "provider"});
    let accepted = answer(purge.json(&body)).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let path = format!("purge/{}", accepted.body["taskId"].as_str().unwrap());
    registry.server.kill().await.unwrap();
    registry.server = registry.server.restart().await.unwrap();
    let started = Instant::now();
    let task = loop {
        let task = registry.read(&path).await;
        if task["status"] != "PENDING" {
            break task;
        }
        assert!(started.elapsed() < PATIENCE, "{task}");
    };
    assert_eq!(
        (
            &task["status"],
            &task["deletedCount"],
            &task["deletedRelationshipCount"]
        ),
        (&json!("SUCCESS"), &json!(count), &json!(count - 1))
    );
    for list in ["resources/provider", "relationships/refersTo"] {
        assert_eq!(
            registry.read(list).await,
            json!({"data": [], "meta": {}}),
            "{list}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_deleted_with_its_data_gives_the_space_in_the_folder_back_over_a_restart() {
    let registry = Registry::start().await;
    load(
        &registry,
        "resources",
        (0..20_000).map(|n| create(&format!("p-{n}"), &format!("Name {n}"))),
    )
    .await;
    let waiting = registry.send(request(&[create("late", "Late")])).await.accepted();
    let segments = registry.data().join("segments");
    let files = || std::fs::read_dir(&segments).unwrap().count();
    assert!(files() > 0, "so many are in files");
    let deleted = registry.request(Method::DELETE, "/catalog/v1/sources/clinics?purge=true");
    assert_eq!(answer(deleted).await.status, 202);
    for gone in ["resources/provider", "profiles", &format!("tasks/{waiting}")] {
        assert_eq!(
            registry.get(&format!("/sources/clinics/v1/{gone}")).await.status,
            404,
            "{gone}"
        );
    }
    let again = registry.request(Method::PUT, "/catalog/v1/sources/clinics");
    assert_eq!(answer(again.json(&json!({"type": "registry"}))).await.status, 201);
    let registry = registry.restarted().await;
    assert_eq!(registry.read("profiles").await, json!({"data": [], "meta": {}}));
    let started = Instant::now();
    while files() > 0 {
        assert!(started.elapsed() < PATIENCE, "files stay");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

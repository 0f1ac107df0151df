//! What holds of a server as a whole.

use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use super::examples;
use super::registry::{Registry, answer, column, create, create_edge, request};

#[tokio::test]
async fn a_server_stopped_and_started_again_has_all_it_had() {
    let registry = Registry::start().await;
    registry
        .carried_out(request(&[
            create("ada", "Ada"),
            create("bob", "Bob"),
            create("ada", "Ada"),
        ]))
        .await;
    registry.carried_out(examples::UPSERT).await;
    registry
        .carried_out_on("relationships", request(&[create_edge("ada", "bob")]))
        .await;
    let tasks = registry.read("tasks").await;
    let mut paths: Vec<String> = [
        "profiles",
        "relationship-definitions",
        "resources/provider",
        "relationships/refersTo",
        "tasks",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(
        column(&tasks["data"], "taskId")
            .iter()
            .map(|id| format!("tasks/{id}?withReceipts=true")),
    );
    let mut before = vec![registry.get("/catalog/v1/sources").await.body];
    for path in &paths {
        before.push(registry.read(path).await);
    }
    let registry = registry.restarted().await;
    let mut after = vec![registry.get("/catalog/v1/sources").await.body];
    for path in &paths {
        after.push(registry.read(path).await);
    }
    assert_eq!(after, before);
    // It goes on where it was.
    let task = registry
        .carried_out(request(&[create("ada", "Ada"), create("eve", "Eve")]))
        .await;
    assert_eq!(column(&task["receipts"], "status"), ["FAILURE", "SUCCESS"]);
    assert_eq!(registry.read("tasks").await["data"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn tasks_of_a_folder_wait_while_its_server_only_answers() {
    let registry = Registry::start_with(&[("GRANARY_ROLE", "api")]).await;
    let mut ids = Vec::new();
    for id in ["ada", "bob"] {
        let sent = registry.send(request(&[create(id, "Ada")])).await;
        ids.push(sent.accepted());
    }
    let eve = registry.request(Method::PUT, "/sources/clinics/v1/resources/provider/eve");
    let eve = answer(eve.json(&json!({"data": {"name": "Eve"}}))).await;
    assert_eq!(eve.status, 201, "a single write is carried out at once: {eve:?}");
    let cancel = format!("/sources/clinics/v1/tasks/{}/cancel", ids[0]);
    let cancelled = answer(registry.request(Method::POST, &cancel)).await;
    assert_eq!(cancelled.body["status"], "CANCELLED", "{cancelled:?}");
    let waits = registry.read(&format!("tasks/{}", ids[1])).await;
    assert_eq!(
        (&waits["status"], &waits["counts"]["pending"]),
        (&json!("PENDING"), &json!(1))
    );
    let registry = registry.restarted_with(&[("GRANARY_ROLE", "all")]).await;
    let task = registry.ended("resources", &ids[1]).await;
    assert_eq!(column(&task["receipts"], "status"), ["SUCCESS"]);
    assert_eq!(
        column(&registry.read("resources/provider").await["data"], "id"),
        ["bob", "eve"]
    );
}

#[tokio::test]
async fn what_was_accepted_before_a_stop_is_carried_out_after_it() {
    let registry = Registry::start().await;
    let mut ids = Vec::new();
    for round in 0..5 {
        let operations: Vec<_> = (0..10_000)
            .map(|n| create(&format!("p{round}-{n}"), "Ada"))
            .collect();
        ids.push(registry.send(request(&operations)).await.accepted());
    }
    let registry = registry.restarted().await;
    for id in &ids {
        let task = registry.ended("resources", id).await;
        let counts = json!({"total": 10_000, "success": 10_000, "failure": 0, "pending": 0, "cancelled": 0});
        assert_eq!((&task["status"], &task["counts"]), (&json!("SUCCESS"), &counts));
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_well() {
    let mut registry = Registry::start().await;
    let status = registry.server.stop().await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(registry.client.get(&registry.server.url).send().await.is_err());
}

/// Runs `granary serve` to its end.
fn serve(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(granary_tests::binary().unwrap());
    command.arg("serve").args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_second_server_on_a_folder_in_use_says_so_and_ends_with_1() {
    let registry = Registry::start().await;
    let folder = registry.data().to_str().unwrap().to_owned();
    let arguments = ["--listen", "127.0.0.1:0", "--data", &folder];
    let (code, stdout, stderr) = serve(&arguments);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(&folder) && stderr.contains("in use"), "{stderr}");
    // The first is not disturbed.
    registry.carried_out(examples::CREATE).await;
}

#[tokio::test]
async fn a_port_in_use_and_an_address_for_everybody_are_refused() {
    let registry = Registry::start().await;
    let taken = registry.server.url.strip_prefix("http://").unwrap();
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().join("data");
    let (code, _, stderr) = serve(&["--listen", taken, "--data", folder.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(taken), "{stderr}");
    assert!(!folder.exists());
    let (code, _, stderr) = serve(&["--listen", "0.0.0.0:0", "--data", folder.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no API key"), "{stderr}");
}

#[tokio::test]
async fn the_limits_in_force_are_shown() {
    let registry = Registry::start_with(&[
        ("GRANARY_LIMIT_JSON_DEPTH", "9"),
        ("GRANARY_LIMIT_LIST_LIMIT", "20"),
    ])
    .await;
    let limits = registry.get("/limits").await.body;
    assert_eq!(
        (&limits["jsonDepth"], &limits["listLimit"]),
        (&json!(9), &json!(20))
    );
    assert_eq!(
        registry.get("/catalog/v1/sources?limit=21").await.error(),
        (400, "INVALID_ARGUMENT")
    );
}

#[tokio::test]
async fn a_server_that_opens_its_store_is_alive_and_not_ready() {
    // A database that takes connections and says nothing: the store is opened for as long as this likes.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = format!("postgres://granary@{}/granary", silent.local_addr().unwrap());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = free.local_addr().unwrap().to_string();
    drop(free);
    let _server = tokio::process::Command::new(granary_tests::binary().unwrap())
        .args(["serve", "--store", &store, "--listen", &listen])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // From now on it is known to wait for its store.
    let patience = Duration::from_secs(60);
    let (_connection, _) = tokio::time::timeout(patience, silent.accept())
        .await
        .unwrap()
        .unwrap();
    let http = granary_tests::http().build().unwrap();
    for (path, status, told) in [
        ("/healthz", 200, json!({"status": "OK"})),
        ("/readyz", 503, json!({"status": "STARTING"})),
        (
            "/catalog/v1/sources",
            503,
            json!({"code": 503, "type": "UNAVAILABLE"}),
        ),
    ] {
        let asked = http.get(format!("http://{listen}{path}"));
        let answer = asked.header("x-request-id", "mine").send();
        let answer = tokio::time::timeout(patience, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["x-request-id"], "mine", "{path}");
        // The server itself is reached by a new one.
        assert_eq!(answer.headers()["connection"], "close", "{path}");
        assert_eq!(
            answer.headers().contains_key("retry-after"),
            status == 503,
            "{path}"
        );
        let answer: serde_json::Value = answer.json().await.unwrap();
        for (name, value) in told.as_object().unwrap() {
            assert_eq!(&answer[name], value, "{path}: {answer}");
        }
    }
}

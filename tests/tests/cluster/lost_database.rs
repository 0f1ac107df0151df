//! Nodes whose database is gone for a while.

use std::time::Duration;

use futures::stream;
use granary_client::api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, DefinitionKind};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use granary_tests::cluster::{Node, Nodes, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PATIENCE, PLACE, operations, soon_async};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_database_is_said_and_all_goes_on_when_it_is_back() {
    let _alone = super::alone().await;
    let nodes = Nodes::with(&[Role::Api, Role::All, Role::Worker], &[])
        .await
        .unwrap();
    let [api, all, worker] = nodes.all() else {
        panic!("three nodes")
    };
    let client = api.client().unwrap();
    client.put_source("lost").await.unwrap();
    let source = client.source("lost");
    source
        .put_definition(DefinitionKind::Profile, "place", PLACE)
        .await
        .unwrap();
    let body = BulkBody::json(stream::iter([Ok(operations("place", 5_000).into())]));
    let sent = source
        .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
        .await
        .unwrap();
    let BulkReply::Accepted(accepted) = sent else {
        panic!("{sent:?}")
    };
    let id = accepted.task_id.to_string();

    tokio::task::block_in_place(|| nodes.database().kill()).unwrap();
    for node in [api, all, worker] {
        is_unready(&nodes, node).await;
        assert_eq!(status(node, "healthz").await, 200);
    }
    for node in [api, all] {
        for (method, path, body) in [
            (Method::GET, "resources/place/place-1", None),
            (Method::GET, "tasks", None),
            (
                Method::PUT,
                "resources/place/single",
                Some(json!({"data": {"n": 1}})),
            ),
            (Method::DELETE, "resources/place/place-1", None),
            (Method::POST, "resources/bulk", Some(json!({"operations": []}))),
            (
                Method::POST,
                "bundle",
                Some(json!({"resourceOperations": [
                {"action": "CREATE", "create": {"type": "place", "id": "x", "data": {"n": 1}}}]})),
            ),
        ] {
            is_sent_away(&node.client().unwrap(), method, path, body).await;
        }
    }
    tokio::task::block_in_place(|| nodes.database().restart()).unwrap();
    nodes
        .within("they do not become ready", PATIENCE, nodes.ready())
        .await
        .unwrap();
    let ended = async {
        while source.task(&id).await?.status == TaskStatus::Pending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(source.task(&id).await?)
    };
    let task = nodes
        .within("the task does not go on", PATIENCE, ended)
        .await
        .unwrap();
    assert_eq!(task.counts.success, 5_000);

    // One that hears nothing of it any more says so as well, and the others do not.
    api.proxy().unwrap().freeze();
    is_unready(&nodes, api).await;
    assert_eq!(status(all, "readyz").await, 200);
    api.proxy().unwrap().thaw();
    nodes
        .within("it does not become ready", PATIENCE, nodes.ready())
        .await
        .unwrap();
    source.delete_resource("place", "place-1").await.unwrap();
}

async fn status(node: &Node, path: &str) -> u16 {
    let client = node.client().unwrap();
    let http = granary_tests::http().no_proxy().build().unwrap();
    http.get(format!("{}{path}", client.server()))
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn is_unready(nodes: &Nodes, node: &Node) {
    soon_async(nodes, "it still says that it is ready", async || {
        status(node, "readyz").await == 503
    })
    .await;
}

/// A call is refused with 503 and the seconds after which to come back.
async fn is_sent_away(client: &Client, method: Method, path: &str, body: Option<Value>) {
    let http = granary_tests::http().no_proxy().build().unwrap();
    let mut call = http.request(
        method.clone(),
        format!("{}sources/lost/v1/{path}", client.server()),
    );
    if let Some(body) = &body {
        call = call.json(body);
    }
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status(), 503, "{method} {path}");
    assert_eq!(answer.headers()["retry-after"], "1", "{method} {path}");
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["type"], "UNAVAILABLE", "{method} {path}: {error}");
}

//! Nodes that are restarted one after the other, behind a balancer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use granary_client::api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, DefinitionKind};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use granary_tests::cluster::{Nodes, Role};
use serde_json::json;
use tokio::task::JoinSet;

use super::balancer::Balancer;
use super::{PATIENCE, PLACE, operations};

/// Longer than the balancer needs to notice, and than any request takes here.
const DRAIN: &str = "2";
/// A lane that were not given back would keep its tasks for longer than this test waits.
const LEASE: &str = "600";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_fails_no_request() {
    let _alone = super::alone().await;
    let settings = [("GRANARY_DRAIN", DRAIN), ("GRANARY_LEASE", LEASE)];
    let nodes = Nodes::with(&[Role::All; 3], &settings).await.unwrap();
    let nodes = Arc::new(nodes);
    let balancer = Balancer::start(Arc::clone(&nodes)).await;
    balancer.knows(3).await;
    let client = Client::new(&balancer.url).unwrap();
    client.put_source("rolling").await.unwrap();
    let source = client.source("rolling");
    source
        .put_definition(DefinitionKind::Profile, "place", PLACE)
        .await
        .unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for number in 0..4 {
        // Half of them keep their connections, the others make one for each call.
        let mut builder = granary_tests::http().no_proxy();
        if number % 2 == 0 {
            builder = builder.pool_max_idle_per_host(0);
        }
        let http = builder.build().unwrap();
        let url = format!(
            "{}/sources/rolling/v1/resources/place/caller-{number}",
            balancer.url
        );
        let (over, calls) = (Arc::clone(&over), Arc::clone(&calls));
        callers.spawn(async move {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                n += 1;
                let put = http
                    .put(&url)
                    .json(&json!({"data": {"n": n}}))
                    .send()
                    .await
                    .unwrap();
                assert!(put.status().is_success(), "{put:?}");
                let got = http.get(&url).send().await.unwrap();
                assert_eq!(got.status(), 200);
                let got: serde_json::Value = got.json().await.unwrap();
                assert_eq!(
                    (&got["data"]["n"], &got["meta"]["version"]),
                    (&n.into(), &n.into())
                );
                calls.fetch_add(2, Ordering::Relaxed);
            }
        });
    }
    let mut uploaders = JoinSet::new();
    for number in 0..2 {
        let (over, client) = (Arc::clone(&over), client.clone());
        uploaders.spawn(async move {
            let mut tasks = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let body = operations(&format!("bulk-{number}"), 300);
                // It takes its time, a part of that of the drain.
                let pieces: Vec<_> = body
                    .as_bytes()
                    .chunks(body.len() / 8)
                    .map(Bytes::copy_from_slice)
                    .collect();
                let pieces = stream::iter(pieces).then(|piece| async {
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    Ok(piece)
                });
                let sent = client
                    .source("rolling")
                    .send_bulk(
                        TargetType::Resource,
                        &BulkQuery::default(),
                        BulkBody::json(pieces),
                    )
                    .await
                    .unwrap();
                let BulkReply::Accepted(accepted) = sent else {
                    panic!("{sent:?}")
                };
                tasks.push(accepted.task_id.to_string());
            }
            tasks
        });
    }

    for node in nodes.all() {
        let before = calls.load(Ordering::Relaxed);
        node.stop().await.unwrap();
        assert!(
            calls.load(Ordering::Relaxed) > before,
            "nothing was called meanwhile"
        );
        node.start().await.unwrap();
        nodes
            .within("the balancer finds it", PATIENCE, async {
                balancer.knows(3).await;
                Ok(())
            })
            .await
            .unwrap();
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let mut count = 0;
    while let Some(tasks) = uploaders.join_next().await {
        for id in tasks.unwrap() {
            let ended = async {
                while source.task(&id).await?.status == TaskStatus::Pending {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(source.task(&id).await?)
            };
            let task = nodes
                .within("a task waits for a lease", PATIENCE, ended)
                .await
                .unwrap();
            assert_eq!((task.status, task.counts.success), (TaskStatus::Success, 300));
            count += 1;
        }
    }
    eprintln!(
        "{} calls and {count} uploads while three nodes were restarted",
        calls.load(Ordering::Relaxed)
    );
    assert!(count >= 6, "only {count} uploads");
}

//! Uploads that do not come to their end.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures::{StreamExt, stream};
use granary_client::api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, DefinitionKind};
use granary_core::operation::TargetType;
use granary_core::task::TaskStatus;
use granary_tests::cluster::{Node, Nodes, Role};

use super::{PATIENCE, PLACE, operations, soon};

/// Enough for several segments.
const OPERATIONS: u32 = 12_000;
const LEFT: &str = "SELECT (SELECT count(*) FROM granary.upload) + (SELECT count(*) FROM granary.segment)";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_that_was_cut_off_leaves_nothing_and_can_be_sent_again() {
    let _alone = super::alone().await;
    let nodes = Nodes::with(&[Role::All, Role::Api], &[]).await.unwrap();
    let [all, api] = nodes.all() else {
        panic!("two nodes")
    };
    let client = all.client().unwrap();
    client.put_source("uploads").await.unwrap();
    let source = client.source("uploads");
    source
        .put_definition(DefinitionKind::Profile, "place", PLACE)
        .await
        .unwrap();
    let gone = || soon(&nodes, "what was spooled stays", || Ok(nodes.sql(LEFT)? == "0"));

    // The client goes away.
    let sending = begun(&nodes, all).await;
    sending.abort();
    gone().await;

    // The node that takes it in dies. The other sweeps what it has left once that has expired.
    let sending = begun(&nodes, api).await;
    api.kill().await.unwrap();
    assert!(
        sending.await.unwrap().is_err(),
        "an upload to a dead node has an answer"
    );
    assert_ne!(nodes.sql(LEFT).unwrap(), "0");
    nodes
        .sql("UPDATE granary.upload SET expires_at = now() - interval '1 s'")
        .unwrap();
    all.stop().await.unwrap();
    all.start().await.unwrap();
    gone().await;

    // The node cannot remove it either: it is cut off from the database when the client goes away.
    api.start().await.unwrap();
    let sending = begun(&nodes, api).await;
    api.proxy().unwrap().cut();
    sending.abort();
    api.proxy().unwrap().heal().unwrap();
    nodes
        .sql("UPDATE granary.upload SET expires_at = now() - interval '1 s'")
        .unwrap();
    api.stop().await.unwrap();
    all.stop().await.unwrap();
    all.start().await.unwrap();
    gone().await;

    let body = operations("place", OPERATIONS);
    let source = all.client().unwrap().source("uploads");
    let body = BulkBody::json(stream::iter([Ok(body.into())]));
    let sent = source
        .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
        .await
        .unwrap();
    let BulkReply::Accepted(accepted) = sent else {
        panic!("{sent:?}")
    };
    let id = accepted.task_id.to_string();
    let ended = async {
        while source.task(&id).await?.status == TaskStatus::Pending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(source.task(&id).await?)
    };
    let task = nodes.within("it does not end", PATIENCE, ended).await.unwrap();
    assert_eq!(task.counts.success, u64::from(OPERATIONS));
    assert_eq!(nodes.sql("SELECT count(*) FROM granary.upload").unwrap(), "0");
    assert_eq!(
        nodes
            .sql("SELECT count(*) FROM granary.segment WHERE bodies IS NOT NULL")
            .unwrap(),
        "0"
    );
}

/// Sends most of a request, and no more; returns when some of it is spooled.
async fn begun(nodes: &Nodes, to: &Node) -> tokio::task::JoinHandle<Result<()>> {
    let body = operations("place", OPERATIONS);
    let most = Bytes::copy_from_slice(&body.as_bytes()[..body.len() - 1_000]);
    let client: Client = to.client().unwrap();
    let sending = tokio::spawn(async move {
        let pieces = stream::iter([Ok(most)]).chain(stream::pending());
        let body = BulkBody::json(pieces);
        client
            .source("uploads")
            .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
            .await?;
        Ok(())
    });
    let spooled =
        "SELECT count(*) > 1 FROM granary.segment JOIN granary.upload USING (bucket, source, ksuid)";
    soon(nodes, "nothing is spooled", || Ok(nodes.sql(spooled)? == "t")).await;
    sending
}

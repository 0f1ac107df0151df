//! Several servers on one PostgreSQL.

mod balancer;
mod lost_database;
mod operations;
mod rolling_restart;
mod uploads;

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use granary_tests::cluster::{ClusterRun, Fault, Nodes, fail_over};

/// How long anything may take that is waited for. Generous: it only bounds a hang.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A profile.
const PLACE: &str =
    r#"{"properties":{"n":{"type":"integer","rules":[{"required":true}]},"text":{"type":"symbol"}}}"#;

/// Each of these tests needs the machine for itself: held by one at a time.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// A bulk request of so many upserts.
fn operations(id: &str, count: u32) -> String {
    let text = "x".repeat(300);
    let mut json = r#"{"operations":["#.to_owned();
    for n in 0..count {
        let comma = if n > 0 { "," } else { "" };
        let data = format!(r#"{{"n":{n},"text":"{text}"}}"#);
        write!(
            json,
            r#"{comma}{{"action":"UPSERT","upsert":{{"type":"place","id":"{id}-{n}","data":{data}}}}}"#
        )
        .unwrap();
    }
    json + "]}"
}

/// Waits until this is so.
async fn soon(nodes: &Nodes, what: &str, is_so: impl Fn() -> Result<bool>) {
    let waiting = async {
        while !is_so()? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    nodes.within(what, PATIENCE, waiting).await.unwrap();
}

/// The same for what is asked of a node.
async fn soon_async(nodes: &Nodes, what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    nodes.within(what, PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_fails_all_that_was_accepted_is_applied_once_and_in_order() {
    let _alone = alone().await;
    let run = ClusterRun {
        faults: 64,
        at_least: Duration::ZERO,
        seed: 20_261,
        told: |how_far| eprintln!("{how_far}"),
    };
    let summary = run
        .run()
        .await
        .unwrap_or_else(|error| panic!("seed {}: {error:?}", run.seed));
    eprintln!("{summary:#?}");
    for fault in [
        Fault::AcceptanceUnanswered,
        Fault::AcceptanceLost,
        Fault::WriteUnanswered,
        Fault::WriteLost,
        Fault::ChunkUnanswered,
        Fault::ChunkLost,
    ] {
        assert!(summary.faults.contains_key(&fault), "no {fault:?}: {summary:?}");
    }
    assert!(
        summary.accepted > 50 && summary.writes > 200,
        "too little load: {summary:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_takes_over_and_nothing_that_was_answered_is_lost() {
    let _alone = alone().await;
    let summary = fail_over(20_262)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    eprintln!("{summary:#?}");
}

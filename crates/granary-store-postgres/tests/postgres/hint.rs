//! Hints of work that another node has accepted.

use std::time::Duration;

use granary_store::Store as _;
use granary_store::suite::world::{World, create};
use granary_store_postgres::PostgresStore;
use granary_test_postgres::Cluster;

use crate::world::{limits, new_database, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_accepts_the_other_learns_at_once() {
    let cluster = Cluster::shared();
    let url = cluster.url(&new_database(cluster));
    let world = World::new(PostgresStore::open(options(url.clone(), limits())).await.unwrap()).await;
    let other = PostgresStore::open(options(url, limits())).await.unwrap();
    let mut hinted = tokio::spawn(async move {
        other.work_elsewhere().await;
        other
    });
    // Until it listens, nothing comes; from then on one acceptance is enough.
    let mut at = 0;
    let since = std::time::Instant::now();
    let other = loop {
        assert!(since.elapsed().as_secs() < 60, "no hint came");
        world.accept(&[create("person", &format!("id-{at}"), 1)]).await;
        at += 1;
        if let Ok(other) = tokio::time::timeout(Duration::from_millis(200), &mut hinted).await {
            break other.unwrap();
        }
    };
    let lane = other.claim_lane().await.unwrap();
    assert_eq!(lane.map(|lane| lane.source), Some(world.source.clone()));
}

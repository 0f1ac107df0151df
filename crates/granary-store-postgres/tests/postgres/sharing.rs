//! The row of a source: shared by its writers, and taken alone by who changes what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use granary_store::suite::world::{PROFILE, World, create};
use granary_store::{Result, Store, StoreError, Written};
use granary_store_postgres::{PostgresOptions, PostgresStore};
use granary_test_postgres::Cluster;
use tokio::task::JoinSet;

use crate::world::{limits, new_database, options, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_never_stop_do_not_keep_a_definition_out() {
    let cluster = Cluster::shared();
    let url = cluster.url(&new_database(cluster));
    let mut world = World::new(PostgresStore::open(options(url.clone(), limits())).await.unwrap()).await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        let store = PostgresStore::open(options(url.clone(), limits())).await.unwrap();
        let (stop, written, like) = (Arc::clone(&stop), Arc::clone(&written), world.without_store());
        writers.spawn(async move {
            let mut world = World::at(&like, store);
            for at in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let wrote: Result<Written> = world
                    .try_write(&[create("person", &format!("id-{writer}-{at}"), 1)])
                    .await;
                match wrote {
                    Ok(_) => _ = written.fetch_add(1, Ordering::Relaxed),
                    Err(StoreError::DefinitionsChanged) => world.refresh().await,
                    Err(failure) => panic!("{failure}"),
                }
            }
        });
    }
    for round in 0..5 {
        let before = written.load(Ordering::Relaxed);
        until("the writers have written more", async || {
            written.load(Ordering::Relaxed) >= before + 20
        })
        .await;
        let name = format!("thing-{round}");
        world
            .define(granary_core::schema::DefinitionKind::Profile, &name, PROFILE)
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_that_are_open_leave_writes_their_connections() {
    let cluster = Cluster::shared();
    let options = PostgresOptions {
        connections: 2,
        ..options(cluster.url(&new_database(cluster)), limits())
    };
    let world = World::new(PostgresStore::open(options).await.unwrap()).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let snapshot = world.store.snapshot(&world.source, Duration::from_secs(3_600));
        open.push(snapshot.await.unwrap());
    }
    world.try_write(&[create("person", "ada", 1)]).await.unwrap();
    world.store.check_writable().await.unwrap();
}

//! A server that is killed, and goes on.

use std::time::Duration;

use granary_tests::Server;
use granary_tests::crash::{CrashRun, CrashStore, Summary};

/// What a run saw, which was enough.
async fn seen(run: &CrashRun, is_enough: impl Fn(&Summary) -> bool) -> Summary {
    let summary = run.run(&is_enough).await;
    let summary = summary.unwrap_or_else(|error| panic!("seed {}: {error:?}", run.seed));
    assert!(is_enough(&summary), "it has not seen enough: {summary:?}");
    summary
}

#[tokio::test]
async fn killed_at_random_moments_it_ends_as_if_it_never_had_been() {
    let run = CrashRun {
        deaths: 30,
        at_least: Duration::ZERO,
        seed: 20_261,
        operations: 20_000,
        store: CrashStore::of_tests().unwrap(),
        before_calls: false,
    };
    // Readers saw tasks half done, and the server died in the middle of some.
    let is_enough =
        |summary: &Summary| summary.shown_in_the_middle >= 2 && summary.deaths_with_work_left >= 5;
    eprintln!("{:#?}", seen(&run, is_enough).await);
}

/// Of a server on a folder: what one on PostgreSQL asks of the system is said to the database.
#[tokio::test]
async fn killed_before_calls_of_the_system_it_ends_as_if_it_never_had_been_in_a_folder() {
    let run = CrashRun {
        deaths: 170,
        at_least: Duration::ZERO,
        seed: 20_262,
        // So many that runs go in.
        operations: 9_000,
        store: CrashStore::Folder,
        before_calls: true,
    };
    let calls = [
        "fsync of journal",
        "fsync of segment",
        "write to journal",
        "fsync of redo file",
        "unlink of redo file",
    ];
    let is_enough = |summary: &Summary| {
        let before = &summary.deaths_before;
        before.values().sum::<u32>() >= 75 && calls.iter().all(|call| before.contains_key(*call))
    };
    eprintln!("{:#?}", seen(&run, is_enough).await);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_told_so() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Server::start(data.path()).await.unwrap();
    assert!(Server::start(data.path()).await.is_err());
    assert!(first.stop().await.unwrap().success());
    Server::start(data.path()).await.unwrap();
}

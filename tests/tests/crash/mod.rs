//! A server that is killed, and goes on.

use std::time::Duration;

use granary_tests::Server;
use granary_tests::crash::{CrashRun, CrashStore};

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
    let summary = run
        .run()
        .await
        .unwrap_or_else(|error| panic!("seed {}: {error:?}", run.seed));
    eprintln!("{summary:#?}");
    assert!(summary.deaths >= 30);
    assert!(
        summary.shown_in_the_middle > 0,
        "no reader saw a task half done: {summary:?}"
    );
    assert!(
        summary.deaths_with_work_left >= 5,
        "too few deaths in the middle of a task: {summary:?}"
    );
}

/// Of a server on a folder: what one on PostgreSQL asks of the system is said to the database.
#[tokio::test]
async fn killed_before_calls_of_the_system_it_ends_as_if_it_never_had_been_in_a_folder() {
    let run = CrashRun {
        deaths: 150,
        at_least: Duration::ZERO,
        seed: 20_262,
        // So many that runs go in.
        operations: 9_000,
        store: CrashStore::Folder,
        before_calls: true,
    };
    let summary = run
        .run()
        .await
        .unwrap_or_else(|error| panic!("seed {}: {error:?}", run.seed));
    eprintln!("{summary:#?}");
    let at_calls: u32 = summary.deaths_before.values().sum();
    assert!(at_calls >= 75, "too few deaths before a call: {summary:?}");
    for call in [
        "fsync of journal",
        "fsync of segment",
        "write to journal",
        "fsync of redo file",
        "unlink of redo file",
    ] {
        assert!(
            summary.deaths_before.contains_key(call),
            "none before {call}: {summary:?}"
        );
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_told_so() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Server::start(data.path()).await.unwrap();
    assert!(Server::start(data.path()).await.is_err());
    assert!(first.stop().await.unwrap().success());
    Server::start(data.path()).await.unwrap();
}

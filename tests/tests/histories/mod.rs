//! Clients that write the same records at once, beside bulk requests, while servers are killed.

use granary_tests::Place;
use granary_tests::histories::HistoriesRun;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_each_record_is_linearizable() {
    let data = tempfile::tempdir().unwrap();
    let run = HistoriesRun {
        clients: 8,
        calls: 300,
        records: 4,
        operations: 6_000,
        deaths: 4,
        seed: 20_261,
    };
    let summary = run
        .run(Place::of(data.path()).unwrap())
        .await
        .unwrap_or_else(|error| panic!("seed {}: {error:?}", run.seed));
    eprintln!("{summary:#?}");
    assert_eq!(summary.histories, 4);
    assert!(summary.calls >= 8 * 300 / 2, "{summary:?}");
    assert!(
        summary.bulk_requests >= 2 && summary.operations >= 10,
        "{summary:?}"
    );
}

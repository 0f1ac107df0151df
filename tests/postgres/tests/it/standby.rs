use granary_test_postgres::{Cluster, Durability};

#[test]
fn a_replica_follows_and_takes_over_with_all_that_was_committed() {
    let first = Cluster::start(Durability::Off).unwrap();
    first.sql("postgres", "CREATE TABLE t (n int)");
    let second = first.standby().unwrap();
    assert_eq!(second.sql("postgres", "SELECT pg_is_in_recovery()"), "t");
    first.commits_wait_for_standby().unwrap();
    first.sql("postgres", "INSERT INTO t VALUES (7)");
    first.kill().unwrap();
    second.promote().unwrap();
    assert_eq!(second.sql("postgres", "SELECT n FROM t"), "7");
    second.sql("postgres", "INSERT INTO t VALUES (8)");
    assert_eq!(second.sql("postgres", "SELECT sum(n) FROM t"), "15");
}

#[test]
fn a_commit_waits_for_the_replica() {
    let first = Cluster::start(Durability::Off).unwrap();
    first.sql("postgres", "CREATE TABLE t (n int)");
    let second = first.standby().unwrap();
    first.commits_wait_for_standby().unwrap();
    second.stop().unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| first.sql("postgres", "INSERT INTO t VALUES (7)"));
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while first.sql("postgres", waiting) != "1" {
            assert!(!waits.is_finished(), "it did not wait");
        }
        second.restart().unwrap();
        waits.join().unwrap();
    });
    assert_eq!(first.sql("postgres", "SELECT n FROM t"), "7");
}

use granary_test_postgres::{Cluster, Durability};

#[test]
fn a_cluster_takes_statements_and_shows_rows() {
    let cluster = Cluster::shared();
    let rows = cluster.sql("postgres", "SELECT 1, 'two'; SELECT 3");
    assert_eq!(rows, "1|two\n3");
    let settings = [
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("lc_ctype", "C"),
        ("max_connections", "300"),
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
    ];
    for (name, value) in settings {
        assert_eq!(cluster.sql("postgres", &format!("SHOW {name}")), value, "{name}");
    }
    let wrong = cluster.try_sql("postgres", "SELECT nothing").unwrap_err();
    assert!(
        wrong.to_string().contains(r#"column "nothing" does not exist"#),
        "{wrong}"
    );
}

#[test]
fn databases_are_created_copied_and_dropped() {
    let cluster = Cluster::shared();
    cluster.create_database("first", None);
    cluster.sql("first", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    cluster.create_database("second", Some("first"));
    cluster.sql("first", "DELETE FROM t");
    assert_eq!(cluster.sql("second", "SELECT n FROM t"), "7");
    cluster.drop_database("second");
    let gone = cluster.try_sql("second", "SELECT 1").unwrap_err();
    assert!(gone.to_string().contains("does not exist"), "{gone}");
    cluster.drop_database("first");
}

#[test]
fn what_was_committed_is_there_after_all_processes_were_killed() {
    let cluster = Cluster::start(Durability::On).unwrap();
    for name in ["fsync", "full_page_writes"] {
        assert_eq!(cluster.sql("postgres", &format!("SHOW {name}")), "on");
    }
    cluster.sql("postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    let url = cluster.url("postgres");
    cluster.kill().unwrap();
    cluster.try_sql("postgres", "SELECT 1").unwrap_err();
    assert!(cluster.kill().is_err());
    cluster.restart().unwrap();
    assert_eq!(cluster.url("postgres"), url);
    assert_eq!(cluster.sql("postgres", "SELECT n FROM t"), "7");
    assert!(cluster.log().contains("was not properly shut down"));
}

#[test]
fn a_cluster_is_stopped_and_started_again_whether_it_runs_or_not() {
    let cluster = Cluster::start_with(Durability::Off, &["work_mem=5MB"]).unwrap();
    assert_eq!(cluster.sql("postgres", "SHOW work_mem"), "5MB");
    cluster.stop().unwrap();
    cluster.stop().unwrap();
    cluster.try_sql("postgres", "SELECT 1").unwrap_err();
    cluster.restart().unwrap();
    cluster.restart().unwrap();
    assert_eq!(cluster.sql("postgres", "SELECT 1"), "1");
}

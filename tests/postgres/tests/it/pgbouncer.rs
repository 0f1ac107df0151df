use std::process::{Command, Stdio};

use granary_test_postgres::{Cluster, PgBouncer};

#[test]
fn connections_through_pgbouncer_share_those_of_the_server() {
    let cluster = Cluster::shared();
    let bouncer = PgBouncer::start(cluster).unwrap();
    let url = bouncer.url("postgres");
    let backend = || {
        let output = Command::new("psql")
            .args(["-XqAt", &url, "-c", "SELECT pg_backend_pid()"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}\n{}", bouncer.log());
        String::from_utf8(output.stdout).unwrap()
    };
    // Clients that come and go, and one process of the server.
    assert_eq!(backend(), backend());
}

//! What becomes of a cluster when the process that uses it ends: the test binary runs itself again as that process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use granary_test_postgres::{Cluster, PgBouncer};

const HOW: &str = "GRANARY_TEST_PROCESS_ENDS";

#[test]
#[ignore = "the process that the other tests start"]
fn a_process_that_uses_the_shared_cluster() {
    let how = std::env::var(HOW).unwrap();
    let cluster = Cluster::shared();
    let _bouncer = PgBouncer::start(cluster).unwrap();
    let folder = cluster.sql("postgres", "SHOW data_directory");
    println!("\nfolder {folder} {}", cluster.addr().port());
    match how.as_str() {
        "well" => {}
        "panics" => panic!("as it should"),
        _ => std::thread::sleep(Duration::from_secs(600)),
    }
}

fn start(how: &str) -> (Child, PathBuf, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "watchdog::a_process_that_uses_the_shared_cluster",
            "--ignored",
            "--nocapture",
        ])
        .env(HOW, how)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines
        .find_map(|line| Some(line.unwrap().strip_prefix("folder ")?.to_owned()))
        .unwrap();
    // Held open, lest the process dies of what it writes.
    std::thread::spawn(move || lines.for_each(drop));
    let (folder, port) = said.split_once(' ').unwrap();
    (child, PathBuf::from(folder), port.to_owned())
}

fn all_goes(folder: &Path, port: &str) {
    let started = Instant::now();
    let of_server = |cwd: PathBuf| cwd.to_string_lossy().starts_with(&*folder.to_string_lossy());
    let processes = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(of_server))
            .count()
    };
    while folder.parent().unwrap().exists() || processes() > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{} stays",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
}

#[test]
fn nothing_is_left_of_it_when_the_process_ends() {
    let (mut process, folder, port) = start("well");
    assert!(process.wait().unwrap().success());
    all_goes(&folder, &port);
    let (mut process, folder, port) = start("panics");
    assert!(!process.wait().unwrap().success());
    all_goes(&folder, &port);
}

#[test]
fn nothing_is_left_of_it_when_the_process_is_killed() {
    let (mut process, folder, port) = start("waits");
    assert!(folder.exists());
    process.kill().unwrap();
    process.wait().unwrap();
    all_goes(&folder, &port);
}

#[test]
fn nothing_is_left_of_a_cluster_that_was_killed_and_dropped() {
    let cluster = Cluster::start(granary_test_postgres::Durability::Off).unwrap();
    let folder = PathBuf::from(cluster.sql("postgres", "SHOW data_directory"));
    cluster.kill().unwrap();
    drop(cluster);
    assert!(!folder.parent().unwrap().exists());
}

//! `bench`: it measures, says so, and leaves nothing.

use super::{granary, run};

#[test]
fn it_tells_throughput_latency_and_memory_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = granary(&["bench", "--operations", "2000", "--single", "20", "--json"]);
    command.env("TMPDIR", folder.path());
    let measured = run(command, "").ends(0).json().remove(0);
    assert_eq!(measured["operations"], 2_000);
    assert_eq!(measured["read"]["calls"], 20);
    for name in ["operationsPerSecond", "acceptedMs", "appliedMs"] {
        assert!(measured[name].as_f64() > Some(0.0), "{name}: {measured}");
    }
    for name in ["write", "read"] {
        let at = |place: &str| measured[name][place].as_f64().unwrap();
        assert!(
            at("p50Ms") <= at("p99Ms") && at("p99Ms") <= at("maxMs"),
            "{measured}"
        );
    }
    if cfg!(target_os = "linux") {
        assert!(
            measured["peakMemoryBytes"].as_u64() > Some(1_000_000),
            "{measured}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("x"), "").unwrap();
    let taken = run(granary(&["bench", "--data", folder.path().to_str().unwrap()]), "").ends(1);
    assert!(taken.stderr.contains("not empty"), "{}", taken.stderr);
}

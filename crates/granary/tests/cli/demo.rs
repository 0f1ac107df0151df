//! `demo`: it checks itself; here is checked that it does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{granary, run};

#[test]
fn the_demo_shows_the_main_job_and_everything_is_as_it_should_be() {
    let demo = run(granary(&["demo", "--exit"]), "").ends(0);
    for part in [
        "28,298",
        "REJECTED",
        "operation 3",
        "409 ALREADY_EXISTS",
        "404 NOT_FOUND",
        "/create/data/location/latitude",
        "/upsert/contained/runways/0/contained/ends/1/data/headingDegrees",
        "/upsert/meta/identifier/1/use",
        "https%3A%2F%2Fiata.org%2Fcodes:YYZ:official",
        "Toronto Pearson International Airport",
        "06L/24R",
        "CYYZ.CA-ON",
    ] {
        assert!(demo.stdout.contains(part), "{part} is missing in {}", demo.stdout);
    }
    assert!(demo.stderr.contains("All as it should be"), "{}", demo.stderr);
}

#[test]
fn the_demo_leaves_what_it_found_as_json_and_its_data_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let found: Value = run(granary(&["demo", "--exit", "--json", "--data", data]), "")
        .ends(0)
        .json()
        .remove(0);
    let checks = found["checks"].as_array().unwrap();
    assert!(
        checks.len() > 20 && checks.iter().all(|check| check["holds"] == true),
        "{found:#}"
    );
    assert_eq!(found["tasks"].as_array().unwrap().len(), 8);
    assert!(std::fs::read_dir(data).unwrap().next().is_some());

    let again = run(granary(&["demo", "--exit", "--data", data]), "").ends(1);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
}

#[test]
fn the_demo_stays_up_until_it_is_told_to_stop_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = granary(&["demo"]);
    let mut demo = demo
        .env("TMPDIR", folder.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(demo.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let stays = said.find(|line| line.contains("stays up at")).unwrap();
    let url = stays
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    for id in ["CYYZ", "https%3A%2F%2Ficao.int%2Fdoc7910:CYYZ:official"] {
        let get = granary(&["get", "airport", id, "--source", "airports", "--server", url]);
        let got = run(get, "").ends(0).stdout;
        assert!(got.contains(r#""id": "CYYZ""#), "{got}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_some());

    assert!(
        Command::new("kill")
            .args(["-INT", &demo.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(demo.wait().unwrap().code(), Some(0));
    assert!(
        std::fs::read_dir(folder.path()).unwrap().next().is_none(),
        "its folder is removed"
    );
}

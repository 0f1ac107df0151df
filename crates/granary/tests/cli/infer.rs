//! `profile infer`: what it proposes can be stored, and the data passes.

use std::path::Path;

use super::Server;

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/airports")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// Stores what is proposed for the records of a type.
fn propose(server: &Server, file: &str, key: &str) -> serde_json::Value {
    let proposed = server
        .granary(&["profile", "infer", file, "--type", key, "--json"])
        .ends(0);
    assert!(!proposed.stderr.contains("warning"), "{}", proposed.stderr);
    let profile = server.file(&format!("{key}.json"), &proposed.stdout);
    server
        .granary(&["profile", "apply", "-s", "airports", "-f", &profile])
        .ends(0);
    serde_json::from_str(&proposed.stdout).unwrap()
}

#[test]
fn the_airports_pass_by_the_profiles_that_are_proposed_for_them() {
    let server = Server::empty();
    server.granary(&["source", "apply", "airports"]).ends(0);
    let airports = example("airports.ndjson");
    for key in ["runway-end", "runway", "airport"] {
        propose(&server, &airports, key);
    }
    propose(&server, &example("countries.ndjson"), "country");
    propose(&server, &example("subdivisions.ndjson"), "subdivision");
    for name in ["airports.ndjson", "countries.ndjson", "subdivisions.ndjson"] {
        let valid = server
            .granary(&[
                "bulk",
                &example(name),
                "-s",
                "airports",
                "--validate-only",
                "--json",
            ])
            .ends(0)
            .json();
        assert!(valid[0]["count"].as_u64() > Some(200), "{valid:?}");
    }

    let profile = server.granary(&["profile", "infer", &airports, "--json"]).ends(0);
    assert!(
        profile.stderr.contains("28,298 records of type airport"),
        "{}",
        profile.stderr
    );
    let profile = profile.json().remove(0);
    let properties = &profile["properties"];
    for (name, of_type) in [
        ("name", "symbol"),
        ("location", "geopoint"),
        ("address", "address"),
        ("icao", "code"),
    ] {
        assert_eq!(properties[name]["type"], of_type, "{name}");
    }
    assert_eq!(properties["name"]["rules"][0]["required"], true);
    assert_eq!(
        properties["idSource"]["rules"][0]["enum"],
        serde_json::json!(["faa", "iata", "other"])
    );
    assert_eq!(
        profile["contained"]["runways"]["types"],
        serde_json::json!(["runway"])
    );
}

#[test]
fn a_csv_of_the_airports_passes_by_the_profile_that_is_proposed_for_it() {
    let server = Server::empty();
    server.granary(&["source", "apply", "airports"]).ends(0);
    for (profile, key) in [
        ("profiles/country.json", "country"),
        ("profiles/subdivision.json", "subdivision"),
    ] {
        let path = example(profile);
        // Without what is bound to vocabularies, which are not there.
        let text = std::fs::read_to_string(path).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for property in json["properties"].as_object_mut().unwrap().values_mut() {
            property.as_object_mut().unwrap().remove("binding");
        }
        let file = server.file(&format!("{key}.json"), &json.to_string());
        server
            .granary(&["profile", "apply", "-s", "airports", "-f", &file])
            .ends(0);
        let data = example(if key == "country" {
            "countries.ndjson"
        } else {
            "subdivisions.ndjson"
        });
        server
            .granary(&["bulk", &data, "-s", "airports", "--wait"])
            .ends(0);
        let csv = server.folder.path().join(format!("{key}.csv"));
        let csv = csv.to_str().unwrap();
        server
            .granary(&[
                "export", "-s", "airports", "--type", key, "--format", "csv", "-o", csv,
            ])
            .ends(0);
        let proposed = server.granary(&["profile", "infer", csv, "--json"]).ends(0);
        let profile = server.file("proposed.json", &proposed.stdout);
        server.granary(&["source", "apply", &format!("{key}-2")]).ends(0);
        server
            .granary(&["profile", "apply", key, "-s", &format!("{key}-2"), "-f", &profile])
            .ends(0);
        server
            .granary(&["bulk", csv, "-s", &format!("{key}-2"), "--type", key, "--wait"])
            .ends(0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_data() {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = super::granary(&["profile", "infer", "-", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // 60 MB of records that all differ.
    let padding = "x".repeat(600);
    for number in 0..100_000_u32 {
        writeln!(
            stdin,
            "{{\"n\":{number},\"name\":\"{number} {padding}\",\"at\":{{\"k\":[{number}]}}}}"
        )
        .unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(kib < 60_000, "{kib} KiB");
}

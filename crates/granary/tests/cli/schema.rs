//! `source`, `profile`, `relationship-definition`.

use super::Server;

#[test]
fn a_source_is_applied_listed_shown_and_deleted() {
    let server = Server::start();
    let first = server.granary(&["source", "apply", "zoo", "--json"]).ends(0);
    assert_eq!(first.json()[0]["key"], "zoo");
    assert!(first.stderr.contains("Created source zoo"), "{}", first.stderr);
    let again = server.granary(&["source", "apply", "zoo"]).ends(0);
    assert!(again.stderr.contains("Unchanged source zoo"), "{}", again.stderr);

    let keys: Vec<_> = server.granary(&["source", "list", "--json"]).json();
    assert_eq!(
        keys.iter()
            .map(|source| source["key"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["library", "zoo"]
    );
    let table = server.granary(&["source", "show", "zoo"]).ends(0).stdout;
    assert!(
        table.starts_with("KEY  TYPE      CREATED\nzoo  registry  2"),
        "{table}"
    );

    server.granary(&["source", "delete", "zoo"]).ends(0);
    let gone = server.granary(&["source", "show", "zoo"]).ends(1);
    assert!(
        gone.stderr.starts_with("error: ") && gone.stderr.contains("zoo"),
        "{}",
        gone.stderr
    );
    // The path of no source is that of the list, which must not be what is shown or deleted.
    for name in ["", ".", ".."] {
        server.granary(&["source", "delete", name]).ends(1);
    }
}

#[test]
fn a_definition_is_replaced_and_kept_as_it_was_written() {
    let server = Server::start();
    let properties = r#"{"z":{"type":"decimal","rules":[{"max":1.10}]},"a":{"type":"code"}}"#;
    let file = server.file(
        "leaflet.json",
        &format!(r#"{{"description":"thin","properties":{properties}}}"#),
    );
    let source = ["--source", "library"];
    let apply =
        |more: &[&str]| server.granary(&[&["profile", "apply", "-f", &file][..], &source, more].concat());
    apply(&[]).ends(0);
    let replaced = apply(&["--json"]).ends(0);
    assert_eq!(replaced.json()[0]["revision"], 2);
    assert!(replaced.stdout.contains(properties), "{}", replaced.stdout);
    apply(&["pamphlet"]).ends(0);

    let list = server
        .granary(&["profile", "list", "-s", "library"])
        .ends(0)
        .stdout;
    let keys: Vec<_> = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(keys, ["author", "book", "leaflet", "pamphlet"], "{list}");
    assert!(list.contains("thin"), "{list}");
    let shown = server
        .granary(&["profile", "show", "-s", "library", "leaflet"])
        .ends(0)
        .stdout;
    assert!(shown.contains("\"max\": 1.10\n"), "{shown}");

    server
        .granary(&["profile", "delete", "-s", "library", "leaflet"])
        .ends(0);
    server
        .granary(&["profile", "show", "-s", "library", "leaflet"])
        .ends(1);
    let shown = server
        .granary(&["relationship-definition", "show", "-s", "library", "by", "--json"])
        .ends(0);
    assert_eq!(shown.json()[0]["from"]["profileKey"], "book");
}

#[test]
fn every_fault_of_a_definition_is_shown_with_its_place() {
    let server = Server::start();
    let file = server.file(
        "bad.json",
        r#"{"properties":{"a":{"type":"nope"},"b":{"type":"integer","rules":[{"min":2,"max":1}]}}}"#,
    );
    let refused = server
        .granary(&["profile", "apply", "-s", "library", "-f", &file])
        .ends(1);
    for part in ["cannot store profile bad from", "/properties/a", "/properties/b"] {
        assert!(
            refused.stderr.contains(part),
            "{part} is missing in {}",
            refused.stderr
        );
    }
    server
        .granary(&["profile", "show", "-s", "library", "bad"])
        .ends(1);
}

#[test]
fn what_is_shown_can_be_applied_again() {
    let server = Server::start();
    let moods = server.file("moods.json", r#"{"title":"Moods","concepts":[{"code":"glad"}]}"#);
    server.granary(&["vocabulary", "apply", "-f", &moods]).ends(0);
    let again = |show: &[&str], apply: &[&str]| {
        let shown = server.granary(show).ends(0).stdout;
        let file = server.file("shown.json", &shown);
        server.granary(&[apply, &["-f", &file]].concat()).ends(0).stderr
    };
    for json in [&[][..], &["--json"]] {
        for (noun, key) in [("profile", "book"), ("relationship-definition", "by")] {
            let said = again(
                &[&[noun, "show", "-s", "library", key][..], json].concat(),
                &[noun, "apply", "-s", "library"],
            );
            assert!(said.contains(&format!(" {key}, now revision ")), "{said}");
        }
        let said = again(
            &[&["vocabulary", "show", "moods"][..], json].concat(),
            &["vocabulary", "apply"],
        );
        assert!(said.contains("Replaced vocabulary moods"), "{said}");
    }
    let said = again(&["source", "show", "library", "--json"], &["source", "apply"]);
    assert!(said.contains("Unchanged source library"), "{said}");
    // A key that is given wins.
    let said = again(
        &["profile", "show", "-s", "library", "book"],
        &["profile", "apply", "-s", "library", "tome"],
    );
    assert!(said.contains("Created profile tome"), "{said}");
}

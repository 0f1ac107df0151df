//! `vocabulary`.

use serde_json::json;

use super::Server;

fn colours() -> String {
    json!({
        "key": "colours",
        "title": "Colours",
        "concepts": [
            {"code": "red", "definition": "like blood", "designation": {"de": "rot", "en": "red"}},
            {"code": "dark blue"},
        ],
    })
    .to_string()
}

#[test]
fn what_is_exported_is_applied_as_it_was() {
    let server = Server::start();
    let file = server.file("any.json", &colours());
    server.granary(&["vocabulary", "apply", "-f", &file]).ends(0);
    let exported = server
        .granary(&["vocabulary", "export", "colours"])
        .ends(0)
        .stdout;
    let copy = exported.replace("\"colours\"", "\"copy\"");
    let file = server.file("copy.json", &copy);
    server.granary(&["vocabulary", "apply", "-f", &file]).ends(0);
    let again = server.granary(&["vocabulary", "export", "copy"]).ends(0).stdout;
    assert_eq!(again, copy);
    assert!(copy.contains("like blood") && copy.contains("\"rot\""), "{copy}");

    let empty = server.file("empty.json", r#"{"title": "}", "description": "none yet"}"#);
    server.granary(&["vocabulary", "apply", "-f", &empty]).ends(0);
    let exported = server.granary(&["vocabulary", "export", "empty"]).ends(0).stdout;
    let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
    let empty = json!({"key": "empty", "title": "}", "description": "none yet", "concepts": []});
    assert_eq!(exported, empty);
}

#[test]
fn a_vocabulary_is_applied_listed_shown_and_deleted() {
    let server = Server::start();
    let file = server.file("any.json", &colours());
    let first = server
        .granary(&["vocabulary", "apply", "-f", &file, "--json"])
        .ends(0);
    assert_eq!(first.json()[0]["conceptCount"], 2);
    assert!(
        first.stderr.contains("Created vocabulary colours"),
        "{}",
        first.stderr
    );
    assert!(
        first.stderr.contains("Stored 2 concepts in vocabulary colours"),
        "{}",
        first.stderr
    );
    let again = server.granary(&["vocabulary", "apply", "-f", &file]).ends(0);
    assert!(
        again
            .stderr
            .contains("Stored 0 concepts in vocabulary colours, 2 unchanged"),
        "{}",
        again.stderr
    );

    let list = server.granary(&["vocabulary", "list"]).ends(0).stdout;
    let row: Vec<_> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1], row[3]), ("colours", "2", "Colours"), "{list}");
    let shown = server
        .granary(&["vocabulary", "show", "colours", "--json"])
        .ends(0);
    assert_eq!(shown.json()[0]["title"], "Colours");
    let concepts = server.granary(&["vocabulary", "show", "colours", "--concepts"]);
    let concepts = concepts.ends(0).stdout;
    let rows: Vec<_> = concepts.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{concepts}");
    assert!(rows[0].starts_with("dark blue"), "{concepts}");
    assert!(
        rows[1].contains("de: rot, en: red") && rows[1].contains("like blood"),
        "{concepts}"
    );

    server.granary(&["vocabulary", "delete", "colours"]).ends(0);
    let gone = server.granary(&["vocabulary", "show", "colours"]).ends(1);
    assert!(
        gone.stderr.contains("vocabulary 'colours' does not exist"),
        "{}",
        gone.stderr
    );
}

#[test]
fn a_vocabulary_that_a_profile_is_bound_to_is_not_deleted() {
    let server = Server::start();
    let file = server.file("colours.json", &json!({"title": "Colours"}).to_string());
    server.granary(&["vocabulary", "apply", "-f", &file]).ends(0);
    let binding = json!({"vocabulary": {"key": "colours", "strength": "required"}});
    let profile = json!({"properties": {"colour": {"type": "code", "binding": binding}}});
    let profile = server.file("pen.json", &profile.to_string());
    server
        .granary(&["profile", "apply", "-s", "library", "-f", &profile])
        .ends(0);
    let refused = server.granary(&["vocabulary", "delete", "colours"]).ends(1);
    assert!(
        refused.stderr.contains("profile 'pen' of source 'library'"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_is_wrong_with_a_vocabulary_is_shown_with_its_place() {
    let server = Server::start();
    let untitled = server.file("untitled.json", r#"{"concepts":[]}"#);
    let refused = server.granary(&["vocabulary", "apply", "-f", &untitled]).ends(1);
    for part in ["cannot store vocabulary untitled from", "'title' is required"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let concepts = r#"[{"code":"a"},{"cod":"b"},{"code":"c","designation":{"e n":"x"}}]"#;
    let bad = server.file("bad.json", &format!(r#"{{"title":"Bad","concepts":{concepts}}}"#));
    let rejected = server.granary(&["vocabulary", "apply", "-f", &bad]).ends(3);
    for part in [
        "operation 1",
        "/upsert/cod",
        "did you mean 'code'?",
        "operation 2",
        "/upsert/designation/e n",
    ] {
        assert!(rejected.stderr.contains(part), "{part} in {}", rejected.stderr);
    }
    assert!(!rejected.stderr.contains("operation 0"), "{}", rejected.stderr);
    let shown = server.granary(&["vocabulary", "show", "bad", "--concepts", "--json"]);
    assert_eq!(shown.ends(0).stdout, "");
    let other = server.file("other.json", r#"{"titel":"x"}"#);
    let refused = server.granary(&["vocabulary", "apply", "-f", &other]).ends(1);
    assert!(refused.stderr.contains("titel"), "{}", refused.stderr);
}

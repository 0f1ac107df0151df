//! `key`: the first key, and what a server does from then on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::serve::signal;
use super::{Run, Server, granary, run, serve_at};

/// Runs the binary with this key in its environment.
fn as_holder(key: &str, args: &[&str]) -> Run {
    let mut command = granary(args);
    command.env("GRANARY_API_KEY", key);
    run(command, "")
}

/// Creates a key in the store of this folder.
fn created(data: &str, args: &[&str]) -> Value {
    let args = [&["key", "create", "--json", "--data", data], args].concat();
    run(granary(&args), "").ends(0).json().remove(0)
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap()
}

#[test]
fn a_key_that_is_created_before_the_server_starts_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let admin = created(data, &["--role", "admin"]);
    let members: Vec<&String> = admin.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "key", "role", "sources"]);
    assert_eq!(
        (text(&admin, "role"), &admin["sources"]),
        ("admin", &json!(["*"]))
    );
    let reader = created(
        data,
        &[
            "--role", "reader", "-s", "library", "-s", "other", "--name", "ada",
        ],
    );
    assert_eq!(reader["sources"], json!(["library", "other"]));
    assert_eq!(text(&reader, "name"), "ada");
    // Without --json it is the key alone, for a file.
    let writer = run(
        granary(&["key", "create", "--data", data, "--role", "writer"]),
        "",
    )
    .ends(0);
    let file = folder.path().join("writer.key");
    fs::write(&file, &writer.stdout).unwrap();
    assert!(!writer.stderr.contains(writer.stdout.trim()), "{}", writer.stderr);

    // For other machines too.
    let (mut server, url) = serve_at("0.0.0.0:0", &["--data", data]);
    let url = url.replace("0.0.0.0", "127.0.0.1");
    let (admin_key, reader_key) = (text(&admin, "key"), text(&reader, "key"));
    let call = |key: &str, args: &[&str]| as_holder(key, &[args, &["--server", &url]].concat());
    let none = call("", &["source", "list"]).ends(1);
    assert_eq!(
        none.stderr,
        "error: the call carries no key; give it in GRANARY_API_KEY, or the file that holds it with --key-file\n"
    );
    call(admin_key, &["source", "apply", "library"]).ends(0);
    call(reader_key, &["source", "show", "library"]).ends(0);
    let denied = call(reader_key, &["source", "apply", "other"]).ends(1);
    assert!(denied.stderr.contains("takes admin"), "{}", denied.stderr);
    let file = file.to_str().unwrap();
    let open = fs::Permissions::from_mode(0o640);
    fs::set_permissions(file, open).unwrap();
    let warned = call("", &["source", "list", "--key-file", file]).ends(0);
    assert_eq!(
        warned.stderr,
        format!("warning: others can read the key in {file}; take that from them with `chmod 600 {file}`\n")
    );
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    let own = call("", &["source", "list", "--key-file", file]).ends(0);
    assert_eq!(own.stderr, "");

    let listed = call(admin_key, &["key", "list", "--json"]).ends(0);
    let keys = listed.json();
    assert_eq!(keys.len(), 3);
    for key in [admin_key, reader_key, writer.stdout.trim()] {
        assert!(!listed.stdout.contains(&key[36..]));
    }
    assert!(keys.iter().all(|key| !key["lastUsedAt"].is_null()), "{keys:?}");
    let more = call(admin_key, &["key", "create", "--role", "writer", "--json"]).ends(0);
    assert!(text(&more.json()[0], "key").starts_with("granary_"));
    call(admin_key, &["key", "revoke", text(&reader, "id")]).ends(0);
    let gone = call(reader_key, &["source", "list"]).ends(1);
    assert!(gone.stderr.contains("not valid"), "{}", gone.stderr);

    signal(&server, "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    // When they were used is there after a restart; and a store is listed without a server.
    let listed = run(granary(&["key", "list", "--json", "--data", data]), "").ends(0);
    let used = listed
        .json()
        .iter()
        .filter(|key| !key["lastUsedAt"].is_null())
        .count();
    assert_eq!((listed.json().len(), used), (3, 2));
    let revoked = run(
        granary(&["key", "revoke", "--data", data, text(&admin, "id")]),
        "",
    )
    .ends(0);
    assert!(revoked.stderr.contains(text(&admin, "id")));
}

#[test]
fn the_first_key_can_be_created_at_a_server_that_serves_its_own_machine() {
    let server = Server::start();
    let first = server.granary(&["key", "create", "--role", "admin"]).ends(0);
    server.granary(&["source", "list"]).ends(1);
    let mut command = granary(&["source", "list", "--server", &server.url]);
    command.env("GRANARY_API_KEY", first.stdout.trim());
    run(command, "").ends(0);
    // The folder is the server's.
    let data = server.data();
    let taken = server
        .granary(&["key", "list", "--data", data.to_str().unwrap()])
        .ends(1);
    assert!(taken.stderr.contains("in use"), "{}", taken.stderr);
}

#[test]
fn without_a_key_only_this_machine_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refused = run(granary(&["serve", "--data", data, "--listen", "0.0.0.0:0"]), "").ends(1);
    let said = format!("granary key create --role admin --data {data}");
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    assert!(refused.stderr.contains("127.0.0.1"), "{}", refused.stderr);
    // A key that is gone is none.
    let key = created(data, &["--role", "admin"]);
    run(granary(&["key", "revoke", text(&key, "id"), "--data", data]), "").ends(0);
    run(granary(&["serve", "--data", data, "--listen", "0.0.0.0:0"]), "").ends(1);
}

#[test]
fn what_is_not_a_key_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let key = created(folder.path().join("data").to_str().unwrap(), &["--role", "admin"]);
    let almost = format!("{}!", text(&key, "key"));
    let file = folder.path().join("key");
    fs::write(&file, &almost).unwrap();
    let file = file.to_str().unwrap();
    let unheard = folder.path().join("unheard");
    for (args, place) in [
        (&["source", "list"][..], "GRANARY_API_KEY"),
        (&["source", "list", "--key-file", file], file),
        (
            &["source", "list", "--key-file", unheard.to_str().unwrap()],
            "unheard",
        ),
    ] {
        let wrong = as_holder(&almost, args).ends(1);
        assert!(wrong.stderr.contains(place), "{}", wrong.stderr);
        assert!(!wrong.stderr.contains(&almost[36..]), "{}", wrong.stderr);
    }
    for args in [&["--help"][..], &["source", "--help"], &["serve", "--help"]] {
        let help = as_holder(text(&key, "key"), args).ends(0);
        assert!(!help.stdout.contains(&almost[36..79]));
    }
    // No flag takes a key.
    as_holder("", &["source", "list", "--api-key", &almost]).ends(1);
    assert!(Path::new(file).exists());
}

#[test]
fn keys_that_make_no_sense_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (args, hint) in [
        (&["--role", "boss"][..], "reader"),
        (&[], "--role"),
        (&["--role", "reader", "-s", "a b"], "key 'a b' is not valid"),
        (&["--role", "admin", "--name", ""], "1 to 100"),
        (&["--role", "reader"], "first key"),
        (&["--role", "admin", "-s", "library"], "first key"),
    ] {
        let args = [&["key", "create", "--data", data], args].concat();
        let wrong = run(granary(&args), "").ends(1);
        assert!(wrong.stderr.contains(hint), "{args:?}: {}", wrong.stderr);
    }
    let none = run(granary(&["key", "list", "--json", "--data", data]), "").ends(0);
    assert_eq!(none.stdout, "");
    for id in ["x", "2eVocVVgjAWYJ74DifXluwVtSYs"] {
        run(granary(&["key", "revoke", id, "--data", data]), "").ends(1);
    }
}

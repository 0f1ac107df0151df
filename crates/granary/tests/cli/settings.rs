//! `granary.toml`, variables and `config`.

use super::{Run, Server, granary, run, serve_with};

fn within(server: &Server, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = granary(args);
    command
        .current_dir(server.folder.path())
        .env("GRANARY_SERVER", &server.url);
    for (name, value) in variables {
        command.env(name, value);
    }
    run(command, "")
}

/// Where a setting comes from, and what it is.
fn whence(server: &Server, args: &[&str], variables: &[(&str, &str)], key: &str) -> (String, String) {
    let shown = within(server, &[&["config", "--json"][..], args].concat(), variables).ends(0);
    let found = shown.json().into_iter().find(|setting| setting["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key} is not in {}", shown.stdout));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("value"), text("from"))
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let server = Server::empty();
    server.file(
        "granary.toml",
        "color = \"never\"\nsource = \"a\"\n[limits]\njsonDepth = 9",
    );
    server.file("other.toml", "source = \"b\"");
    let pair = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    let whence = |args: &[&str], variables: &[(&str, &str)], key| whence(&server, args, variables, key);
    assert_eq!(whence(&[], &[], "color"), pair("never", "granary.toml"));
    assert_eq!(
        whence(&[], &[("GRANARY_COLOR", "auto")], "color"),
        pair("auto", "GRANARY_COLOR")
    );
    let flag = ["--color", "always"];
    assert_eq!(
        whence(&flag, &[("GRANARY_COLOR", "auto")], "color"),
        pair("always", "command line")
    );
    assert_eq!(
        whence(&["--config", "other.toml"], &[], "source"),
        pair("b", "other.toml")
    );
    assert_eq!(
        whence(&[], &[("GRANARY_CONFIG", "other.toml")], "source"),
        pair("b", "other.toml")
    );
    assert_eq!(whence(&["--config", ""], &[], "color"), pair("auto", "default"));
    assert_eq!(whence(&[], &[], "limits.jsonDepth"), pair("9", "granary.toml"));
    let variable = [("GRANARY_LIMIT_JSON_DEPTH", "10")];
    assert_eq!(
        whence(&[], &variable, "limits.jsonDepth"),
        pair("10", "GRANARY_LIMIT_JSON_DEPTH")
    );
    assert_eq!(whence(&[], &[], "limits.listLimit"), pair("1000", "default"));
    assert_eq!(whence(&[], &[], "listen"), pair("127.0.0.1:8080", "default"));
}

#[test]
fn passwords_and_keys_are_not_shown() {
    let server = Server::empty();
    server.file(
        "granary.toml",
        "store = \"postgres://ada:secret@db.example/granary\"",
    );
    let key = format!("granary_{}_{}", "2".repeat(27), "s".repeat(43));
    let shown = within(
        &server,
        &["config"],
        &[
            ("GRANARY_API_KEY", &key),
            ("GRANARY_BENCH_STORE", "postgres://a:secret@b"),
        ],
    )
    .ends(0);
    assert!(
        shown.stdout.contains("postgres://db.example/granary"),
        "{}",
        shown.stdout
    );
    assert!(
        !shown.stdout.contains("secret") && !shown.stdout.contains("sssss"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("GRANARY_API_KEY"), "{}", shown.stdout);
}

#[test]
fn a_server_takes_its_settings_from_the_file() {
    let server = Server::empty();
    let data = server.folder.path().join("data-2");
    let file = server.file(
        "serve.toml",
        &format!("data = {:?}\n[limits]\nlistLimit = 7", data.to_str().unwrap()),
    );
    let (mut child, url) = serve_with(&["--config", &file]);
    let listed = run(granary(&["source", "apply", "x", "--server", &url]), "").ends(0);
    assert_eq!(listed.stdout, "");
    assert!(data.join("FORMAT").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let wrong = run(granary(&["serve", "--config", &file, "--listen", "nowhere"]), "").ends(1);
    assert!(wrong.stderr.contains("sets --data"), "{}", wrong.stderr);
}

#[test]
fn colours_are_written_where_they_are_asked_for() {
    let escape = '\u{1b}';
    for (args, variables, coloured) in [
        (&["--color", "always"][..], &[][..], true),
        (&["--color=never"], &[], false),
        (&[], &[], false),
        (&[], &[("GRANARY_COLOR", "always")], true),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (
            &["--color", "auto"],
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
            false,
        ),
    ] {
        // An error of the server, a table, and a wrong command line.
        let server = Server::empty();
        for command in [
            &["source", "list"][..],
            &["source", "show", "nope"],
            &["source", "show"],
        ] {
            let ran = within(&server, &[command, args].concat(), variables);
            let text = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(
                text.contains(escape),
                coloured,
                "{command:?} {args:?} {variables:?}: {text:?}"
            );
        }
    }
}

//! What the binary says of itself, and of command lines that are wrong.

use super::{granary, run};

#[test]
fn help_is_a_result_and_names_the_exit_codes() {
    let help = run(granary(&["--help"]), "").ends(0);
    for part in [
        "Exit codes:",
        "3  a bulk request was rejected",
        "granary demo",
        "GRANARY_SERVER",
        "bulk",
        "receipts",
    ] {
        assert!(
            help.stdout.contains(part),
            "{part} is missing in\n{}",
            help.stdout
        );
    }
    assert_eq!(help.stderr, "");
    run(granary(&["--version"]), "").ends(0);
}

#[test]
fn a_wrong_command_line_ends_with_1_and_a_hint() {
    for (args, hint) in [
        (&["bulk", "x", "--source", "s", "--wiat"][..], "--wait"),
        (&["bulk", "x"], "--source"),
        (&["tusk"], "task"),
        (
            &["task", "list", "--source", "s", "--created-after", "yesterday"],
            "2026-01-31T08:00:00Z",
        ),
        (&[], "Usage"),
    ] {
        let wrong = run(granary(args), "").ends(1);
        assert!(wrong.stderr.contains(hint), "{args:?}: {}", wrong.stderr);
        assert_eq!(wrong.stdout, "");
    }
}

#[test]
fn help_is_a_command_too() {
    for (args, with_flag) in [
        (&["help", "bulk"][..], &["bulk", "--help"][..]),
        (&["help", "task", "watch"], &["task", "watch", "--help"]),
    ] {
        let (help, flag) = (
            run(granary(args), "").ends(0),
            run(granary(with_flag), "").ends(0),
        );
        assert_eq!(help.stdout, flag.stdout, "{args:?}");
    }
}

#[test]
fn the_usage_of_a_wrong_command_line_asks_for_what_has_to_be_typed_alone() {
    let usage = |command: &mut std::process::Command| {
        let wrong = run(std::mem::replace(command, granary(&[])), "").ends(1).stderr;
        wrong
            .lines()
            .find(|line| line.starts_with("Usage"))
            .unwrap()
            .to_owned()
    };
    for args in [&["get", "book"][..], &["task", "list"]] {
        let plain = usage(&mut granary(args));
        let mut command = granary(args);
        command.env("GRANARY_SERVER", "http://127.0.0.1:1");
        assert_eq!(usage(&mut command), plain);
        assert!(!plain.contains("--server"), "{plain}");
    }
}

#[test]
fn a_port_alone_is_no_address() {
    let wrong = run(granary(&["serve", "--listen", "18105"]), "").ends(1);
    assert!(wrong.stderr.contains("127.0.0.1:18105"), "{}", wrong.stderr);
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    // Port 1 is never ours.
    let gone = run(granary(&["source", "list", "--server", "http://127.0.0.1:1"]), "").ends(1);
    assert!(
        gone.stderr
            .starts_with("error: no server at http://127.0.0.1:1: "),
        "{}",
        gone.stderr
    );
    assert!(gone.stderr.contains("granary serve"), "{}", gone.stderr);
    let bad = run(granary(&["source", "list", "--server", "ftp://example.org"]), "").ends(1);
    assert!(bad.stderr.contains("only http"), "{}", bad.stderr);
}

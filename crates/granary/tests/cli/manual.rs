//! `completions` and `man`.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{granary, run};

#[test]
fn completions_know_commands_and_flags_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(granary(&["completions", shell]), "").ends(0);
        assert_eq!(script.stderr, "");
        for part in ["validate-only", "receipts", "retry-failed"] {
            assert!(script.stdout.contains(part), "{shell}: {part}");
        }
    }
    let wrong = run(granary(&["completions", "tcsh"]), "").ends(1);
    assert!(wrong.stderr.contains("bash"), "{}", wrong.stderr);
}

#[test]
fn bash_takes_its_completions_and_completes() {
    let script = run(granary(&["completions", "bash"]), "").ends(0).stdout;
    let ask = "COMP_WORDS=(granary bulk --vali); COMP_CWORD=2; _granary granary --vali bulk; echo \"${COMPREPLY[@]}\"";
    let mut child = Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash is there");
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{script}\n{ask}").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        "--validate-only"
    );
}

#[test]
fn there_is_a_page_for_each_command() {
    let page = run(granary(&["man"]), "").ends(0).stdout;
    assert!(page.contains(".TH granary 1"), "{page}");
    assert!(page.contains("Exit codes"), "{page}");
    let watch = run(granary(&["man", "task", "watch"]), "").ends(0).stdout;
    assert!(watch.contains(".TH granary-task-watch 1"), "{watch}");
    assert!(watch.contains("server\\-sent events"), "{watch}");

    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("man1");
    run(granary(&["man", "--output", output.to_str().unwrap()]), "").ends(0);
    for name in [
        "granary.1",
        "granary-bulk.1",
        "granary-profile-infer.1",
        "granary-task-watch.1",
    ] {
        assert!(output.join(name).is_file(), "{name}");
    }
    assert!(!output.join("granary-help.1").exists());
}

//! Installs what the tests need and cargo does not bring: the programs of PostgreSQL and PgBouncer, and strace. The tests
//! start servers of their own with them; the one that Debian sets up beside is not used.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use granary_test_postgres::missing_packages;

/// Installs what is missing, where this is Debian or alike and we may.
pub(crate) fn programs_for_tests() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        println!("PostgreSQL, PgBouncer and strace are there");
        return Ok(());
    }
    let packages = missing.join(" ");
    let by_hand = || {
        format!(
            "the tests need {packages}; install it, on Debian: apt-get install {packages}; then run this again"
        )
    };
    ensure!(Path::new("/usr/bin/apt-get").exists(), by_hand());
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    // Lists that are old may still do.
    let _ = apt_get(&["update"]);
    apt_get(&install).with_context(by_hand)?;
    let missing = self::missing();
    ensure!(
        missing.is_empty(),
        "{} was installed and is not found",
        missing.join(" ")
    );
    Ok(())
}

/// The packages of Debian that are missing.
fn missing() -> Vec<&'static str> {
    let mut missing = missing_packages();
    // What records servers for the cuts of power.
    let strace = Command::new("strace")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !strace.is_ok_and(|status| status.success()) {
        missing.push("strace");
    }
    missing
}

/// Runs `apt-get` as root, which nobody is asked a password for.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    let mut words = if root { vec![] } else { vec!["sudo", "-n"] };
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    words.extend(arguments);
    println!("$ {}", words.join(" "));
    let mut command = Command::new(words[0]);
    let status = command
        .args(&words[1..])
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run `{}`", words[0]))?;
    ensure!(status.success(), "`{}` ended with {status}", words.join(" "));
    Ok(())
}

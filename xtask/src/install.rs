//! Installs what the tests need and cargo does not bring: the programs of PostgreSQL and PgBouncer, strace, and what makes a
//! Debian package and tries it. The tests start servers of their own with them; the one that Debian sets up beside is not used.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use granary_test_postgres::missing_packages;

use crate::test::finish;

/// Programs and the packages of Debian that have them.
const PROGRAMS: [(&str, &str); 5] = [
    // Records servers for the cuts of power.
    ("strace", "strace"),
    ("dpkg-buildpackage", "dpkg-dev"),
    ("dh", "debhelper"),
    // These two make and start a Debian to install the package in.
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
];

/// Installs what is missing, where this is Debian or alike and we may.
pub(crate) fn programs_for_tests() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        println!("PostgreSQL, PgBouncer, strace and Debian's tools for packages are there");
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
    missing.extend(
        PROGRAMS
            .iter()
            .filter(|(program, _)| !found(program))
            .map(|(_, package)| package),
    );
    missing
}

/// Whether a program can be run by its name.
pub(crate) fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs `apt-get` as root.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    finish(command.args(arguments).stdin(Stdio::null()))
}

/// A command that is run as root, which nobody is asked a password for.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if Command::new("id").arg("-u").output()?.stdout == b"0\n" {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    Ok(command)
}

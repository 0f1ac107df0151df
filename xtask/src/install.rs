//! Installs what the tests need and cargo does not bring: programs of Debian (the servers of PostgreSQL, a browser, what
//! makes a package and tries it), and packages of npm and PyPI in the versions that are committed, beside the tests that use
//! them. The tests start servers of their own; one that Debian sets up beside is not used.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use granary_test_postgres::missing_packages;

use crate::test::finish;

/// Programs, and the packages of Debian that have them.
const PROGRAMS: [(&str, &str); 9] = [
    // Records servers for the cuts of power.
    ("strace", "strace"),
    // Pages of docs/ call servers with it.
    ("curl", "curl"),
    // They make a package.
    ("dpkg-buildpackage", "dpkg-dev"),
    ("dh", "debhelper"),
    // These two make and start a Debian to install the package in.
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    // A browser, and what drives it; clients are made from the description of the API.
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// Where the tests of the console are, with the list of what they need from npm.
pub(crate) const CONSOLE_TESTS: &str = "console/tests";
/// Where the tests of the description of the API are, with the lists of what they need from npm and PyPI.
const CLIENTS: &str = "openapi/tests";
/// Where the packages of PyPI are.
pub(crate) const VENV: &str = "target/openapi/venv";

/// Installs what is missing, where this is Debian or alike and we may.
pub(crate) fn programs_for_tests() -> Result<()> {
    from_debian()?;
    // The browser is Debian's.
    from_npm(CONSOLE_TESTS, &[("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")])?;
    programs_for_clients()
}

/// Installs the packages that make clients.
pub(crate) fn programs_for_clients() -> Result<()> {
    from_npm(CLIENTS, &[])?;
    let requirements = format!("{CLIENTS}/requirements.txt");
    unless_installed(&requirements, &format!("{VENV}/.installed"), || {
        finish(Command::new("python3").args(["-m", "venv", "--clear", VENV]))?;
        let mut pip = Command::new(Path::new(VENV).join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        finish(pip.args(["--requirement", &requirements]))
    })
}

fn from_debian() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        println!("the programs of Debian that tests need are there");
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

/// Installs what a folder with a list of npm needs.
fn from_npm(folder: &str, environment: &[(&str, &str)]) -> Result<()> {
    let list = format!("{folder}/package-lock.json");
    unless_installed(&list, &format!("{folder}/node_modules/.installed"), || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]);
        finish(npm.envs(environment.iter().copied()).current_dir(folder))
    })
}

/// Installs what a file lists, unless the mark says that just that was installed.
fn unless_installed(list: &str, mark: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {list}"))?;
    if fs::read(mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    Ok(fs::write(mark, wanted)?)
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
    // It may be there without what makes environments.
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip"]).stderr(Stdio::null());
    if !python.status().is_ok_and(|status| status.success()) {
        missing.push("python3-venv");
    }
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

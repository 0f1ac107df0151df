//! The Debian package: made of the binary that was built, and tried in a fresh Debian.
//!
//! That Debian is made for the run and started by systemd in a container, without a network: only there is it known that
//! the unit's restrictions let the server do its work, and that installing, upgrading and purging do what they say.

mod notices;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::install::{as_root, found};
use crate::test::finish;

/// Where the package is made, and left.
const FOLDER: &str = "target/package";
/// What the package is made of, beside the binary.
const PARTS: [&str; 2] = ["debian", "docs"];
/// For how long the Debian may run, in seconds: it only bounds a hang.
const PATIENCE: &str = "300";

/// Makes the package, and tries it.
pub(crate) fn test() -> Result<()> {
    let package = build()?;
    if found("lintian") {
        finish(
            Command::new("lintian")
                .args(["--fail-on", "error", "--allow-root"])
                .arg(&package),
        )?;
    } else {
        println!("lintian is not installed: what it would say of the package is not known");
    }
    let tree = std::path::absolute(FOLDER)?.join("debian");
    let outcome = fresh_debian(&tree).and_then(|()| try_in(&tree, &package));
    // It is root's, and would be in the way of `cargo clean`.
    let removed = finish(
        as_root("rm")?
            .args(["--recursive", "--force", "--one-file-system"])
            .arg(&tree),
    );
    outcome.and(removed)
}

/// Makes the package of `GRANARY_BINARY`, or else of the binary beside this one. The path of the package.
pub(crate) fn build() -> Result<PathBuf> {
    let binary = match std::env::var_os("GRANARY_BINARY") {
        Some(path) => std::path::absolute(path)?,
        None => std::env::current_exe()?.with_file_name("granary"),
    };
    let (said, listed) = (version_of(&binary)?, version_listed()?);
    ensure!(
        said == listed,
        "{} is version {said}, and the newest entry of debian/changelog is of {listed}; add one there",
        binary.display()
    );
    let tree = Path::new(FOLDER).join("granary");
    if Path::new(FOLDER).exists() {
        std::fs::remove_dir_all(FOLDER).with_context(|| format!("cannot clear {FOLDER}"))?;
    }
    std::fs::create_dir_all(&tree)?;
    finish(Command::new("cp").arg("--recursive").args(PARTS).arg(&tree))?;
    std::fs::write(tree.join("THIRD-PARTY"), notices::of_third_parties()?)?;
    finish(
        Command::new("dpkg-buildpackage")
            .args(["--build=binary", "--unsigned-changes", "--unsigned-buildinfo"])
            .current_dir(&tree)
            .env("GRANARY_BINARY", &binary),
    )?;
    let made: Vec<PathBuf> = std::fs::read_dir(FOLDER)?
        .map(|entry| Ok(entry?.path()))
        .filter(|path: &Result<PathBuf>| {
            path.as_ref()
                .map_or(true, |path| path.extension().is_some_and(|end| end == "deb"))
        })
        .collect::<Result<_>>()?;
    let [package] = made.as_slice() else {
        bail!("{FOLDER} should hold one package, and holds {made:?}");
    };
    Ok(std::path::absolute(package)?)
}

/// What a binary says its version is.
fn version_of(binary: &Path) -> Result<String> {
    let cannot = || {
        format!(
            "cannot ask {} for its version; build it first: cargo build --release -p granary",
            binary.display()
        )
    };
    let output = Command::new(binary)
        .arg("--version")
        .output()
        .with_context(cannot)?;
    let said = String::from_utf8(output.stdout).with_context(cannot)?;
    let version = said.trim().strip_prefix("granary ").with_context(cannot)?;
    Ok(version.to_owned())
}

/// The version of the newest entry, which is the first, of the change log of the package.
fn version_listed() -> Result<String> {
    let log = std::fs::read_to_string("debian/changelog")?;
    let version = log
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(version, _)| version.to_owned());
    version.context("debian/changelog names no version")
}

/// Makes the smallest Debian that systemd can start, of the release that this machine runs: what the binary was linked
/// with is there.
fn fresh_debian(tree: &Path) -> Result<()> {
    let about = std::fs::read_to_string("/etc/os-release").context("cannot tell which Debian this is")?;
    let release = about
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release has no VERSION_CODENAME; a Debian that is released has one")?;
    let mut make = as_root("mmdebstrap")?;
    // OpenSSL makes a certificate in the test.
    make.args(["--quiet", "--variant=essential", "--include=systemd-sysv,openssl"])
        .arg(release)
        .arg(tree);
    finish(&mut make).context(
        "cannot make a Debian to install the package in; mmdebstrap must be allowed to be root and to reach a mirror",
    )
}

/// Starts the Debian, has it run `installed.sh`, and takes its outcome.
fn try_in(tree: &Path, package: &Path) -> Result<()> {
    let source = std::path::absolute("xtask/src/package")?;
    let mount = |from: &Path, to: &str| format!("--bind-ro={}:{to}", from.display());
    let mut start = as_root("timeout")?;
    start
        .args(["--kill-after=10", PATIENCE, "systemd-nspawn", "--quiet", "--boot"])
        // Also where this machine is not run by systemd.
        .args(["--register=no", "--keep-unit"])
        .args(["--private-network", "--console=read-only", "--link-journal=no"])
        .arg(format!("--machine=granary-{}", std::process::id()))
        .arg(format!("--directory={}", tree.display()))
        .arg(mount(package, "/root/granary.deb"))
        .arg(mount(&source.join("installed.sh"), "/root/installed.sh"))
        .arg(mount(
            &source.join("installed.service"),
            "/etc/systemd/system/installed.service",
        ))
        .args(["systemd.unit=installed.service", "systemd.show_status=no"])
        .args(["systemd.log_level=err", "systemd.getty_auto=no"])
        .stdin(Stdio::null());
    finish(&mut start).context(
        "the package does not do in a fresh Debian what it should, as said above; or systemd-nspawn could not start one: it \
         must be root and may make namespaces and control groups (in a container: --privileged)",
    )
}

//! A temporary folder and the processes that work in it, which both go, whatever becomes of the test.
//!
//! Rust drops no statics, and no process runs anything once it is killed. So beside each folder stands a watchdog, a shell
//! that reads from a pipe whose other end is held by the test process alone. The pipe closes when the folder is dropped
//! and when the process ends, in whatever way; then the watchdog ends every process whose working directory is in the
//! folder, and removes it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::programs::{User, run};

/// What the watchdog does once the pipe is closed. SIGQUIT is PostgreSQL's immediate stop, in which it gives back its shared
/// memory; what it could not give back, because it was killed, is named in its file of its process.
const WATCHDOG: &str = r#"
folder=$1
cat >/dev/null
inside() {
    ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n "s|.*/proc/\([0-9]*\)/cwd -> $folder.*|\1|p"
}
pids=$(inside)
[ -z "$pids" ] || kill -QUIT $pids 2>/dev/null
turns=0
while pids=$(inside); [ -n "$pids" ]; do
    turns=$((turns + 1))
    [ $turns -lt 100 ] || kill -KILL $pids 2>/dev/null
    sleep 0.02
done
for file in "$folder"/*/postmaster.pid; do
    [ -f "$file" ] || continue
    set -- $(sed -n 7p "$file")
    [ -z "$2" ] || ipcrm -m "$2" 2>/dev/null
done
rm -rf "$folder"
"#;

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    user: Option<User>,
    watchdog: Child,
    /// Open for as long as the folder is needed.
    pipe: Option<ChildStdin>,
}

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("granary-test-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let user = User::other_than_root()?;
        if let Some(user) = user {
            user.owns(folder.path())?;
        }
        // As the kernel names it, where it stands for the working directory of a process.
        let path = folder.path().canonicalize()?;
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not of our group: Ctrl-C is for the test, and for the watchdog only then.
            .process_group(0)
            .spawn()
            .context("cannot start the watchdog")?;
        // From here on it is the watchdog's to remove.
        let _ = folder.keep();
        let pipe = watchdog.stdin.take();
        Ok(Self {
            path,
            user,
            watchdog,
            pipe,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has a command work in the folder, as somebody whom PostgreSQL runs for.
    pub(crate) fn works<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(&self.path).process_group(0);
        if let Some(user) = self.user {
            user.runs(command);
        }
        command
    }

    /// Kills every process that works in the folder, `first` before the others, and waits until all are gone but those
    /// that their parent has not looked after yet.
    pub(crate) fn kill_all(&self, first: u32) -> Result<()> {
        for _ in 0..2_000 {
            let mut pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            pids.sort_by_key(|pid| *pid != first);
            signal("KILL", &pids)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        anyhow::bail!("processes in {} do not die", self.path.display())
    }

    /// The processes whose working directory is in the folder.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Of those that belong to others, or are gone by now, it cannot be read.
            if fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(&self.path)) {
                found.push(pid);
            }
        }
        Ok(found)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.watchdog.wait();
    }
}

/// Sends a signal; that some of them are gone already is no error.
pub(crate) fn signal(name: &str, pids: &[u32]) -> Result<()> {
    ensure!(!pids.is_empty(), "no process to signal");
    let script = r#"name=$1; shift; kill -"$name" "$@" 2>/dev/null; true"#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "signal", name]);
    run(command.args(pids.iter().map(u32::to_string))).map(drop)
}

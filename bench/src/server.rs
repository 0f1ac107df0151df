//! A `granary serve` process, and what the system says of it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A server in a process of its own.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    url: String,
}

impl Server {
    /// Starts a server on the folder `data`, and waits until it serves.
    pub(crate) async fn start(data: &Path) -> Result<Self> {
        let here = std::env::current_exe()?;
        let binary = here.with_file_name("granary");
        ensure!(
            binary.exists(),
            "{} is missing: cargo build --release -p granary",
            binary.display()
        );
        let mut child = Command::new(binary)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.join("data"))
            .env("GRANARY_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("the server did not start")?;
        let started: serde_json::Value = serde_json::from_str(&line)?;
        let url = started["url"]
            .as_str()
            .context("the server does not say where it serves")?
            .to_owned();
        let pid = child.id().context("the server has ended")?;
        Ok(Self { child, pid, url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A line of `/proc/PID/status` that is in kB: `VmRSS` or `VmHWM`.
    pub(crate) fn memory_bytes(&self, line: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let value = status
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes = value
            .and_then(|v| v.trim().strip_suffix(" kB"))
            .context("no such line in status")?;
        Ok(kilobytes.trim().parse::<u64>()? * 1024)
    }

    /// The CPU time that the process has taken, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        // In hundredths of a second on Linux; the name of the process may hold blanks, and ends with `)`.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        let ticks =
            |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short stat")?.parse::<f64>()?) };
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()
            .await?;
        ensure!(asked.success(), "could not send SIGTERM");
        let status = self.child.wait().await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

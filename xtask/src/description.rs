//! The description of the API in use: linted, shown as a page, turned into clients that do what clients do, and held against
//! what a server answers to whatever is sent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::install::{VENV, programs_for_clients};
use crate::test::finish;

/// Where the programs that use it are.
const HERE: &str = "openapi/tests";
/// What is made on the way.
const MADE: &str = "target/openapi";

/// Does all of it.
pub(crate) fn used() -> Result<()> {
    programs_for_clients()?;
    fs::create_dir_all(format!("{HERE}/made"))?;
    node(
        "spectral",
        &["lint", "../granary.json", "--fail-severity", "hint"],
    )?;
    node(
        "openapi-typescript",
        &["../granary.json", "--output", "made/granary.d.ts"],
    )?;
    node("tsc", &[])?;
    let client = format!("{MADE}/python/granary_client");
    finish(
        python("openapi-python-client")?
            .args([
                "generate",
                "--path",
                "openapi/granary.json",
                "--overwrite",
                "--fail-on-warning",
            ])
            .args([
                "--meta",
                "none",
                "--config",
                &format!("{HERE}/python-client.yaml"),
            ])
            .args(["--output-path", &client]),
    )?;
    let server = Server::start("clients")?;
    let url = &server.url;
    finish(
        Command::new("node")
            .args(["--test", "page.test.mjs"])
            .current_dir(HERE)
            .env("GRANARY_URL", url),
    )?;
    finish(
        Command::new("node")
            .args(["made/client.js", url])
            .current_dir(HERE),
    )?;
    finish(
        python("python")?
            .args([&format!("{HERE}/client.py"), url])
            .env("PYTHONPATH", format!("{MADE}/python")),
    )?;
    drop(server);
    held_against_a_server()
}

/// Whatever is sent, the server answers what is described. It has what the examples of the description are of.
fn held_against_a_server() -> Result<()> {
    let server = Server::start("schemathesis")?;
    let prepared = Command::new("node")
        .args(["prepare.mjs", &server.url])
        .current_dir(HERE)
        .output()?;
    let said = String::from_utf8_lossy(&prepared.stderr);
    ensure!(
        prepared.status.success(),
        "an example of the description is not taken: {said}"
    );
    let prepared: Value = serde_json::from_slice(&prepared.stdout)?;
    let said = |name: &str| {
        prepared[name]
            .as_str()
            .map(str::to_owned)
            .context("a name is missing")
    };
    finish(
        python("schemathesis")?
            .args(["--config-file", &format!("{HERE}/schemathesis.toml")])
            .args(["run", "openapi/granary.json", "--url", &server.url])
            .env("PYTHONPATH", HERE)
            .env("GRANARY_KEY", said("key")?)
            .env("GRANARY_TASK", said("task")?),
    )
}

/// A program that npm has installed.
fn node(name: &str, arguments: &[&str]) -> Result<()> {
    let program = Path::new(HERE)
        .join("node_modules/.bin")
        .join(name)
        .canonicalize()?;
    finish(Command::new(program).args(arguments).current_dir(HERE))
}

/// A program of the virtual environment.
fn python(name: &str) -> Result<Command> {
    let program = Path::new(VENV).join("bin").join(name);
    ensure!(program.exists(), "{} is missing", program.display());
    let mut command = Command::new(std::path::absolute(program)?);
    // The generator cleans up what it made by a program that stands beside it.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env(
        "PATH",
        format!(
            "{}:{path}",
            std::path::absolute(Path::new(VENV).join("bin"))?.display()
        ),
    );
    Ok(command)
}

/// The binary, which stands beside this one.
fn granary() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("granary"))
}

/// A server on a folder of its own; ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(name: &str) -> Result<Self> {
        let data = Path::new(MADE).join(name);
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(MADE)?;
        let mut child = Command::new(granary()?)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("GRANARY_LOG", "error")
            .env("GRANARY_DRAIN", "0")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut server = Self {
            child,
            url: String::new(),
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let started: Value = serde_json::from_str(&line).context("the server does not start")?;
        let url = started["url"]
            .as_str()
            .context("the server does not say where it serves")?;
        server.url = url.trim_end_matches('/').to_owned();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

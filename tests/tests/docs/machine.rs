//! The machine of who reads a page: a folder, the command line, and the servers that run there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use granary_test_postgres::Cluster;
use granary_tests::{Server, binary};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::console::{INTERRUPT, Step};
use super::learned::Learned;
use super::run::PATIENCE;

/// Where pages have a server, unless they say otherwise.
const ADDRESS: &str = "127.0.0.1:8080";
/// The database that pages speak of; a page that does has an empty one.
const DATABASE: &str = "postgres://granary:secret@db.example.org/granary";
/// What starts a server that goes on beside the commands after it.
const SERVE: &str = "granary serve";

/// What a command came to.
pub(crate) struct Ran {
    /// What it wrote to stdout and stderr, as a terminal shows it.
    pub(crate) output: String,
    pub(crate) succeeded: bool,
}

pub(crate) struct Machine {
    folder: TempDir,
    /// That of a page that starts none itself.
    _server: Option<Server>,
    started: Vec<Started>,
    /// Names of the page, and what they stand for in this run: addresses of servers, the database.
    names: BTreeMap<String, String>,
    /// The code of the last command.
    code: i32,
}

/// A server that the page has started.
struct Started {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Machine {
    /// One for this page. Where the page starts no server there is one already, on an empty store.
    pub(crate) async fn new(page: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("home"))?;
        let mut names = BTreeMap::new();
        let mut server = None;
        if !page.contains(&format!("$ {SERVE}")) {
            let started = Server::start(&folder.path().join("store")).await?;
            listens(&mut names, ADDRESS, address(&started.url)?);
            server = Some(started);
        }
        if page.contains(DATABASE) {
            static DATABASES: AtomicUsize = AtomicUsize::new(0);
            let name = format!("docs_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
            let cluster = Cluster::shared();
            cluster.create_database(&name, None);
            names.insert(DATABASE.to_owned(), cluster.url(&name));
        }
        Ok(Self {
            folder,
            _server: server,
            started: Vec::new(),
            names,
            code: 0,
        })
    }

    /// Where the server is that requests of the page go to.
    pub(crate) fn url(&self) -> Result<String> {
        let address = self.names.get(ADDRESS).context("no server was started yet")?;
        Ok(format!("http://{address}"))
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Writes a file into the folder that commands are run in.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.home().join(name), self.in_names_of_run(text))?)
    }

    /// Runs one command of the page, and tells what it printed in the names of the page.
    pub(crate) async fn run(&mut self, step: &Step, learned: &mut Learned) -> Result<Ran> {
        let mut command = learned.sent(&step.command);
        if command == INTERRUPT {
            return self.interrupt().await;
        }
        if command.starts_with(SERVE) {
            return self.serve(command).await;
        }
        command = self.in_names_of_run(&command);
        // `$?` is that of the command before.
        let ran = self.shell(&format!("(exit {})\n{command}", self.code))?.output();
        let ran = tokio::time::timeout(PATIENCE, ran)
            .await
            .context("it does not end")??;
        self.code = ran.status.code().context("it was killed")?;
        Ok(Ran {
            output: self.in_names_of_page(&String::from_utf8(ran.stdout)?),
            succeeded: ran.status.success(),
        })
    }

    /// A shell in the folder of the page, whose `granary` is the one that was built and talks to the server of the page.
    fn shell(&self, script: &str) -> Result<Command> {
        let beside = binary()?;
        let mut path = vec![beside.parent().context("the binary is in no folder")?.to_owned()];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("exec 2>&1\n{script}"))
            .current_dir(self.home());
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GRANARY_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        command
            .env("PATH", std::env::join_paths(path)?)
            .env("GRANARY_LOG", "warn,granary::audit=off")
            .env("GRANARY_DRAIN", "0")
            .env("GRANARY_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Ok(url) = self.url() {
            command.env("GRANARY_SERVER", url);
        }
        Ok(command)
    }

    /// Starts a server, at a free address in place of the one that the page names, and waits until it serves.
    async fn serve(&mut self, mut command: String) -> Result<Ran> {
        let mut words = command.split_whitespace().skip_while(|word| *word != "--listen");
        let name = words.nth(1).unwrap_or(ADDRESS).to_owned();
        command = command.replace(&format!(" --listen {name}"), "");
        command = self.in_names_of_run(&command);
        let mut child = self.shell(&format!("exec {command}"))?.spawn()?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut started = Started {
            child,
            output: BufReader::new(stdout).lines(),
        };
        let mut output = String::new();
        loop {
            let line = tokio::time::timeout(PATIENCE, started.output.next_line()).await;
            let Some(line) = line.context("the server does not start")?? else {
                let status = started.child.wait().await?;
                self.code = status.code().context("the server was killed")?;
                let output = self.in_names_of_page(&output);
                return Ok(Ran {
                    output,
                    succeeded: status.success(),
                });
            };
            output.push_str(&line);
            output.push('\n');
            if let Ok(actual) = address(&line) {
                listens(&mut self.names, &name, actual);
                break;
            }
        }
        self.started.push(started);
        Ok(Ran {
            output: self.in_names_of_page(&output),
            succeeded: true,
        })
    }

    /// Ends the server that was started last, as Ctrl-C does.
    async fn interrupt(&mut self) -> Result<Ran> {
        let Some(mut server) = self.started.pop() else {
            bail!("no server was started that could be interrupted")
        };
        let pid = server
            .child
            .id()
            .context("the server has ended already")?
            .to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().await?;
        ensure!(sent.success(), "cannot interrupt the server");
        let mut output = String::new();
        let ended = async {
            while let Some(line) = server.output.next_line().await? {
                output.push_str(&line);
                output.push('\n');
            }
            server.child.wait().await
        };
        let status = tokio::time::timeout(PATIENCE, ended)
            .await
            .context("the server does not stop")??;
        self.code = status.code().context("the server was killed")?;
        Ok(Ran {
            output: self.in_names_of_page(&output),
            succeeded: status.success(),
        })
    }

    fn in_names_of_run(&self, text: &str) -> String {
        let one = |text: String, (name, actual): (&String, &String)| text.replace(name, actual);
        self.names.iter().fold(text.to_owned(), one)
    }

    /// What was printed, in lines that end where their text does.
    fn in_names_of_page(&self, output: &str) -> String {
        let one = |output: String, (name, actual): (&String, &String)| output.replace(actual, name);
        let output = self.names.iter().fold(output.to_owned(), one);
        output
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

/// Notes where the server of a page is, by either name of this machine.
fn listens(names: &mut BTreeMap<String, String>, name: &str, actual: &str) {
    for name in [name.to_owned(), name.replace("127.0.0.1", "localhost")] {
        names.insert(name, actual.to_owned());
    }
}

/// The address in the last URL of a text.
fn address(text: &str) -> Result<&str> {
    let (_, behind) = text.rsplit_once("http://").context("it names no URL")?;
    behind
        .split_whitespace()
        .next()
        .context("the URL names no address")
}

//! `granary demo`: the main job on real data. It checks what it shows, so it is a test as well.

mod examples;
mod reading;
mod show;
mod steps;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use futures::FutureExt;
use futures::future::FusedFuture;
use serde::Serialize;

use super::serve::stop_signal;
use super::switch;
use crate::exit::Ended;
use crate::output::{BAD, BOLD, GOOD, NAME, Output, counted};
use granary_server::AccessOptions;

use crate::start::{Role, ServerOptions, start_server};
use crate::store::{FolderSettings, PostgresSettings, StoreAt};
use show::{Seen, Show};

/// See it all on real data: the airports of the world
///
/// Starts a server in a fresh folder, defines a source with profiles and relationship definitions, sends the bulk
/// requests, one of them with faults, shows what became of them and reads records back. Then the server stays up
/// until Ctrl-C, to try it by hand.
///
/// Everything shown is checked as well: the exit code is 1 if anything is not as it should be.
///
/// The data comes from airportsdata, OurAirports, iso3166 and the Unicode CLDR; see --licenses.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// An empty folder to keep the data in; else a temporary one, removed at the end
    #[arg(long, env = "GRANARY_DEMO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "GRANARY_DEMO_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        value_parser = super::listen_address,
    )]
    listen: SocketAddr,
    /// End when all has been shown
    #[arg(long, env = "GRANARY_DEMO_EXIT", value_parser = switch())]
    exit: bool,
    /// Print the licences of the data, and nothing else
    #[arg(long, env = "GRANARY_DEMO_LICENSES", value_parser = switch())]
    licenses: bool,
}

/// What the demo found, for `--json`.
#[derive(Serialize)]
struct Found<'a> {
    url: String,
    data: &'a Path,
    #[serde(flatten)]
    seen: &'a Seen,
}

impl Demo {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<Ended> {
        if self.licenses {
            return licenses(output);
        }
        let temporary;
        let data = match &self.data {
            Some(data) => {
                must_be_fresh(data)?;
                data.as_path()
            }
            None => {
                temporary = tempfile::Builder::new().prefix("granary-demo-").tempdir()?;
                temporary.path()
            }
        };
        let mut stop = pin!(stop_signal()?.fuse());
        let start = Instant::now();
        let options = ServerOptions {
            store: StoreAt::Folder(data.to_owned()),
            folder: FolderSettings::default(),
            postgres: PostgresSettings::default(),
            listen: self.listen,
            tls: None,
            role: Role::All,
            access: AccessOptions::default(),
        };
        let mut running = start_server(options).await.context("cannot start the server")?;
        let url = running.url();
        let mut ended = tokio::select! {
            ended = self.show(&url, data, start.elapsed(), output) => ended,
            died = running.ended() => return stopped_by_itself(died),
            // Called off before all was shown.
            signal = &mut stop => signal.map(|_| Ended::Badly),
        };
        if ended.is_ok() && !self.exit && !stop.is_terminated() {
            output.note(format_args!(
                "The server stays up at {NAME}{url}{NAME:#} until Ctrl-C: open it in a browser for the console."
            ));
            tokio::select! {
                died = running.ended() => return stopped_by_itself(died),
                signal = &mut stop => ended = signal.and(ended),
            }
        }
        // Closed before its folder goes, whatever happened.
        running.stop().await?;
        ended
    }

    async fn show(
        &self,
        url: &str,
        data: &Path,
        started: Duration,
        output: &mut Output,
    ) -> anyhow::Result<Ended> {
        let seen = Show::new(url, output)?.all(data, started, !self.exit).await?;
        if output.json {
            output.json_line(&Found {
                url: url.to_owned(),
                data,
                seen: &seen,
            })?;
        }
        output.flush()?;
        let wrong: Vec<_> = seen.checks.iter().filter(|check| !check.holds).collect();
        let all = counted(seen.checks.len() as u64, "check");
        match wrong.len() as u64 {
            0 => output.note(format_args!(
                "{GOOD}All as it should be{GOOD:#}: {all} made on the way."
            )),
            number => {
                output.note(format_args!(
                    "{BAD}Not as it should be{BAD:#}: {} of {all}",
                    number
                ));
                wrong
                    .iter()
                    .for_each(|check| output.note(format_args!("  {}", check.what)));
            }
        }
        Ok(if wrong.is_empty() {
            Ended::Well
        } else {
            Ended::Badly
        })
    }
}

fn licenses(output: &mut Output) -> anyhow::Result<Ended> {
    for file in examples::LICENSES {
        output.line(format_args!("{BOLD}{}{BOLD:#}\n", file.name))?;
        output.raw(file.bytes)?;
        output.line("")?;
    }
    Ok(Ended::Well)
}

fn stopped_by_itself(died: anyhow::Result<()>) -> anyhow::Result<Ended> {
    died.context("the server stopped by itself")?;
    bail!("the server stopped by itself");
}

/// The demo must not write into data that someone needs.
fn must_be_fresh(data: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(data) {
        Ok(mut entries) => match entries.next() {
            Some(_) => bail!(
                "{} is not empty; name a folder that is, or leave --data off",
                data.display()
            ),
            None => Ok(()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", data.display())),
    }
}

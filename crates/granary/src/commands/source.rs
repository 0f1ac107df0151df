//! `granary source`: the sources of a server.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use granary_client::Client;
use granary_client::api::sources::{Source as Shown, SourceType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::definition::{key_of, read};
use super::{all_of, confirmed, switch};
use crate::exit::Ended;
use crate::output::{Output, word};

/// Sources: containers with their own profiles and data
#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// Create a source; one that is there stays as it is
    ///
    /// Of a file, {"key": "clinic", "type": "registry"} in JSON or YAML, the key is the name of the file without its
    /// extension where it holds none. One as `show --json` writes it will do.
    #[command(visible_alias = "create")]
    Apply {
        /// Its key
        #[arg(required_unless_present = "files")]
        key: Option<String>,
        /// A file that holds it, `-` is stdin; may be given several times
        #[arg(
            short,
            long = "file",
            env = "GRANARY_FILE",
            value_name = "FILE",
            conflicts_with = "key"
        )]
        files: Vec<PathBuf>,
    },
    /// List the sources
    #[command(visible_alias = "ls")]
    List,
    /// Show a source
    Show {
        /// Its key
        key: String,
    },
    /// Delete a source that holds no data
    ///
    /// With --purge it goes with all it holds: it is gone at once, and its space is freed in the background. On a terminal
    /// that is asked for first.
    Delete {
        /// Its key
        key: String,
        /// Delete all its definitions, records and tasks with it
        #[arg(long, env = "GRANARY_PURGE", value_parser = switch())]
        purge: bool,
        /// Do not ask first
        #[arg(short, long, env = "GRANARY_YES", value_parser = switch())]
        yes: bool,
    },
}

impl Source {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        match self {
            Self::Apply { key, files } => {
                for key in key.iter() {
                    apply(key, client, output).await?;
                }
                for file in &files {
                    apply(&key_in(file).await?, client, output).await?;
                }
            }
            Self::List => {
                let sources = all_of(async |query| client.sources(query).await).await?;
                show(output, &sources)?;
            }
            Self::Show { key } => show(output, &[client.get_source(&key).await?])?,
            Self::Delete { key, purge, yes } => {
                let question = format!("delete source {key} with all it holds? It cannot be undone");
                if purge && !confirmed(&question, yes, output)? {
                    return Ok(Ended::Badly);
                }
                client.delete_source(&key, purge).await?;
                output.status("Deleted", format_args!("source {key}"));
            }
        }
        Ok(Ended::Well)
    }
}

async fn apply(key: &str, client: &Client, output: &mut Output) -> anyhow::Result<()> {
    let put = client.put_source(key).await?;
    output.status(
        if put.created { "Created" } else { "Unchanged" },
        format_args!("source {key}"),
    );
    match output.json {
        true => output.json_line(&put.value),
        false => Ok(()),
    }
}

/// What a file holds: there is one type of source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Option<String>,
    #[serde(rename = "type")]
    _source_type: SourceType,
    /// What only the server gives; here so that one as it is shown can be applied.
    #[serde(default, rename = "createdAt")]
    _created_at: IgnoredAny,
}

/// The key of the source in a file.
async fn key_in(path: &Path) -> anyhow::Result<String> {
    let from = path.display();
    let json = read(path).await.with_context(|| format!("cannot read {from}"))?;
    let file: File = serde_json::from_slice(&json).with_context(|| format!("{from} is no source"))?;
    match file.key {
        Some(key) => Ok(key),
        None => key_of(path).with_context(|| format!("{from} has no 'key'")),
    }
}

fn show(output: &mut Output, sources: &[Shown]) -> anyhow::Result<()> {
    output.rows(&["KEY", "TYPE", "CREATED"], sources, |source| {
        vec![
            source.key.to_string(),
            word(&source.source_type),
            source.created_at.to_string(),
        ]
    })
}

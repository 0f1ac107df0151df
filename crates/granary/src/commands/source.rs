//! `granary source`: the sources of a server.

use clap::Subcommand;
use granary_client::Client;
use granary_client::api::sources::Source as Shown;

use super::{all_of, switch};
use crate::exit::Ended;
use crate::output::{Output, word};

/// Sources: containers with their own profiles and data
#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// Create a source; one that is there stays as it is
    Apply {
        /// Its key
        key: String,
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
    /// With --purge it goes with all it holds: it is gone at once, and its space is freed in the background.
    Delete {
        /// Its key
        key: String,
        /// Delete all its definitions, records and tasks with it
        #[arg(long, env = "GRANARY_PURGE", value_parser = switch())]
        purge: bool,
    },
}

impl Source {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        match self {
            Self::Apply { key } => {
                let put = client.put_source(&key).await?;
                output.status(
                    if put.created { "Created" } else { "Unchanged" },
                    format_args!("source {key}"),
                );
                if output.json {
                    output.json_line(&put.value)?;
                }
            }
            Self::List => {
                let sources = all_of(async |query| client.sources(query).await).await?;
                show(output, &sources)?;
            }
            Self::Show { key } => show(output, &[client.get_source(&key).await?])?,
            Self::Delete { key, purge } => {
                client.delete_source(&key, purge).await?;
                output.status("Deleted", format_args!("source {key}"));
            }
        }
        Ok(Ended::Well)
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

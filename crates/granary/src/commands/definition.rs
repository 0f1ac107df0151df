//! `granary profile` and `granary relationship-definition`: the schema of a source.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use granary_client::api::definitions::{Definition as Shown, Members};
use granary_client::{Client, DefinitionKind};

use super::{InSource, all_of};
use crate::exit::Ended;
use crate::output::{Output, counted};

// Both kinds take the same subcommands; their own descriptions are where they are named, in `main.rs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Definition {
    /// Store definitions from JSON or YAML files, replacing those that are there
    ///
    /// The key is the one given, else the one in the file, else the name of the file without its extension. Several files
    /// are stored in the order given. What `show --json` writes can be applied again: what only the server gives is left
    /// out. A replaced definition judges what is written from then on; records that are stored stay.
    Apply(Apply),
    /// List them
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        within: InSource,
    },
    /// Show one, with its revision
    Show {
        #[command(flatten)]
        within: InSource,
        /// Its key
        key: String,
    },
    /// Delete one that is not in use
    Delete {
        #[command(flatten)]
        within: InSource,
        /// Its key
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    within: InSource,
    /// A file that holds it, `-` is stdin; may be given several times
    #[arg(
        short,
        long = "file",
        env = "GRANARY_FILE",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
    /// Its key, unless the file or its name says it
    key: Option<String>,
}

impl Definition {
    pub(crate) async fn run(
        self,
        kind: DefinitionKind,
        client: &Client,
        output: &mut Output,
    ) -> anyhow::Result<Ended> {
        match self {
            Self::Apply(apply) => apply.run(kind, client, output).await?,
            Self::List { within } => {
                let source = client.source(within.source);
                let definitions = all_of(async |query| source.definitions(kind, query).await).await?;
                output.rows(
                    &["KEY", "REVISION", "UPDATED", "DESCRIPTION"],
                    &definitions,
                    |definition| {
                        vec![
                            definition.key.to_string(),
                            definition.revision.to_string(),
                            definition.updated_at.to_string(),
                            description(definition),
                        ]
                    },
                )?;
            }
            Self::Show { within, key } => {
                let definition = client.source(within.source).get_definition(kind, &key).await?;
                match output.json {
                    true => output.json_line(&definition)?,
                    false => output.pretty(&serde_json::to_string(&definition)?)?,
                }
            }
            Self::Delete { within, key } => {
                client.source(within.source).delete_definition(kind, &key).await?;
                output.status("Deleted", format_args!("{} {key}", kind.name()));
            }
        }
        Ok(Ended::Well)
    }
}

impl Apply {
    async fn run(self, kind: DefinitionKind, client: &Client, output: &mut Output) -> anyhow::Result<()> {
        if self.key.is_some() && self.files.len() > 1 {
            bail!(
                "one key cannot name {}; leave it off, and each is named by what it holds or by its name",
                counted(self.files.len() as u64, "file")
            );
        }
        let source = client.source(self.within.source);
        for file in &self.files {
            let json = read(file)
                .await
                .with_context(|| format!("cannot read {}", file.display()))?;
            let (json, own_key) = without_given(json);
            let key = match self.key.clone().or(own_key) {
                Some(key) => key,
                None => key_of(file)?,
            };
            let put = source.put_definition(kind, &key, json).await;
            let put =
                put.with_context(|| format!("cannot store {} {key} from {}", kind.name(), file.display()))?;
            let revision = put.value.revision;
            match put.created {
                true => output.status("Created", format_args!("{} {key}", kind.name())),
                false => output.status(
                    "Replaced",
                    format_args!("{} {key}, now revision {revision}", kind.name()),
                ),
            }
            if output.json {
                output.json_line(&put.value)?;
            }
        }
        Ok(())
    }
}

/// What the server gives a definition that is shown, beside the members that it was sent with.
const GIVEN: [&str; 4] = ["key", "revision", "createdAt", "updatedAt"];

/// A definition without what only the server gives, and its key where it has one. One without any of it stays as it is
/// written, also where it is no JSON, so that the server says what is wrong with it.
fn without_given(json: Vec<u8>) -> (Vec<u8>, Option<String>) {
    let Ok(Members(mut members)) = serde_json::from_slice(&json) else {
        return (json, None);
    };
    let key = members.iter().find(|(name, _)| name == "key");
    let key = key.map(|(_, value)| serde_json::from_str(value.get()));
    // One that is no text is for the server to judge.
    let (Ok(key), whole) = (key.transpose(), members.len()) else {
        return (json, None);
    };
    members.retain(|(name, _)| !GIVEN.contains(&name.as_str()));
    match members.len() < whole {
        true => (serde_json::to_vec(&Members(members)).unwrap_or(json), key),
        false => (json, None),
    }
}

/// The key that a file's name spells.
pub(super) fn key_of(file: &Path) -> anyhow::Result<String> {
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .filter(|stem| *stem != "-");
    stem.map(str::to_owned)
        .context("the name of the file is no key; name the key after it: … -f - KEY")
}

/// What a file holds as JSON, which it is unless its name or its first byte says that it is YAML.
pub(super) async fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let stdin = file == Path::new("-");
    let mut text = Vec::new();
    match stdin {
        true => drop(tokio::io::stdin().read_to_end(&mut text).await?),
        false => text = tokio::fs::read(file).await?,
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    let yaml = match extension {
        Some("yaml" | "yml") => true,
        _ => stdin && !text.trim_ascii_start().starts_with(b"{"),
    };
    if !yaml {
        return Ok(text);
    }
    let text = std::str::from_utf8(&text).context("it is not UTF-8")?;
    crate::yaml::to_json(text).map(String::into_bytes)
}

fn description(definition: &Shown) -> String {
    let found = definition
        .members
        .0
        .iter()
        .find(|(name, _)| name == "description");
    found
        .and_then(|(_, value)| serde_json::from_str(value.get()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_server_gives_is_left_out_and_all_else_stays_as_it_is() {
        let shown =
            br#"{"key":"k","revision":3,"createdAt":"x","updatedAt":"x", "a": 1.10,"properties":{"key":{}}}"#;
        let (sent, key) = without_given(shown.to_vec());
        assert_eq!(sent, br#"{"a":1.10,"properties":{"key":{}}}"#);
        assert_eq!(key.as_deref(), Some("k"));
        for same in [
            &b"{ \"a\" : 1 }"[..],
            b"{\"key\": 1, \"a\": 2}",
            b"[]",
            b"{",
            b"\xff",
        ] {
            assert_eq!(without_given(same.to_vec()), (same.to_vec(), None), "{same:?}");
        }
    }

    #[test]
    fn a_key_is_the_name_of_its_file() {
        assert_eq!(key_of(Path::new("profiles/airport.json")).unwrap(), "airport");
        assert_eq!(key_of(Path::new("airport")).unwrap(), "airport");
        for none in ["-", "", ".."] {
            assert!(key_of(Path::new(none)).is_err(), "{none}");
        }
    }
}

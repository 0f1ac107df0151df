//! `granary key`: API keys, of a server or of a store that no server works with yet.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use granary_client::Client;
use granary_client::api::keys::{Key as Shown, KeyCreated, KeyWrite};
use granary_core::access::{KeyRecord, Role, Sources};
use granary_core::ksuid::Ksuid;
use granary_engine::{Clock as _, NewKey, SystemClock, error_object};

use super::{all_of, confirmed, switch};
use crate::exit::Ended;
use crate::output::{Output, word};
use crate::settings::limits;
use crate::store::{self, FolderSettings, Opened, PostgresSettings, StoreAt};

/// API keys: who may call a server, and what for
///
/// Until the first key is created a server serves its own machine only, and whoever is on it; from then on every call
/// takes a key. The first is created in the store, before a server starts (--data, --store), or at a server that has none
/// yet. With --store and --data no key is asked for: who can write to the store can do all.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Create a key
    ///
    /// It is shown once, and only a hash of it is kept. Keep it where only its user reads it, and give it to the command
    /// line in GRANARY_API_KEY or with --key-file.
    Create(Create),
    /// List the keys
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a key: it is not valid any more
    ///
    /// On a terminal it is asked first whether the last one of an admin is to go.
    Revoke {
        /// Its id
        id: String,
        /// Do not ask first
        #[arg(short, long, env = "GRANARY_YES", value_parser = switch())]
        yes: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it may do
    #[arg(long, env = "GRANARY_KEY_ROLE", value_enum)]
    role: KeyRole,
    /// A source that it is for; again for more of them [default: all]
    #[arg(short, long, env = "GRANARY_KEY_SOURCE", value_name = "KEY")]
    source: Vec<String>,
    /// What people call it, such as the program that has it
    #[arg(long, env = "GRANARY_KEY_NAME", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Where keys are, unless it is the server.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Work on the store in this folder, which no server has open; made if it is not there
    #[arg(long, env = "GRANARY_DATA", value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// Work on the store in PostgreSQL, beside the servers that share it: postgres://user:password@host/database
    #[arg(long, env = "GRANARY_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// The certificate that the database's is checked by, as PEM; else those that this machine trusts
    #[arg(long, env = "GRANARY_POSTGRES_ROOT_CERTIFICATE", value_name = "FILE")]
    postgres_root_certificate: Option<PathBuf>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum KeyRole {
    /// Read
    Reader,
    /// Also write data and run tasks
    Writer,
    /// Also change sources, definitions, vocabularies and keys
    Admin,
}

impl From<KeyRole> for Role {
    fn from(role: KeyRole) -> Self {
        match role {
            KeyRole::Reader => Self::Reader,
            KeyRole::Writer => Self::Writer,
            KeyRole::Admin => Self::Admin,
        }
    }
}

impl Place {
    /// The store, where it is one and not a server.
    async fn open(self) -> anyhow::Result<Option<(StoreAt, Opened)>> {
        let at = match (self.store, self.data) {
            (Some(store), _) => store.parse()?,
            (None, Some(folder)) => StoreAt::Folder(folder),
            (None, None) => return Ok(None),
        };
        let postgres = PostgresSettings {
            root_certificate: self.postgres_root_certificate,
            connections: 2,
            ..PostgresSettings::default()
        };
        let opened = store::open(&at, FolderSettings::default(), postgres, &limits()?).await?;
        Ok(Some((at, opened)))
    }
}

impl Key {
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> anyhow::Result<Client>,
        output: &mut Output,
    ) -> anyhow::Result<Ended> {
        match self {
            Self::Create(create) => create.run(client, output).await?,
            Self::List { place } => match place.open().await? {
                None => {
                    let client = client()?;
                    list(output, &all_of(async |query| client.keys(query).await).await?)?;
                }
                Some((_, opened)) => {
                    let stored = opened.store.access().keys().await;
                    let keys = stored.map_err(error_object)?.keys;
                    list(output, &keys.into_iter().map(shown).collect::<Vec<_>>())?;
                    opened.store.close().await?;
                }
            },
            Self::Revoke { id, yes, place } => {
                match place.open().await? {
                    None => {
                        let client = client()?;
                        let keys = all_of(async |query| client.keys(query).await).await?;
                        let admins = keys.iter().filter(|key| key.role == Role::Admin);
                        let admins: Vec<&str> = admins.map(|key| key.id.as_str()).collect();
                        if !may_go(&id, &admins, yes, output)? {
                            return Ok(Ended::Badly);
                        }
                        client.revoke_key(&id).await?;
                    }
                    Some((_, opened)) => {
                        let none =
                            || anyhow::anyhow!("'{id}' is no id of a key; `granary key list` shows them");
                        let known = Ksuid::parse(&id).ok_or_else(none)?;
                        let keys = opened.store.access().keys().await.map_err(error_object)?.keys;
                        let admins = keys.iter().filter(|key| key.role == Role::Admin);
                        let admins: Vec<String> = admins.map(|key| key.id.to_string()).collect();
                        let admins: Vec<&str> = admins.iter().map(String::as_str).collect();
                        if !may_go(&id, &admins, yes, output)? {
                            opened.store.close().await?;
                            return Ok(Ended::Badly);
                        }
                        let revoked = opened.store.access().revoke_key(known).await;
                        revoked.map_err(error_object)?;
                        opened.store.close().await?;
                    }
                }
                output.status("Revoked", format_args!("key {id}"));
            }
        }
        Ok(Ended::Well)
    }
}

impl Create {
    async fn run(
        self,
        client: impl FnOnce() -> anyhow::Result<Client>,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let (role, name) = (self.role.into(), self.name);
        let sources = (!self.source.is_empty()).then_some(self.source);
        let (created, place) = match self.place.open().await? {
            None => {
                let client = client()?;
                let created = client.create_key(&KeyWrite { name, role, sources }).await?;
                (created, client.server().to_string())
            }
            Some((at, opened)) => {
                let new = NewKey { name, role, sources };
                let (store, now) = (opened.store.as_ref(), SystemClock::default().now());
                let (key, record) = granary_engine::create_key(store, &limits()?, new, now).await?;
                opened.store.close().await?;
                let created = KeyCreated {
                    id: record.id.to_string(),
                    key: key.reveal().to_owned(),
                    name: record.name.map(|name| name.as_str().to_owned()),
                    role: record.role,
                    sources: record.sources,
                };
                (created, at.to_string())
            }
        };
        let KeyCreated {
            id, role, sources, ..
        } = &created;
        let sources = match sources {
            Sources::All => "all sources".to_owned(),
            some => some.names().join(", "),
        };
        output.status(
            "Created",
            format_args!(
                "key {id}, {} of {sources}, in {place}; it is not shown again",
                role.name()
            ),
        );
        // The key alone, so that it can go to a file.
        match output.json {
            true => output.json_line(&created),
            false => output.line(&created.key),
        }
    }
}

/// Whether a key is to be revoked: asked where it is the last one of an admin.
fn may_go(id: &str, admins: &[&str], yes: bool, output: &Output) -> anyhow::Result<bool> {
    let question =
        "revoke the last key of an admin? Another is then created only in the store, with --data or --store";
    Ok(admins != [id] || confirmed(question, yes, output)?)
}

fn shown(key: KeyRecord) -> Shown {
    Shown {
        id: key.id.to_string(),
        name: key.name.map(|name| name.as_str().to_owned()),
        role: key.role,
        sources: key.sources,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
    }
}

fn list(output: &mut Output, keys: &[Shown]) -> anyhow::Result<()> {
    output.rows(
        &["ID", "NAME", "ROLE", "SOURCES", "CREATED", "LAST USED"],
        keys,
        |key| {
            vec![
                key.id.clone(),
                key.name.clone().unwrap_or_default(),
                word(&key.role),
                key.sources.names().join(" "),
                key.created_at.to_string(),
                key.last_used_at.map(|at| at.to_string()).unwrap_or_default(),
            ]
        },
    )
}

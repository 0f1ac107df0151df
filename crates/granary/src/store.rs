//! Which store a server runs on, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use granary_core::limits::Limits;
use granary_engine::{Disk, EngineOptions};
use granary_store::{Store, StoreLimits};
use granary_store_embedded::{Collection, EmbeddedStore, Runs};
use granary_store_postgres::{PostgresOptions, PostgresStore};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAt {
    /// The embedded store, in this folder.
    Folder(PathBuf),
    /// PostgreSQL.
    Postgres(PostgresUrl),
}

/// A URL of PostgreSQL. What is shown of it are its hosts and the database, never the user or the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl {
    raw: String,
    hosts: String,
    database: String,
}

impl PostgresUrl {
    /// All of it, the password too.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }
}

/// The database of a URL that names none.
const DATABASE: &str = "granary";

impl FromStr for StoreAt {
    type Err = anyhow::Error;

    // No message quotes the text: it may hold a password.
    fn from_str(raw: &str) -> anyhow::Result<Self> {
        let mut schemes = ["postgres://", "postgresql://"].into_iter();
        if let Some(rest) = schemes.find_map(|scheme| raw.strip_prefix(scheme)) {
            return Ok(Self::Postgres(PostgresUrl::parse(raw, rest)?));
        }
        if let Some(path) = raw.strip_prefix("file:") {
            let mut hosts = ["//localhost/", "///"].into_iter();
            let path = match hosts.find_map(|host| path.strip_prefix(host)) {
                Some(path) => format!("/{path}"),
                None => path.to_owned(),
            };
            ensure!(
                !path.is_empty() && !path.starts_with("//"),
                "--store names no folder of this machine; give it file:/path/to/folder, or the path alone"
            );
            return Ok(Self::Folder(path.into()));
        }
        ensure!(
            !raw.is_empty(),
            "--store is empty; give it a folder or postgres://…"
        );
        if raw.contains("://") {
            bail!(
                "--store is no URL that granary knows; give it postgres://user:password@host/database, or a folder"
            );
        }
        // As libpq takes it too: as a folder it would be served, and shown with its password.
        ensure!(
            !raw.contains('='),
            "--store takes a database as postgres://user:password@host/database, not as key=value; give a folder with \
             '=' in its name to --data"
        );
        Ok(Self::Folder(raw.into()))
    }
}

impl PostgresUrl {
    /// Strict about what is where, so that no part of a password is taken for a host and shown.
    fn parse(raw: &str, rest: &str) -> anyhow::Result<Self> {
        let wrong = "--store is no URL of PostgreSQL: postgres://user:password@host:port/database; in the user and the \
                     password write @ as %40, / as %2F, ? as %3F and : as %3A";
        let (main, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, place) = main.rsplit_once('@').unwrap_or(("", main));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let host = |host: &str| {
            let legal =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '%' | '[' | ']' | ':');
            // An address of version 6 is in brackets, and holds colons itself.
            let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
            let port = behind.split_once(':');
            host.chars().all(legal) && port.is_none_or(|(_, port)| port.parse::<u16>().is_ok())
        };
        ensure!(
            !credentials.contains(['@', '/'])
                && credentials.split(':').count() <= 2
                && !database.contains(['@', '/', ':'])
                && hosts.split(',').all(host)
                && (main.contains('@') || !query.contains('@')),
            wrong
        );
        let database = if database.is_empty() { DATABASE } else { database };
        Ok(Self {
            raw: raw.to_owned(),
            hosts: hosts.to_owned(),
            database: database.to_owned(),
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}/{}", self.hosts, self.database)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How a server works with a folder.
#[derive(Clone, Debug)]
pub(crate) struct FolderSettings {
    /// After how long what was deleted or overwritten is gone from the disk.
    pub(crate) erase_after: Duration,
}

impl Default for FolderSettings {
    fn default() -> Self {
        Self {
            erase_after: Collection::default().dead_kept,
        }
    }
}

impl FolderSettings {
    /// After so many days.
    pub(crate) fn erasing_after(days: u16) -> Self {
        Self {
            erase_after: DAY * u32::from(days),
        }
    }
}

/// How statements are sent to PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Statements {
    /// Prepared once a connection
    #[default]
    Prepared,
    /// Each by itself, for a pooler that hands out connections by the transaction, such as PgBouncer
    Unnamed,
}

impl From<Statements> for granary_store_postgres::Statements {
    fn from(statements: Statements) -> Self {
        match statements {
            Statements::Prepared => Self::Prepared,
            Statements::Unnamed => Self::Unnamed,
        }
    }
}

/// How a server works with PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct PostgresSettings {
    /// Connections at the most.
    pub(crate) connections: usize,
    /// How statements are sent.
    pub(crate) statements: Statements,
    /// What the certificate of the server is checked by; those that this machine trusts where it is `None`.
    pub(crate) root_certificate: Option<PathBuf>,
    /// How long a server that gives no sign of life keeps what it works at.
    pub(crate) lease: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            connections: 16,
            statements: Statements::default(),
            root_certificate: None,
            lease: Duration::from_secs(15),
        }
    }
}

/// A store and what suits it.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: EngineOptions,
}

/// Opens a store.
pub(crate) async fn open(
    at: &StoreAt,
    of_folder: FolderSettings,
    settings: PostgresSettings,
    limits: &Limits,
) -> anyhow::Result<Opened> {
    let limits = StoreLimits::from(limits);
    match at {
        StoreAt::Folder(folder) => {
            let path = folder.clone();
            let collection = Collection {
                dead_kept: of_folder.erase_after,
                // As long as their task, which the engine removes.
                failures_kept: Duration::MAX,
                ..Collection::default()
            };
            let opening = tokio::task::spawn_blocking(move || {
                EmbeddedStore::open_with(&path, limits, Runs::default(), collection)
            });
            Ok(Opened {
                store: Arc::new(opening.await??),
                engine: EngineOptions {
                    scratch_dir: folder.clone(),
                    disk: Disk::of(folder.clone()),
                    ..EngineOptions::default()
                },
            })
        }
        StoreAt::Postgres(url) => {
            // Where the failures of rejected requests go, in files without names.
            tempfile::tempfile().context("cannot make a temporary file; TMPDIR says where")?;
            let engine = EngineOptions {
                // A chunk is a transaction over the network, which costs some by itself, and must end well within the
                // lease.
                chunk_time: (settings.lease / 3).min(Duration::from_millis(200)),
                quantum: Duration::from_secs(1),
                ..EngineOptions::default()
            };
            let options = PostgresOptions {
                url: url.raw.clone(),
                connections: settings.connections,
                statements: settings.statements.into(),
                root_certificate: settings.root_certificate,
                lease: settings.lease,
                limits,
            };
            Ok(Opened {
                store: Arc::new(PostgresStore::open(options).await?),
                engine,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> StoreAt {
        raw.parse().unwrap_or_else(|error| panic!("{raw}: {error}"))
    }

    fn refused(raw: &str) -> String {
        match raw.parse::<StoreAt>() {
            Ok(at) => panic!("{raw}: {at}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_store_is_a_folder_or_postgresql() {
        for (raw, folder) in [
            ("./data", "./data"),
            ("/var/lib/granary", "/var/lib/granary"),
            ("file:data", "data"),
            ("file:/var/lib/granary", "/var/lib/granary"),
            ("file:///var/lib/granary", "/var/lib/granary"),
            ("file://localhost/var/lib/granary", "/var/lib/granary"),
        ] {
            assert_eq!(parsed(raw), StoreAt::Folder(folder.into()));
        }
        for raw in [
            "",
            "file:",
            "file://elsewhere/data",
            "https://example.org",
            "mysql://a:secret@b/c",
            "host=localhost user=ada password=secret",
        ] {
            let wrong = refused(raw);
            assert!(wrong.contains("--store") && !wrong.contains("secret"), "{wrong}");
        }
    }

    #[test]
    fn of_a_url_the_hosts_and_the_database_are_shown() {
        for (raw, shown) in [
            ("postgres://host", "postgres://host/granary"),
            ("postgresql://host:5432/", "postgres://host:5432/granary"),
            ("postgres://ada:secret@host/db", "postgres://host/db"),
            (
                "postgres://ada:se%40cret@a:1,b:2/db?sslmode=require",
                "postgres://a:1,b:2/db",
            ),
            ("postgres://ada@host/db?password=secret", "postgres://host/db"),
            ("postgres://ada:secret@[::1]:5432/db", "postgres://[::1]:5432/db"),
            (
                "postgres://ada:secret@/db?host=/var/run/postgresql",
                "postgres:///db",
            ),
        ] {
            assert_eq!(parsed(raw).to_string(), shown);
            assert_eq!(format!("{:?}", parsed(raw)), format!("Postgres({shown})"));
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_not_shown() {
        for raw in [
            "postgres://ada:sec@ret@host/db",
            "postgres://ada:sec/ret@host/db",
            "postgres://ada:sec?ret@host/db",
            "postgres://ada:sec:ret@host/db",
            "postgres://ada:sec#ret",
            "postgres://host/db:secret",
        ] {
            let wrong = refused(raw);
            assert!(wrong.contains("%40") && !wrong.contains("sec"), "{raw}: {wrong}");
        }
    }
}

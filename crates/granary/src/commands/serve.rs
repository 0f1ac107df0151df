//! `granary serve`: the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use granary_server::{AccessOptions, HeaderValue, Tls};
use sd_notify::NotifyState;

use crate::exit::Ended;
use crate::log::{LogFormat, start_log};
use crate::output::Output;
use crate::start::{Role, ServerOptions, start_server};
use crate::store::{FolderSettings, PostgresSettings, Statements, StoreAt};
use crate::traces::Traces;

/// Where the embedded store is unless something else is said.
const DATA: &str = "./granary-data";
/// For how long a server that shares its store says that it stops before it does.
const DRAIN: Duration = Duration::from_secs(10);

/// Start a server
///
/// Serves until Ctrl-C or SIGTERM, then refuses new work, finishes what it has begun (for 20 seconds at the most) and
/// closes its store. What was accepted before goes on at the next start, also after a crash.
///
/// Several servers share one store in PostgreSQL, and carry on where another dies. A folder belongs to one process.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The folder that holds everything; made if it is not there [default: ./granary-data]
    #[arg(long, env = "GRANARY_DATA", value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// The store: postgres://user:password@host/database, or a folder
    ///
    /// The user must be allowed to create tables. The connection is encrypted where the server can; with
    /// ?sslmode=require it always is, and the server's certificate is checked. On a command line others can read the password; in GRANARY_STORE they cannot.
    #[arg(long, env = "GRANARY_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "GRANARY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        value_parser = super::listen_address,
    )]
    listen: SocketAddr,
    /// The certificate to show, as PEM, with those that it was issued by behind it: the server then speaks TLS
    ///
    /// On SIGHUP it is read again with its key: replace both files, then send the signal.
    #[arg(long, env = "GRANARY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, env = "GRANARY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What this server is there for, where several share a store
    #[arg(long, env = "GRANARY_ROLE", value_enum, default_value = "all")]
    role: Role,
    /// How long to go on serving after SIGTERM [default: 10 with PostgreSQL, 0 with a folder]
    ///
    /// At once /readyz answers 503, so that a balancer sends clients elsewhere; when the time is over, new connections
    /// are refused and what has begun is finished. Ctrl-C does not wait.
    #[arg(long, env = "GRANARY_DRAIN", value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds(0.0))]
    drain: Option<Duration>,
    /// After how many days what was deleted or overwritten is gone from the folder [default: 30]
    ///
    /// Before that it goes where its space is wanted. What a backup holds stays there.
    #[arg(
        long,
        env = "GRANARY_ERASE_AFTER",
        value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(1..),
    )]
    erase_after: Option<u16>,
    /// A site whose pages may call, with an API key: https://console.example; again for more of them
    ///
    /// Browsers keep answers from pages of all others.
    #[arg(long, env = "GRANARY_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    cors_origin: Vec<HeaderValue>,
    /// How lines of the log are written; what they tell is set by GRANARY_LOG
    #[arg(long, env = "GRANARY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    postgres: Postgres,
}

/// What only a store in PostgreSQL knows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a store in PostgreSQL")]
struct Postgres {
    /// Connections of this server at the most, from 2 on [default: 16]
    #[arg(
        long,
        env = "GRANARY_POSTGRES_CONNECTIONS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(2..),
    )]
    postgres_connections: Option<u16>,
    /// How statements are sent [default: prepared]
    #[arg(long, env = "GRANARY_POSTGRES_STATEMENTS", value_enum)]
    postgres_statements: Option<Statements>,
    /// The certificate that the server's is checked by, as PEM; else those that this machine trusts
    #[arg(long, env = "GRANARY_POSTGRES_ROOT_CERTIFICATE", value_name = "FILE")]
    postgres_root_certificate: Option<PathBuf>,
    /// After how long without a sign of life of a server others take over its tasks [default: 15]
    #[arg(long, env = "GRANARY_LEASE", value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds(0.1))]
    lease: Option<Duration>,
}

impl Postgres {
    /// The first option that was given.
    fn given(&self) -> Option<&'static str> {
        let all = [
            (self.postgres_connections.is_some(), "--postgres-connections"),
            (self.postgres_statements.is_some(), "--postgres-statements"),
            (
                self.postgres_root_certificate.is_some(),
                "--postgres-root-certificate",
            ),
            (self.lease.is_some(), "--lease"),
        ];
        all.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }

    fn settings(self) -> PostgresSettings {
        let usual = PostgresSettings::default();
        PostgresSettings {
            connections: self.postgres_connections.map_or(usual.connections, usize::from),
            statements: self.postgres_statements.unwrap_or(usual.statements),
            root_certificate: self.postgres_root_certificate,
            lease: self.lease.unwrap_or(usual.lease),
        }
    }
}

impl Serve {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<Ended> {
        let traces = Traces::from_environment()?;
        start_log(self.log_format, traces.as_ref())?;
        let ended = self.serve(output).await;
        if let Some(traces) = traces {
            traces.stop().await;
        }
        ended
    }

    async fn serve(self, output: &mut Output) -> anyhow::Result<Ended> {
        let store = match self.store {
            Some(store) => store.parse()?,
            None => StoreAt::Folder(self.data.unwrap_or_else(|| DATA.into())),
        };
        let usual_drain = match &store {
            StoreAt::Folder(folder) => {
                if let Some(flag) = self.postgres.given() {
                    let folder = folder.display();
                    bail!(
                        "{flag} is for a store in PostgreSQL, and this one is the folder {folder}; leave it off"
                    );
                }
                Duration::ZERO
            }
            StoreAt::Postgres(at) => {
                if self.erase_after.is_some() {
                    bail!(
                        "--erase-after is for a store in a folder, and this one is {at}; leave it off, autovacuum decides there"
                    );
                }
                DRAIN
            }
        };
        let drain = self.drain.unwrap_or(usual_drain);
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(Arc::new(Tls::read(certificate, key)?)),
            _ => None,
        };
        if let Some(tls) = &tls {
            read_again_on_signal(Arc::clone(tls))?;
        }
        // Asked for before the server starts, so that a signal during the start is not lost.
        let stop = stop_signal()?;
        let options = ServerOptions {
            store: store.clone(),
            folder: self
                .erase_after
                .map_or_else(FolderSettings::default, FolderSettings::erasing_after),
            postgres: self.postgres.settings(),
            listen: self.listen,
            tls,
            role: self.role,
            access: AccessOptions {
                origins: self.cors_origin,
                ..AccessOptions::default()
            },
        };
        let cannot = || format!("cannot serve {store} at {}", self.listen);
        let mut running = start_server(options).await.with_context(cannot)?;
        // Whoever starts it from a script waits for this line, and learns the port.
        output.status("Serving", format_args!("{store} at {}", running.url()));
        tell_service_manager(NotifyState::Ready);
        if output.json {
            let url = running.url();
            output.json_line(&match &store {
                StoreAt::Folder(data) => serde_json::json!({ "url": url, "data": data }),
                StoreAt::Postgres(at) => serde_json::json!({ "url": url, "store": at.to_string() }),
            })?;
            output.flush()?;
        }
        let signal = tokio::select! {
            ended = running.ended() => return stopped_by_itself(ended),
            signal = stop => signal?,
        };
        let mut again = pin!(stop_signal()?);
        if signal == Signal::Terminate && !drain.is_zero() {
            running.announce_stop();
            let seconds = drain.as_secs_f64();
            output.status(
                "Draining",
                format_args!("not ready any more, serving for {seconds} s; again to stop at once"),
            );
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                ended = running.ended() => return stopped_by_itself(ended),
                signal = &mut again => return signal.map(|_| Ended::Badly),
            }
        }
        tell_service_manager(NotifyState::Stopping);
        output.status("Stopping", "finishing what has begun; again to stop at once");
        tokio::select! {
            stopped = running.stop() => stopped?,
            signal = &mut again => return signal.map(|_| Ended::Badly),
        }
        output.status("Stopped", "");
        Ok(Ended::Well)
    }
}

/// Tells what runs this process, where it wants to know (sd_notify(3)): systemd, for a unit of `Type=notify`.
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager was not told how far the server is: {error}");
    }
}

/// Has a certificate read again at each SIGHUP, for as long as the process runs.
fn read_again_on_signal(tls: Arc<Tls>) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                tls.read_again();
            }
        });
    }
    #[cfg(not(unix))]
    drop(tls);
    Ok(())
}

fn stopped_by_itself(ended: anyhow::Result<()>) -> anyhow::Result<Ended> {
    ended.context("the server stopped by itself")?;
    Ok(Ended::Badly)
}

/// Reads a site as browsers name it in `Origin`: scheme, host and port, and nothing behind.
fn origin(raw: &str) -> anyhow::Result<HeaderValue> {
    let wrong = || {
        format!("'{raw}' is no origin; write it as https://console.example, in lower case and without a path")
    };
    let site = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| raw.strip_prefix(scheme));
    let legal =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | ':' | '[' | ']');
    site.filter(|site| !site.is_empty() && site.chars().all(legal))
        .with_context(wrong)?;
    HeaderValue::from_str(raw).with_context(wrong)
}

/// Reads seconds, with decimals, of which there are so many at least.
fn seconds(least: f64) -> impl Fn(&str) -> anyhow::Result<Duration> + Clone + Send + Sync + 'static {
    /// More than a day is a mistake.
    const MOST: f64 = 86_400.0;
    move |raw| {
        let seconds = raw
            .parse::<f64>()
            .ok()
            .filter(|seconds| (least..=MOST).contains(seconds));
        let seconds =
            seconds.with_context(|| format!("give it seconds from {least} to {MOST}, such as 15 or 0.5"))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

/// What a process is told to stop by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// By what runs it: SIGTERM.
    Terminate,
    /// By a person: Ctrl-C.
    Interrupt,
}

/// Ends at Ctrl-C or SIGTERM.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<Signal>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            Ok(tokio::select! {
                _ = terminate.recv() => Signal::Terminate,
                _ = interrupt.recv() => Signal::Interrupt,
            })
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        tokio::signal::ctrl_c().await?;
        Ok(Signal::Interrupt)
    })
}

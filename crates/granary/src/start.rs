//! The only place that starts a server, for `serve` and `demo`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use granary_engine::{Engine, SystemClock};
use granary_server::{AccessOptions, Calls, Listening, Stop, Tls};
use granary_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::open_files;
use crate::settings;
use crate::store::{self, FolderSettings, Opened, PostgresSettings, StoreAt};

/// What a server is there for, where several share a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Answer calls and carry out tasks
    #[default]
    All,
    /// Answer calls, and leave the tasks to others; with a folder, to a later start
    Api,
    /// Carry out tasks; of calls only /healthz and /readyz are answered
    Worker,
}

/// How to start a server.
#[derive(Debug)]
pub(crate) struct ServerOptions {
    /// Where its store is.
    pub(crate) store: StoreAt,
    /// How it works with a folder.
    pub(crate) folder: FolderSettings,
    /// How it works with PostgreSQL.
    pub(crate) postgres: PostgresSettings,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The certificate that it shows; without one it speaks in the clear.
    pub(crate) tls: Option<Arc<Tls>>,
    /// What it is there for.
    pub(crate) role: Role,
    /// Who may call.
    pub(crate) access: AccessOptions,
}

/// A server that runs in this process.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    scheme: &'static str,
    stop: Stop,
    /// Ends when it has stopped, asked or not.
    server: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// The URL at which it answers.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Waits until it has stopped by itself, which it does only when something is wrong. Can be called again.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.server).await?
    }

    /// Has it say that it will stop; it serves as before.
    pub(crate) fn announce_stop(&self) {
        self.stop.announced.cancel();
    }

    /// Stops it: it refuses new work, finishes what it has begun and closes its store. Waits for that.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.now.cancel();
        self.server.await?
    }
}

/// Opens a store and serves it. Returns once requests are taken.
pub(crate) async fn start_server(options: ServerOptions) -> anyhow::Result<Running> {
    let ServerOptions {
        store: at,
        folder,
        postgres,
        listen,
        tls,
        role,
        access,
    } = options;
    ensure!(
        role != Role::Worker || matches!(at, StoreAt::Postgres(_)),
        "only one process works with a folder, and without calls it would get no tasks: leave --role off, or share a \
         store with others by --store postgres://…"
    );
    let limits = settings::limits()?;
    let connections = open_files::connections_max(&at, &postgres)?;
    // An address that is taken is told before anything is opened.
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen at {listen}; stop what listens there, or name another port with --listen")
    })?;
    let listening = Listening::from(listener).with_connections_max(connections);
    let listening = match &tls {
        None => listening,
        Some(tls) => listening.with_tls(Arc::clone(tls)),
    };
    // While the store recovers, whoever asks is told so, and nothing else.
    let ready = CancellationToken::new();
    let _ready = ready.clone().drop_guard();
    let starting = tokio::spawn(granary_server::starting(listening.clone(), ready.clone()));
    let Opened {
        store,
        engine: mut engine_options,
    } = store::open(&at, folder, postgres, &limits).await?;
    if !listen.ip().is_loopback()
        && let Err(error) = has_keys(store.as_ref(), &at).await
    {
        store.close().await?;
        return Err(error);
    }
    ready.cancel();
    // From here on each connection is one of the server.
    starting.await?;
    let addr = listening.local_addr()?;
    if role == Role::Api {
        engine_options.workers = 0;
        if matches!(at, StoreAt::Folder(_)) {
            tracing::warn!(
                "tasks wait, for this server applies none of them: start it without --role api to go on"
            );
        }
    }
    let engine = Engine::start(
        Arc::clone(&store),
        Arc::new(SystemClock::default()),
        limits,
        engine_options,
    );
    let calls = match role {
        Role::All | Role::Api => Calls::All,
        Role::Worker => Calls::Health,
    };
    let stop = Stop::default();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let serving = granary_server::serve(listening, engine.clone(), calls, access, stop.clone());
    let server = tokio::spawn(async move {
        let outcome = serving.await;
        // First the workers give their lanes back, then the store makes all durable: the same order whatever ended it.
        engine.stop().await;
        store.close().await?;
        Ok(outcome?)
    });
    Ok(Running {
        addr,
        scheme,
        stop,
        server,
    })
}

/// Fails where the store has no key: then only this machine may be served.
async fn has_keys(store: &dyn Store, at: &StoreAt) -> anyhow::Result<()> {
    let keys = store.access().keys().await?;
    if !keys.keys.is_empty() {
        return Ok(());
    }
    let place = match at {
        StoreAt::Folder(folder) => format!("--data {}", folder.display()),
        StoreAt::Postgres(_) => "--store postgres://…".to_owned(),
    };
    bail!(
        "no API key is there yet, so only this machine may be served; create one first with \
         `granary key create --role admin {place}`, or listen at 127.0.0.1 or [::1]"
    )
}

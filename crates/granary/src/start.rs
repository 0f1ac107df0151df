//! The only place that starts a server, for `serve` and `demo`: it alone knows which store runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use granary_core::limits::Limits;
use granary_engine::{Engine, EngineOptions, SystemClock};
use granary_store::{Store, StoreLimits};
use granary_store_embedded::EmbeddedStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server that runs in this process.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Cancelled: it refuses new work, finishes what it has begun and closes its store.
    pub(crate) stopping: CancellationToken,
    /// Ends when it has stopped, asked or not.
    pub(crate) server: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// The URL at which it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Waits until it has stopped by itself, which it does only when something is wrong. Can be called again.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.server).await?
    }

    /// Stops it, and waits until its store is closed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.server.await?
    }
}

/// Opens the store in the folder `data` and serves it at `listen`. Returns once it takes requests.
pub(crate) async fn start_server(data: &Path, listen: SocketAddr) -> anyhow::Result<Running> {
    ensure!(
        listen.ip().is_loopback(),
        "no API key is configured, so only this machine may be served: listen at 127.0.0.1 or [::1]"
    );
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen at {listen}; stop what listens there, or name another port with --listen")
    })?;
    let addr = listener.local_addr()?;
    let limits = limits()?;
    let (folder, store_limits) = (data.to_owned(), StoreLimits::from(&limits));
    let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&folder, store_limits)).await??;
    let store: Arc<dyn Store> = Arc::new(store);
    let options = EngineOptions {
        scratch_dir: data.to_owned(),
        ..EngineOptions::default()
    };
    let engine = Engine::start(
        Arc::clone(&store),
        Arc::new(SystemClock::default()),
        limits,
        options,
    );
    let stopping = CancellationToken::new();
    let serving = granary_server::serve(listener, engine.clone(), stopping.clone());
    let server = tokio::spawn(async move {
        let outcome = serving.await;
        // First the workers give their lanes back, then the store makes all durable: the same order whatever ended it.
        engine.stop().await;
        store.close().await?;
        Ok(outcome?)
    });
    Ok(Running {
        addr,
        stopping,
        server,
    })
}

/// The limits in force: those of the contract, but for what `GRANARY_LIMIT_…` says.
fn limits() -> anyhow::Result<Limits> {
    let mut limits = Limits::default();
    for row in limits.table() {
        let variable = limit_variable(row.name);
        if let Ok(value) = std::env::var(&variable) {
            let wrong = || format!("{variable} is '{value}'; give it a whole number from 1 on");
            limits
                .set(row.name, value.parse().with_context(wrong)?)
                .with_context(wrong)?;
        }
    }
    Ok(limits)
}

/// The variable that sets a limit: `GRANARY_LIMIT_JSON_DEPTH` for `jsonDepth`.
fn limit_variable(name: &str) -> String {
    let mut variable = "GRANARY_LIMIT_".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}

/// Writes the log to stderr, as much as `GRANARY_LOG` asks for (`info` unless it does).
pub(crate) fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRANARY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,fjall=warn,lsm_tree=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_variable() {
        assert_eq!(
            limit_variable("tasksWaitingPerSource"),
            "GRANARY_LIMIT_TASKS_WAITING_PER_SOURCE"
        );
    }
}

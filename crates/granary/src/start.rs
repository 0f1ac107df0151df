//! The only place that starts a server, for `serve` and `demo`: it alone knows which store runs.

use std::net::SocketAddr;
use std::path::Path;

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
    // Wire here: open granary-store-embedded at `data`, start granary-engine over it, bind granary-server at `listen`,
    // and spawn what serves until `stopping` is cancelled.
    let _ = (data, listen);
    anyhow::bail!("not wired yet")
}

//! `granary serve`: the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::exit::Ended;
use crate::output::Output;
use crate::start::{start_log, start_server};

/// Start a server
///
/// Serves until Ctrl-C or SIGTERM, then refuses new work, finishes what it has begun and closes its store. What was
/// accepted before goes on at the next start, also after a crash.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The folder that holds everything; made if it is not there
    #[arg(
        long,
        env = "GRANARY_DATA",
        value_name = "DIR",
        default_value = "./granary-data"
    )]
    data: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "GRANARY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
}

impl Serve {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<Ended> {
        start_log();
        // Asked for before the server starts, so that a signal during the start is not lost.
        let stop = stop_signal()?;
        let cannot = || format!("cannot serve {} at {}", self.data.display(), self.listen);
        let mut running = start_server(&self.data, self.listen).await.with_context(cannot)?;
        // Whoever starts it from a script waits for this line, and learns the port.
        output.status(
            "Serving",
            format_args!("{} at {}", self.data.display(), running.url()),
        );
        if output.json {
            output.json_line(&serde_json::json!({ "url": running.url(), "data": self.data }))?;
            output.flush()?;
        }
        tokio::select! {
            ended = running.ended() => {
                ended.context("the server stopped by itself")?;
                return Ok(Ended::Badly);
            }
            signal = stop => signal?,
        }
        output.status("Stopping", "finishing what has begun; again to stop at once");
        tokio::select! {
            stopped = running.stop() => stopped?,
            signal = stop_signal()? => {
                signal?;
                return Ok(Ended::Badly);
            }
        }
        output.status("Stopped", "");
        Ok(Ended::Well)
    }
}

/// Ends at Ctrl-C or SIGTERM.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(async { Ok(tokio::signal::ctrl_c().await?) })
}

//! Hints that another node has accepted work, by `LISTEN` and `NOTIFY`. Nothing rests on them: a hint that is lost, or
//! that cannot come because a pooler is in between, costs the wait until workers look by themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use granary_store::{Result, StoreError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Connection};
use tracing::debug;

use crate::failure::unavailable;
use crate::session::{Session, params};
use crate::{Inner, Statements};

/// How long after a lost connection the next is tried.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A connection that listens.
pub(crate) struct Listener {
    /// Something was accepted; many times are one.
    hints: mpsc::Receiver<()>,
    /// Kept for as long as it listens.
    _client: Client,
}

impl Inner {
    /// Tells the other nodes that there is work. Nobody waits for it.
    pub(crate) fn hint(self: &Arc<Self>) {
        if self.statements == Statements::Unnamed {
            return;
        }
        // One that is still to be sent stands for this too.
        if self.hinting.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let told = inner.read(|session: Arc<Session>| {
                inner.hinting.store(false, Ordering::SeqCst);
                async move {
                    session
                        .execute("SELECT pg_notify('granary', '')", params![])
                        .await
                }
            });
            let told = told.await;
            inner.hinting.store(false, Ordering::SeqCst);
            if let Err(failure) = told {
                debug!(%failure, "the other nodes were not told of work; they look by themselves");
            }
        });
    }

    /// Returns when another node may have accepted something.
    pub(crate) async fn work_elsewhere(&self) {
        if self.statements == Statements::Unnamed {
            return std::future::pending().await;
        }
        let mut listener = self.listener.lock().await;
        loop {
            match &mut *listener {
                Some(listening) => match listening.hints.recv().await {
                    Some(()) => return,
                    None => *listener = None,
                },
                None => match self.listen().await {
                    Ok(listening) => *listener = Some(listening),
                    Err(failure) => {
                        debug!(%failure, "cannot listen for work of other nodes; trying again");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                },
            }
        }
    }

    async fn listen(&self) -> Result<Listener> {
        let connected = match &self.tls {
            None => {
                let connecting = self.config.connect(tokio_postgres::NoTls).await;
                connecting.map(|(client, connection)| (client, drive(connection)))
            }
            Some(tls) => {
                let connecting = self.config.connect(tls.clone()).await;
                connecting.map(|(client, connection)| (client, drive(connection)))
            }
        };
        let (client, hints) = connected.map_err(|error| unavailable(&error))?;
        let listening = tokio::time::timeout(AGAIN_AFTER, client.batch_execute("LISTEN granary")).await;
        match listening {
            Ok(Ok(())) => Ok(Listener {
                hints,
                _client: client,
            }),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(StoreError::Unavailable("PostgreSQL did not answer".into())),
        }
    }
}

/// Keeps a connection going, and passes on what comes unasked.
fn drive<S, T>(mut connection: Connection<S, T>) -> mpsc::Receiver<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
        while let Ok(Some(message)) = messages.try_next().await {
            if matches!(message, AsyncMessage::Notification(_)) {
                // Where one waits to be seen already, it stands for this one too.
                let _ = sender.try_send(());
            }
        }
    });
    receiver
}

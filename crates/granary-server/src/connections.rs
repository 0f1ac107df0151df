//! Where a server listens, and how it serves a connection: in the clear or with TLS. What comes before the first call of a
//! connection, a handshake or the head of a call that comes slowly, is that connection's own work, holds up nobody else,
//! and is broken off after a while.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tls::Tls;

/// How long the head of a call may take, from the end of the answer before it or the begin of its connection: a
/// connection on which nothing is asked for so long is closed too.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The head of a call in bytes. The longest that is of use names an identifier in its query.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// So many connections are open at once; more wait in the queue of the operating system.
const CONNECTIONS_MAX: usize = 10_000;

/// How long to wait where this process has no place for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where a server listens. A clone listens at the same place.
#[derive(Clone, Debug)]
pub struct Listening {
    tcp: Arc<TcpListener>,
    tls: Option<Arc<Tls>>,
    head_within: Duration,
}

impl From<TcpListener> for Listening {
    fn from(tcp: TcpListener) -> Self {
        Self {
            tcp: Arc::new(tcp),
            tls: None,
            head_within: HEAD_MAX,
        }
    }
}

impl Listening {
    /// The same with TLS.
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same with another time for the head of a call. For tests.
    pub fn with_head_within(mut self, time: Duration) -> Self {
        self.head_within = time;
        self
    }

    /// Where it is.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop` is cancelled, then takes no new connections, and returns once those there are have ended.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let connections = self.take(router, stop).await;
        connections.close();
        connections.wait().await;
    }

    /// The same, but returns once no new connections are taken: those there are, which end soon.
    pub(crate) async fn take(self, router: Router, stop: CancellationToken) -> TaskTracker {
        let http = http(self.head_within);
        let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.accepted().await, place)
            };
            let (stream, place) = tokio::select! {
                // First: whoever takes connections next has the rest.
                biased;
                () = stop.cancelled() => break,
                next = next => next,
            };
            let connection = Connection {
                http: http.clone(),
                router: router.clone(),
                stop: stop.clone(),
            };
            let tls = self.tls.clone();
            connections.spawn(async move {
                let _place = place;
                match tls {
                    None => connection.serve(stream).await,
                    Some(tls) => connection.greet(&tls, stream).await,
                }
            });
        }
        connections
    }

    /// The next connection; where there are too many for this process it waits until there are fewer.
    async fn accepted(&self) -> TcpStream {
        let stream = loop {
            match self.tcp.accept().await {
                Ok((stream, _)) => break stream,
                // Its client has gone already.
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection could not be taken; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // An answer of several pieces must not wait for the client to acknowledge the first.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        stream
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn http(head_within: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .max_header_size(HEAD_BYTES_MAX)
        // A client that closes its side once it has sent all is answered all the same.
        .half_close(true);
    http
}

/// What a connection is served with.
struct Connection {
    http: http1::Builder,
    router: Router,
    stop: CancellationToken,
}

impl Connection {
    /// Serves a connection with TLS.
    async fn greet(self, tls: &Tls, stream: TcpStream) {
        let greeting = TlsAcceptor::from(tls.current()).accept(stream);
        let greeting = tokio::time::timeout(HANDSHAKE_MAX, greeting);
        match self.stop.run_until_cancelled(greeting).await {
            Some(Ok(Ok(stream))) => self.serve(stream).await,
            Some(Ok(Err(error))) => tracing::debug!(%error, "a client could not agree on TLS"),
            Some(Err(_)) => tracing::debug!("a handshake took too long"),
            None => {}
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = TowerToHyperService::new(self.router);
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

//! A connection that can be cut, stopped, or lose an answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::port;

/// Says of bytes that a client sent whether they are the ones.
type Wanted = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// So many bytes of what a client sent before are shown again with those that follow, lest a word that comes in two pieces
/// is missed.
const OVERLAP: usize = 64;

/// So much of a transaction is shown to who waits for its commit.
const TRANSACTION_MAX: usize = 1 << 20;
const BEGIN: &[u8] = b"BEGIN;";
const COMMIT: &[u8] = b"COMMIT\0";

/// Stands between clients and a server, at one address for as long as it lives.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    refusing: bool,
    frozen: bool,
    connections: Vec<(u64, TcpStream, TcpStream)>,
    /// Connections there have been.
    count: u64,
    trap: Option<Wanted>,
    /// The same for a transaction, when it commits; and whether the commit goes on to the server.
    commit_trap: Option<(Wanted, bool)>,
    /// Traps that were set; tells which bytes came after the last of them.
    traps: u64,
    replies_dropped: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while no bytes may pass.
    fn thawed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.frozen {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

impl Proxy {
    /// Starts one before the server at this address.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let proxy = Self {
            addr: port::free()?,
            shared: Arc::default(),
            accepting: Mutex::default(),
        };
        proxy.turn_to(to);
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// New connections go to this server from now on, as after another has taken over.
    pub fn turn_to(&self, to: SocketAddr) {
        self.shared.state().to = Some(to);
    }

    /// Drops all connections and refuses new ones.
    pub fn cut(&self) {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.state().refusing = true;
        if let Some(thread) = accepting.take() {
            // Wakes it, so that it sees that it is over.
            let _ = TcpStream::connect(self.addr);
            let _ = thread.join();
        }
        self.drop_connections();
    }

    /// Drops all connections; new ones are welcome.
    pub fn drop_connections(&self) {
        for (_, client, server) in self.shared.state().connections.drain(..) {
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
    }

    /// No byte passes any more, in either direction; connections stay open, and new ones seem to be made.
    pub fn freeze(&self) {
        self.shared.state().frozen = true;
    }

    /// What was stopped goes on.
    pub fn thaw(&self) {
        self.shared.state().frozen = false;
        self.shared.changed.notify_all();
    }

    /// All is well from now on, whatever was done before.
    pub fn heal(&self) -> Result<()> {
        self.thaw();
        {
            let mut state = self.shared.state();
            (state.trap, state.commit_trap) = (None, None);
        }
        self.accept()
    }

    /// The next time that a client sends bytes of which `wanted` is true, they reach the server, and its answer does not
    /// come back: once the server has answered, the connection is cut.
    pub fn drop_next_reply_after(&self, wanted: impl FnMut(&[u8]) -> bool + Send + 'static) {
        let mut state = self.shared.state();
        state.trap = Some(Box::new(wanted));
        state.traps += 1;
    }

    /// The next transaction of which `wanted` is true reaches its commit, and the answer to that does not come back. It
    /// is shown from its `BEGIN;` on, at most 1 MiB of it, as it was sent: parameters are in it, and the text of
    /// statements only where they are not prepared.
    pub fn drop_next_reply_to_commit_of(&self, wanted: impl FnMut(&[u8]) -> bool + Send + 'static) {
        self.shared.state().commit_trap = Some((Box::new(wanted), true));
    }

    /// The same, but the commit does not reach the server: the connection ends before it. It counts as an answer dropped.
    pub fn drop_next_commit_of(&self, wanted: impl FnMut(&[u8]) -> bool + Send + 'static) {
        self.shared.state().commit_trap = Some((Box::new(wanted), false));
    }

    /// How many answers were dropped.
    pub fn replies_dropped(&self) -> u64 {
        self.shared.state().replies_dropped
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.shared.state().count
    }

    fn accept(&self) -> Result<()> {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_some() {
            return Ok(());
        }
        let listener = port::listen(self.addr)?;
        self.shared.state().refusing = false;
        let shared = Arc::clone(&self.shared);
        *accepting = Some(thread::spawn(move || {
            for client in listener.incoming() {
                if shared.state().refusing {
                    return;
                }
                if let Ok(client) = client {
                    // A server that is down is for the client to notice: its connection ends.
                    let _ = connect(&shared, client);
                }
            }
        }));
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.thaw();
        self.cut();
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    let to = shared.state().to.ok_or(io::ErrorKind::NotConnected)?;
    let server = TcpStream::connect(to)?;
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let number = {
        let mut state = shared.state();
        let number = state.count;
        state.count += 1;
        state
            .connections
            .push((number, client.try_clone()?, server.try_clone()?));
        number
    };
    let muted = Arc::new(Mutex::new(false));
    let up = Up {
        shared: Arc::clone(shared),
        client: client.try_clone()?,
        server: server.try_clone()?,
        muted: Arc::clone(&muted),
    };
    let down = Down {
        shared: Arc::clone(shared),
        number,
        client,
        server,
        muted,
    };
    thread::spawn(move || up.run());
    thread::spawn(move || down.run());
    Ok(())
}

/// Carries what the client sends.
struct Up {
    shared: Arc<Shared>,
    client: TcpStream,
    server: TcpStream,
    /// True once no byte may come back.
    muted: Arc<Mutex<bool>>,
}

impl Up {
    fn run(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        let (mut before, mut before_traps) = (Vec::new(), 0);
        let mut transaction = Transaction::default();
        loop {
            let read = match self.client.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => &buffer[..read],
            };
            let caught = {
                let mut state = self.shared.thawed();
                if before_traps != state.traps {
                    before.clear();
                    before_traps = state.traps;
                }
                before.extend_from_slice(read);
                let caught = state.trap.as_mut().is_some_and(|wanted| wanted(&before));
                if caught {
                    state.trap = None;
                }
                before.drain(..before.len().saturating_sub(OVERLAP));
                let commits = transaction.goes_on(read);
                let trap = state.commit_trap.as_mut().filter(|_| commits);
                let lost = trap.and_then(|(wanted, goes_on)| wanted(&transaction.sent).then_some(*goes_on));
                if lost.is_some() {
                    state.commit_trap = None;
                }
                if lost == Some(false) {
                    state.replies_dropped += 1;
                    break;
                }
                caught || lost.is_some()
            };
            if caught {
                *self.muted.lock().unwrap_or_else(PoisonError::into_inner) = true;
            }
            if self.server.write_all(read).is_err() {
                break;
            }
        }
        // The server reads what it was sent, and then that there is no more; it then ends the connection.
        let _ = self.server.shutdown(Shutdown::Write);
    }
}

/// What a client sent since it began a transaction. It waits for the answers to `BEGIN` and before `COMMIT`, so the one
/// begins what it sends at a time and the other ends it.
#[derive(Default)]
struct Transaction {
    sent: Vec<u8>,
    /// The last bytes, in which a word may have begun.
    last: Vec<u8>,
}

impl Transaction {
    /// Takes what came next; true where that commits it.
    fn goes_on(&mut self, read: &[u8]) -> bool {
        /// What may stand before `BEGIN`: what was kept, and the head of its message.
        const BEGINS_WITHIN: usize = 16;
        self.last.extend_from_slice(read);
        let start = &self.last[..self.last.len().min(BEGINS_WITHIN + BEGIN.len())];
        if let Some(began) = start.windows(BEGIN.len()).rposition(|word| word == BEGIN) {
            self.sent.clear();
            self.sent.extend_from_slice(&self.last[began..]);
        } else {
            let room = TRANSACTION_MAX.saturating_sub(self.sent.len());
            self.sent.extend_from_slice(&read[..read.len().min(room)]);
        }
        let commits = self.last.ends_with(COMMIT);
        let keep = if commits { 0 } else { COMMIT.len() - 1 };
        self.last.drain(..self.last.len().saturating_sub(keep));
        commits
    }
}

/// Carries what the server answers.
struct Down {
    shared: Arc<Shared>,
    number: u64,
    client: TcpStream,
    server: TcpStream,
    muted: Arc<Mutex<bool>>,
}

impl Down {
    fn run(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        let mut counted = false;
        while let Ok(read @ 1..) = self.server.read(&mut buffer) {
            drop(self.shared.thawed());
            let muted = self.muted.lock().unwrap_or_else(PoisonError::into_inner);
            if *muted {
                // It goes on reading: closed with bytes unread, a connection is reset, and the server might never see
                // what it was sent.
                if !counted {
                    self.shared.state().replies_dropped += 1;
                    counted = true;
                }
                let _ = self.client.shutdown(Shutdown::Both);
                continue;
            }
            if self.client.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = (
            self.client.shutdown(Shutdown::Both),
            self.server.shutdown(Shutdown::Both),
        );
        let mut state = self.shared.state();
        state.connections.retain(|(number, ..)| *number != self.number);
    }
}

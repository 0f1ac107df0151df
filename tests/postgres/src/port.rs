//! Free ports that stay free.

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Below the ports that systems give to connections that go out: one of those could otherwise take the port of a server
/// that is down for a moment.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// An address of this machine at which nobody listens.
pub(crate) fn free() -> Result<SocketAddr> {
    for _ in 0..200 {
        let chance = RandomState::new().hash_one(std::process::id());
        let port = PORTS.start + (chance % u64::from(PORTS.end - PORTS.start)) as u16;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Asked without listening there: a process that this one starts just then would hold the port for a moment.
        if TcpStream::connect(addr).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return Ok(addr);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

/// Listens at an address that is free, but for processes that were started by this one just now and hold what it held.
pub(crate) fn listen(addr: SocketAddr) -> Result<TcpListener> {
    let mut tries = 0..200;
    loop {
        match TcpListener::bind(addr) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries.next().is_some() => {
                std::thread::sleep(Duration::from_millis(5));
            }
            bound => return bound.with_context(|| format!("cannot listen at {addr}")),
        }
    }
}

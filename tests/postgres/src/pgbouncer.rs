//! PgBouncer before a cluster: transactions of one connection run on different ones of the server.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::folder::{Folder, signal};
use crate::{Cluster, port, programs};

/// A PgBouncer that hands out connections by the transaction.
#[derive(Debug)]
pub struct PgBouncer {
    addr: SocketAddr,
    process: Child,
    folder: Folder,
}

impl PgBouncer {
    /// Starts one before this cluster.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let (folder, addr) = (Folder::new()?, port::free()?);
        let (users, settings) = (folder.path().join("users"), folder.path().join("ini"));
        fs::write(&users, "\"postgres\" \"\"\n")?;
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 20\nmax_client_conn = 1000\n",
            cluster.addr().port(),
            addr.port(),
            users.display(),
        );
        fs::write(&settings, text)?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = programs::pgbouncer()?;
        command.arg(&settings).stdout(log.try_clone()?).stderr(log);
        let mut process = folder
            .works(&mut command)
            .spawn()
            .context("cannot start `pgbouncer`")?;
        let said = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let started = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = process.try_wait()? {
                bail!("`pgbouncer` ended with {status}: {}", said());
            }
            ensure!(
                started.elapsed() < Duration::from_secs(60),
                "`pgbouncer` does not start: {}",
                said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self {
            addr,
            process,
            folder,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a database, through it.
    pub fn url(&self, database: &str) -> String {
        Cluster::url_at(self.addr, database)
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = signal("KILL", &[self.process.id()]);
        let _ = self.process.wait();
    }
}

//! A balancer as stands before the nodes of a cluster: each connection goes to the next of those that say that they are
//! ready.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_tests::cluster::{Node, Nodes, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ASK_EVERY: Duration = Duration::from_millis(50);
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Stands before nodes for as long as it lives.
pub(crate) struct Balancer {
    pub(crate) url: String,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    pub(crate) async fn start(nodes: Arc<Nodes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ready = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let found = Arc::clone(&ready);
        tasks.spawn(async move {
            loop {
                let of_calls = nodes.all().iter().filter(|node| node.role() != Role::Worker);
                let asked = futures::future::join_all(of_calls.map(ready_at)).await;
                *found.lock().unwrap() = asked.into_iter().flatten().collect();
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        let known = Arc::clone(&ready);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for turn in 0.. {
                let (mut client, _) = listener.accept().await.unwrap();
                client.set_nodelay(true).unwrap();
                let addr = {
                    let known = known.lock().unwrap();
                    known.get(turn % known.len().max(1)).copied()
                };
                // Where none is ready its connection ends.
                let Some(addr) = addr else { continue };
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(addr).await {
                        let _ = server.set_nodelay(true);
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            url,
            ready,
            _tasks: tasks,
        }
    }

    /// Waits until connections go to so many nodes.
    pub(crate) async fn knows(&self, count: usize) {
        while self.ready.lock().unwrap().len() != count {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// Where a node listens, if it says that it is ready.
async fn ready_at(node: &Node) -> Option<SocketAddr> {
    let client = node.client()?;
    tokio::time::timeout(ANSWER_MAX, client.ready())
        .await
        .ok()?
        .ok()?;
    client.server().socket_addrs(|| None).ok()?.pop()
}

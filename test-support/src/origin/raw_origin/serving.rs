//! An origin that answers by itself, and remembers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::request::{self, Fault};
use super::{RawConnection, RawRequest};

/// Serves until it is dropped; open connections end with it.
#[derive(Debug)]
pub struct ServingOrigin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    HeadIsThere,
    AllIsThere,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    open: usize,
    requests: Vec<RawRequest>,
    faults: Vec<String>,
    cut: usize,
}

/// Counts a connection as open for as long as its task lives, however that ends.
struct Open(Arc<Mutex<Seen>>);

impl ServingOrigin {
    pub(super) fn start(
        listener: TcpListener,
        address: SocketAddr,
        when: When,
        answer: impl Fn(&RawRequest) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let (seen, answer) = (Arc::<Mutex<Seen>>::default(), Arc::new(answer));
        let remembered = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (remembered, answer) = (Arc::clone(&remembered), Arc::clone(&answer));
                connections.spawn(async move {
                    if matches!(stream.peek(&mut [0]).await, Ok(1..)) {
                        let open = Open::new(&remembered);
                        converse(RawConnection::over(stream), &open.0, when, &*answer).await;
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    /// `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All whole requests, in the order in which they were.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.seen().requests.clone()
    }

    /// The last of them.
    ///
    /// # Panics
    ///
    /// When there was none.
    pub fn last(&self) -> RawRequest {
        self.seen().requests.last().expect("there was a request").clone()
    }

    /// How many requests ended with their connection, before they were whole.
    pub fn cut_requests(&self) -> usize {
        self.seen().cut
    }

    /// What arrived that was no unambiguous request, a sentence each.
    pub fn faults(&self) -> Vec<String> {
        self.seen().faults.clone()
    }

    /// How many connections there have been on which something came.
    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> usize {
        self.seen().open
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for ServingOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Open {
    fn new(seen: &Arc<Mutex<Seen>>) -> Self {
        let mut all = lock(seen);
        all.connections += 1;
        all.open += 1;
        drop(all);
        Self(Arc::clone(seen))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0).open -= 1;
    }
}

async fn converse(
    mut connection: RawConnection,
    seen: &Mutex<Seen>,
    when: When,
    answer: &(dyn Fn(&RawRequest) -> Vec<u8> + Send + Sync),
) {
    loop {
        match exchange(&mut connection, seen, when, answer).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(Fault::Cut(_)) => {
                lock(seen).cut += 1;
                return;
            }
            Err(Fault::Wrong(fault)) => {
                lock(seen).faults.push(fault);
                // Whoever sent that may be gone.
                connection
                    .send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
                return;
            }
        }
    }
}

/// Whether another can follow.
async fn exchange(
    connection: &mut RawConnection,
    seen: &Mutex<Seen>,
    when: When,
    answer: &(dyn Fn(&RawRequest) -> Vec<u8> + Send + Sync),
) -> Result<bool, Fault> {
    let Some(head) = request::read_head(&mut connection.client).await? else { return Ok(false) };
    if when == When::HeadIsThere {
        let early = RawRequest { head: head.clone(), body: Vec::new(), trailers: Vec::new() };
        connection.send(&answer(&early)).await;
        let request = request::read_body(&mut connection.client, head).await?;
        lock(seen).requests.push(request);
        return Ok(true);
    }
    let request = request::read_body(&mut connection.client, head).await?;
    let bytes = answer(&request);
    lock(seen).requests.push(request);
    Ok(connection.send(&bytes).await && !says_close(&bytes))
}

fn says_close(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    text.split("\r\n\r\n").next().is_some_and(|head| head.contains("\r\nconnection: close"))
}

/// A test that panicked elsewhere is no reason to panic here.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

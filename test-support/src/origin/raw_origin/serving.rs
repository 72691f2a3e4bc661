//! An origin that answers every request, and records it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::request::{self, Fault};
use super::{RawConnection, RawRequest};

/// Serves until it is dropped, which also closes its connections.
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

/// Counts a connection as open while its task lives.
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

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All complete requests, in order.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.seen().requests.clone()
    }

    /// The last complete request.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn last(&self) -> RawRequest {
        self.seen().requests.last().expect("there was a request").clone()
    }

    /// How many requests were truncated by the end of their connection.
    pub fn cut_requests(&self) -> usize {
        self.seen().cut
    }

    /// The faults of invalid or ambiguous requests.
    pub fn faults(&self) -> Vec<String> {
        self.seen().faults.clone()
    }

    /// How many connections have sent something.
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
                // The client may have disconnected.
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

/// A poisoned lock means that another test panicked; the records are still valid.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

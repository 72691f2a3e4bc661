//! A faulty network between NATS clients and their server that recognises message boundaries.
//!
//! It understands the client protocol over plain TCP, without TLS or WebSocket, and forwards every byte unchanged except
//! for the configured faults.

mod connection;
mod faults;
mod lane;
mod message_reader;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use faults::{Direction, Faults};
pub use lane::Counts;
use lane::Lane;

/// A running proxy. Dropping it closes its connections.
///
/// ```no_run
/// # use h8s_test_support::{Bus, fault_proxy::{FaultProxy, Faults}};
/// # async fn example() {
/// let bus = Bus::real().await;
/// let faults = Faults::none().dropping(0.01).swapping(0.01).seed(7).on_prefix("h8s.inbox.");
/// let proxy = FaultProxy::start(&bus.url(), faults).await;
/// let client = async_nats::connect(proxy.url()).await;
/// # drop(client);
/// proxy.cut();
/// # }
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    url: String,
    state: watch::Sender<State>,
    counts: Arc<Mutex<Counts>>,
    accepting: AbortHandle,
}

/// The state that all connections of the proxy watch.
#[derive(Debug)]
struct State {
    faults: Arc<Faults>,
    /// New connections are closed at once.
    refusing: bool,
    /// Connections stay open, and nothing is forwarded.
    frozen: bool,
    /// A connection ends when this changes.
    cuts: u64,
}

impl FaultProxy {
    /// Listens on a free port of `127.0.0.1` for clients of the server at `upstream` (`nats://127.0.0.1:4222`).
    ///
    /// # Panics
    ///
    /// When the system has no free port.
    pub async fn start(upstream: &str, faults: Faults) -> Self {
        let upstream = upstream.strip_prefix("nats://").unwrap_or(upstream);
        let (login, upstream) =
            upstream.rsplit_once('@').map_or(("", upstream), |(login, rest)| (login, rest));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let state = State { faults: Arc::new(faults), refusing: false, frozen: false, cuts: 0 };
        let (state, seen) = watch::channel(state);
        let counts = Arc::default();
        let accepting = tokio::spawn(accept(listener, upstream.to_owned(), seen, Arc::clone(&counts)));
        Self { url: url(login, address), state, counts, accepting: accepting.abort_handle() }
    }

    /// Where clients connect, with the user and password of the upstream URL, if any.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Closes all connections; messages in flight are lost. Clients may reconnect at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Whether new connections are closed before the server's first message, as if NATS were down. Existing connections
    /// stay open; [`cut`](Self::cut) closes them.
    pub fn refuse(&self, refusing: bool) {
        self.state.send_modify(|state| state.refusing = refusing);
    }

    /// Stops forwarding in both directions without closing connections: a partition, which only timeouts detect. Nothing
    /// is lost unless the connection is closed.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.frozen = true);
    }

    /// Replaces the faults. Messages already held or delayed keep theirs.
    pub fn set_faults(&self, faults: Faults) {
        self.state.send_modify(|state| state.faults = Arc::new(faults));
    }

    /// Ends all faults: accepts and forwards.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.faults = Arc::new(Faults::none());
            state.refusing = false;
            state.frozen = false;
        });
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().expect("counting does not panic")
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn url(login: &str, address: SocketAddr) -> String {
    if login.is_empty() { format!("nats://{address}") } else { format!("nats://{login}@{address}") }
}

async fn accept(
    listener: TcpListener,
    upstream: String,
    state: watch::Receiver<State>,
    counts: Arc<Mutex<Counts>>,
) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let Some(client) = next_client(&listener, &mut connections).await else { return };
        if !state.borrow().refusing {
            connections.spawn(serve(client, upstream.clone(), number, state.clone(), Arc::clone(&counts)));
        }
    }
}

/// `None` when the system cannot accept any more: clients are refused then, which a test notices.
async fn next_client(listener: &TcpListener, connections: &mut JoinSet<()>) -> Option<TcpStream> {
    loop {
        tokio::select! {
            accepted = listener.accept() => return accepted.ok().map(|(client, _)| client),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(
    client: TcpStream,
    upstream: String,
    number: u64,
    mut state: watch::Receiver<State>,
    counts: Arc<Mutex<Counts>>,
) {
    let (cuts, faults) = {
        let state = state.borrow();
        (state.cuts, Arc::clone(&state.faults))
    };
    let watched = state.clone();
    let forwarding = async {
        // If the server is down, the client sees its connection end.
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        counts.lock().expect("counting does not panic").connections += 1;
        let lane = |direction| Lane::new(number, direction, Arc::clone(&faults), Arc::clone(&counts));
        let lanes = [lane(Direction::ToServer), lane(Direction::ToClient)];
        connection::forward(client, server, lanes, &watched).await;
    };
    tokio::select! {
        () = forwarding => {}
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

#[cfg(test)]
mod tests;

//! A bad network between NATS clients and their server, which knows where messages begin and end.
//!
//! It understands the client protocol over plain TCP, no TLS and no WebSocket, and forwards every byte as it came,
//! except for what it was told to do to messages.

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

/// What everybody in the proxy looks at.
#[derive(Debug)]
struct State {
    faults: Arc<Faults>,
    /// Connections that are accepted are closed at once.
    refusing: bool,
    /// Connections stay, and nothing moves on them.
    frozen: bool,
    /// A connection ends when this is not what it was at its beginning.
    cuts: u64,
}

impl FaultProxy {
    /// Listens on a free port of `127.0.0.1` for clients of the server at `upstream` (`nats://127.0.0.1:4222`).
    ///
    /// # Panics
    ///
    /// When there is no port.
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

    /// Where clients connect, with the user and password of the upstream URL, if there were any.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Closes all connections now; what was on its way is lost. Clients may come back at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Whether new connections are closed as soon as they are made, before the server's first word: NATS is away.
    /// Those that are there stay; [`cut`](Self::cut) ends them.
    pub fn refuse(&self, refusing: bool) {
        self.state.send_modify(|state| state.refusing = refusing);
    }

    /// Forwards nothing any more, in either direction, but closes nothing: a partition, which only time-outs tell of.
    /// Nothing is lost unless the connection is given up.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.frozen = true);
    }

    /// Does other things to messages from now on. Messages already held or delayed keep what they met.
    pub fn set_faults(&self, faults: Faults) {
        self.state.send_modify(|state| state.faults = Arc::new(faults));
    }

    /// A good network from now on: accepts, forwards, harms nothing.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.faults = Arc::new(Faults::none());
            state.refusing = false;
            state.frozen = false;
        });
    }

    /// What it has seen and done so far.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().expect("nothing panics while it counts")
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

/// `None` when the system gives no more connections: they are refused then, which a test notices.
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
        // A server that is away is seen by the client as a connection that ends.
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        counts.lock().expect("nothing panics while it counts").connections += 1;
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

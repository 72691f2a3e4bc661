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
mod tests {
    use std::time::{Duration, Instant};

    use async_nats::{Client, ConnectOptions, Event, Subscriber};
    use futures_util::StreamExt as _;
    use tokio::sync::mpsc;

    use super::*;
    use crate::soon;

    async fn connect(proxy: &FaultProxy) -> (Client, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(64);
        let options = ConnectOptions::new().event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event).await) }
        });
        (soon(options.connect(proxy.url())).await.unwrap(), events)
    }

    async fn wait_for(events: &mut mpsc::Receiver<Event>, wanted: &Event) {
        while soon(events.recv()).await.as_ref() != Some(wanted) {}
    }

    /// Numbers 0 to 99 to `x`, then `end` to `y`: what arrives of them, once the end has arrived.
    async fn hundred_and_end(client: &Client) -> Vec<String> {
        let mut all: Subscriber = client.subscribe(">").await.unwrap();
        for number in 0..100 {
            client.publish("x", number.to_string().into()).await.unwrap();
        }
        client.publish("y", "end".into()).await.unwrap();
        let mut arrived = Vec::new();
        loop {
            let message = soon(all.next()).await.unwrap();
            if message.subject.as_str() == "y" {
                return arrived;
            }
            arrived.push(String::from_utf8(message.payload.to_vec()).unwrap());
        }
    }

    fn in_order() -> Vec<String> {
        (0..100).map(|number| number.to_string()).collect()
    }

    crate::over_both_buses! {
        async fn without_faults_everything_arrives(bus) {
            let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
            let (client, _events) = connect(&proxy).await;

            assert_eq!(hundred_and_end(&client).await, in_order());
            assert_eq!(proxy.counts(), Counts { connections: 1, concerned: 202, ..Counts::default() });
        }

        async fn a_large_message_arrives_byte_for_byte(bus) {
            let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
            let (client, _events) = connect(&proxy).await;
            let payload: Vec<u8> = (0..600_000_u32).map(|number| (number % 251) as u8).collect();
            let mut subscriber = client.subscribe("large").await.unwrap();

            client.publish("large", payload.clone().into()).await.unwrap();

            assert!(soon(subscriber.next()).await.unwrap().payload == payload);
        }

        async fn chosen_messages_are_dropped_duplicated_and_swapped(bus) {
            let faults = Faults::none().dropping(0.1).duplicating(0.1).swapping(0.1).seed(1);
            let proxy = FaultProxy::start(&bus.url(), faults.on_prefix("x").only(Direction::ToClient)).await;
            let (client, _events) = connect(&proxy).await;

            let arrived = hundred_and_end(&client).await;

            let counts = proxy.counts();
            assert!(counts.dropped > 0 && counts.duplicated > 0 && counts.swapped > 0, "{counts:?}");
            // The last one may be held, and then follows the end.
            let expected = 100 - counts.dropped + counts.duplicated;
            assert!((expected - 1..=expected).contains(&(arrived.len() as u64)), "{counts:?} {arrived:?}");
            assert!(!arrived.is_sorted_by_key(|number| number.parse::<u32>().unwrap()));
        }

        async fn a_cut_client_is_kept_out_until_the_network_heals(bus) {
            let proxy = FaultProxy::start(&bus.url(), Faults::none().dropping(1.0)).await;
            let (client, mut events) = connect(&proxy).await;
            wait_for(&mut events, &Event::Connected).await;

            proxy.refuse(true);
            proxy.cut();
            wait_for(&mut events, &Event::Disconnected).await;
            assert!(async_nats::connect(proxy.url()).await.is_err());
            proxy.heal();

            wait_for(&mut events, &Event::Connected).await;
            assert_eq!(hundred_and_end(&client).await, in_order());
        }

        async fn a_frozen_network_delivers_after_it_heals(bus) {
            let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
            let (client, _events) = connect(&proxy).await;
            let mut subscriber = client.subscribe("x").await.unwrap();
            soon(client.flush()).await.unwrap();

            proxy.freeze();
            client.publish("x", "late".into()).await.unwrap();
            let nothing = tokio::time::timeout(Duration::from_millis(50), subscriber.next()).await;
            assert!(nothing.is_err());
            proxy.heal();

            assert_eq!(soon(subscriber.next()).await.unwrap().payload, "late");
        }

        async fn a_delay_takes_that_long(bus) {
            let delay = Duration::from_millis(100);
            let faults = Faults::none().delayed(Direction::ToServer, delay);
            let proxy = FaultProxy::start(&bus.url(), faults).await;
            let (client, _events) = connect(&proxy).await;

            let begin = Instant::now();

            assert_eq!(hundred_and_end(&client).await, in_order());
            assert!(begin.elapsed() >= delay);
        }
    }

    #[tokio::test]
    async fn the_login_of_the_upstream_url_is_kept() {
        let proxy = FaultProxy::start("nats://user:secret@127.0.0.1:1", Faults::none()).await;

        assert!(proxy.url().starts_with("nats://user:secret@127.0.0.1:"));
    }
}

//! One client connection: handshake, commands, keep-alive pings and disconnection.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::outbox::{Outbox, Unwritable};
use crate::peer::Peer;
use crate::session::{Limits, Session};
use crate::state::BrokerState;
use crate::violation::Violation;

/// The initial read size. Most clients never need more.
const FIRST_READ_BYTES: usize = 8 * 1024;
/// The largest read: large enough to make system calls cheap, and small enough to deliver one client's batch in well
/// under a millisecond before other clients get their turn.
const MAX_READ_BYTES: usize = 128 * 1024;
/// The number of unanswered pings after which a client is stale, as in nats-server.
const MAX_UNANSWERED_PINGS: u32 = 2;
/// The time that a disconnected client has to read the reason before its connection is closed.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection ends.
#[derive(Debug)]
enum Disconnect {
    /// The client closed the connection, or the network failed.
    Closed,
    Violation(Violation),
    /// The client does not read its messages fast enough.
    SlowConsumer,
    /// The client did not answer several pings.
    Stale,
    Shutdown,
}

impl Disconnect {
    /// Whether to write the queued data first. Otherwise the client does not read it, and the writer has ended.
    fn flushes_first(&self) -> bool {
        matches!(self, Self::Violation(_) | Self::Stale | Self::Shutdown)
    }

    /// The error sent to the client. A slow consumer would not read it, and nats-server sends none either.
    fn error_message(&self) -> Option<String> {
        match self {
            Self::Violation(violation) => Some(violation.to_string()),
            Self::Stale => Some("Stale Connection".to_owned()),
            Self::Closed | Self::SlowConsumer | Self::Shutdown => None,
        }
    }
}

/// Serves one client until either side closes the connection. `force_close` ends it from outside.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    state: Arc<BrokerState>,
    force_close: CancellationToken,
) {
    let id = state.next_client_id();
    let config = &state.config;
    let (mut incoming, outgoing) = stream.into_split();
    let outbox = Outbox::new(outgoing, config.max_pending_bytes, force_close.clone());
    let peer = Arc::new(Peer::new(outbox));
    peer.outbox.push(|out| out.extend_from_slice(&state.info.line_for(id, address)));

    let limits =
        Limits { max_payload_bytes: config.max_payload_bytes, max_subscriptions: config.max_subscriptions };
    let mut session = Session::new(Arc::clone(&peer), Arc::clone(&state.routes), limits);
    let mut writer = pin!(peer.outbox.run(config.write_timeout));
    let disconnect = tokio::select! {
        biased;
        () = force_close.cancelled() => Disconnect::Shutdown,
        Err(unwritable) = &mut writer => match unwritable {
            Unwritable::Stuck => Disconnect::SlowConsumer,
            Unwritable::Gone => Disconnect::Closed,
        },
        disconnect = read_commands(&mut session, &peer, &mut incoming) => disconnect,
        () = keep_alive(&peer, config.ping_interval) => Disconnect::Stale,
    };
    // An overflow also ends the writer and cancels `force_close`. It is the cause, whichever branch completed first.
    let disconnect = if peer.outbox.has_overflowed() { Disconnect::SlowConsumer } else { disconnect };

    session.unsubscribe_all();
    log(&disconnect, id, address);
    if disconnect.flushes_first() {
        if let Some(error) = disconnect.error_message() {
            peer.outbox.push(|out| out.extend_from_slice(format!("-ERR '{error}'\r\n").as_bytes()));
        }
        peer.outbox.finish();
        // A client that does not read within this time misses the rest.
        let _ = timeout(LINGER, writer).await;
    }
    peer.outbox.close();
    if let Disconnect::Violation(_) = disconnect {
        discard(incoming).await;
    }
}

/// Reads and executes commands until the client closes the connection or violates the protocol.
async fn read_commands(session: &mut Session, peer: &Peer, incoming: &mut OwnedReadHalf) -> Disconnect {
    let mut input = Input::new();
    loop {
        match input.read_from(incoming).await {
            Ok(0) | Err(_) => return Disconnect::Closed,
            Ok(_) => peer.unanswered_pings.store(0, Ordering::Relaxed),
        }
        if !input.is_parsable() {
            continue;
        }
        let result = session.process(&input.bytes);
        session.delivery.flush();
        match result {
            Ok(progress) => input.consume(progress.consumed, progress.needed),
            Err(violation) => return Disconnect::Violation(violation),
        }
        session.delivery.throttle().await;
    }
}

/// Bytes read and not yet parsed. Never larger than one message and one read.
struct Input {
    bytes: Vec<u8>,
    needed: usize,
    read_bytes: usize,
}

impl Input {
    fn new() -> Self {
        Self { bytes: Vec::new(), needed: 1, read_bytes: FIRST_READ_BYTES }
    }

    /// Reads once. The buffer grows with received bytes, not with announced sizes.
    async fn read_from(&mut self, incoming: &mut OwnedReadHalf) -> io::Result<usize> {
        if self.bytes.capacity() - self.bytes.len() < self.read_bytes / 2 {
            self.bytes.reserve(self.read_bytes);
        }
        let count = incoming.take(MAX_READ_BYTES as u64).read_buf(&mut self.bytes).await?;
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
        }
        Ok(count)
    }

    fn is_parsable(&self) -> bool {
        self.bytes.len() >= self.needed
    }

    fn consume(&mut self, count: usize, needed: usize) {
        self.bytes.drain(..count);
        self.needed = needed;
        if self.bytes.is_empty() && self.bytes.capacity() > 2 * MAX_READ_BYTES {
            self.bytes = Vec::new();
        }
    }
}

/// Pings the client. Returns when it is stale.
async fn keep_alive(peer: &Peer, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if peer.unanswered_pings.fetch_add(1, Ordering::Relaxed) >= MAX_UNANSWERED_PINGS {
            return;
        }
        peer.outbox.push(|out| out.extend_from_slice(b"PING\r\n"));
        peer.outbox.flush();
    }
}

/// Lingering close: closing with unread input would make the system reset the connection, and the client might not
/// receive the reason.
async fn discard(mut incoming: OwnedReadHalf) {
    let deadline = Instant::now() + LINGER;
    let mut discarded = vec![0; FIRST_READ_BYTES];
    while let Ok(Ok(1..)) = timeout_at(deadline, incoming.read(&mut discarded)).await {}
}

fn log(disconnect: &Disconnect, id: u64, address: SocketAddr) {
    match disconnect {
        Disconnect::Closed | Disconnect::Shutdown => {
            debug!(client = id, %address, reason = ?disconnect, "client disconnected")
        }
        Disconnect::Violation(violation) => {
            warn!(client = id, %address, %violation, "client disconnected: protocol violation")
        }
        Disconnect::SlowConsumer | Disconnect::Stale => {
            warn!(client = id, %address, reason = ?disconnect, "client disconnected")
        }
    }
}

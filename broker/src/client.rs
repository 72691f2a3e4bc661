//! The life of one connection: greet, read and do, ping, and part with a reason.

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

use crate::broker::Shared;
use crate::outbox::{Outbox, Unwritable};
use crate::peer::Peer;
use crate::session::{Limits, Session};
use crate::violation::Violation;

/// The first read's room. Most clients never need more.
const FIRST_READ_BYTES: usize = 8 * 1024;
/// The most that is read at once: enough to make system calls cheap, and little enough that what one client sends
/// is delivered, and others get their turn, in well under a millisecond.
const LARGEST_READ_BYTES: usize = 128 * 1024;
/// Unanswered pings after which a client is stale, as in nats-server.
const PINGS_OUT: u32 = 2;
/// How long a client that is sent away may take to read why, before its connection is closed.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection ends.
#[derive(Debug)]
enum Parting {
    /// The client closed it, or the network did.
    Left,
    Violation(Violation),
    /// The client does not take what it subscribed.
    SlowConsumer,
    /// Nothing was heard over several pings.
    Stale,
    Shutdown,
}

impl Parting {
    /// May what is queued still go out? Otherwise nobody reads it, and the writer has ended.
    fn is_polite(&self) -> bool {
        matches!(self, Self::Violation(_) | Self::Stale | Self::Shutdown)
    }

    /// What the client is told. A slow consumer would not read it, and nats-server does not say it either.
    fn last_words(&self) -> Option<String> {
        match self {
            Self::Violation(violation) => Some(violation.to_string()),
            Self::Stale => Some("Stale Connection".to_owned()),
            Self::Left | Self::SlowConsumer | Self::Shutdown => None,
        }
    }
}

/// Serves one client until either side has had enough. `cut` ends it from outside.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared>,
    cut: CancellationToken,
) {
    let id = shared.next_client_id.fetch_add(1, Ordering::Relaxed);
    let config = &shared.config;
    let (mut incoming, outgoing) = stream.into_split();
    let outbox = Outbox::new(outgoing, config.max_pending_bytes, cut.clone());
    let peer = Arc::new(Peer::new(outbox));
    peer.outbox.push(|out| out.extend_from_slice(&shared.info.line_for(id, address)));

    let limits =
        Limits { max_payload_bytes: config.max_payload_bytes, max_subscriptions: config.max_subscriptions };
    let mut session = Session::new(Arc::clone(&peer), Arc::clone(&shared.routes), limits);
    let mut writer = pin!(peer.outbox.run(config.write_timeout));
    let parting = tokio::select! {
        biased;
        () = cut.cancelled() => Parting::Shutdown,
        Err(unwritable) = &mut writer => match unwritable {
            Unwritable::Stuck => Parting::SlowConsumer,
            Unwritable::Gone => Parting::Left,
        },
        parting = listen(&mut session, &peer, &mut incoming) => parting,
        () = keep_alive(&peer, config.ping_interval) => Parting::Stale,
    };
    // An overflow also ends the writer and cancels `cut`; whichever was noticed first, it is the reason.
    let parting = if peer.outbox.has_overflowed() { Parting::SlowConsumer } else { parting };

    peer.forget_all(&shared.routes);
    log(&parting, id, address);
    if parting.is_polite() {
        if let Some(words) = parting.last_words() {
            peer.outbox.push(|out| out.extend_from_slice(format!("-ERR '{words}'\r\n").as_bytes()));
        }
        peer.outbox.finish();
        // Whoever does not read now has missed it.
        let _ = timeout(LINGER, writer).await;
    }
    peer.outbox.close();
    if let Parting::Violation(_) = parting {
        discard(incoming).await;
    }
}

/// Reads and does what the client says, until it says something wrong or nothing more.
async fn listen(session: &mut Session, peer: &Peer, incoming: &mut OwnedReadHalf) -> Parting {
    let mut input = Input::new();
    loop {
        match input.read_from(incoming).await {
            Ok(0) | Err(_) => return Parting::Left,
            Ok(_) => peer.unanswered_pings.store(0, Ordering::Relaxed),
        }
        if !input.is_worth_trying() {
            continue;
        }
        let heard = session.hear(&input.bytes);
        session.delivery.flush();
        match heard {
            Ok(heard) => input.take(heard.taken, heard.needed),
            Err(violation) => return Parting::Violation(violation),
        }
        session.delivery.wait_if_pressed().await;
    }
}

/// What was read and not yet understood. Never larger than one message and one read.
struct Input {
    bytes: Vec<u8>,
    needed: usize,
    read_bytes: usize,
}

impl Input {
    fn new() -> Self {
        Self { bytes: Vec::new(), needed: 1, read_bytes: FIRST_READ_BYTES }
    }

    /// Reads once. Room is made for what is there, not for what was announced.
    async fn read_from(&mut self, incoming: &mut OwnedReadHalf) -> io::Result<usize> {
        if self.bytes.capacity() - self.bytes.len() < self.read_bytes / 2 {
            self.bytes.reserve(self.read_bytes);
        }
        let count = incoming.take(LARGEST_READ_BYTES as u64).read_buf(&mut self.bytes).await?;
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(LARGEST_READ_BYTES);
        }
        Ok(count)
    }

    fn is_worth_trying(&self) -> bool {
        self.bytes.len() >= self.needed
    }

    fn take(&mut self, count: usize, needed: usize) {
        self.bytes.drain(..count);
        self.needed = needed;
        if self.bytes.is_empty() && self.bytes.capacity() > 2 * LARGEST_READ_BYTES {
            self.bytes = Vec::new();
        }
    }
}

/// Pings the client. Ends when it is stale.
async fn keep_alive(peer: &Peer, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if peer.unanswered_pings.fetch_add(1, Ordering::Relaxed) >= PINGS_OUT {
            return;
        }
        peer.outbox.push(|out| out.extend_from_slice(b"PING\r\n"));
        peer.outbox.flush();
    }
}

/// Reads on for a moment: closing with unread input would make the system reset the connection, and the client
/// might never see why it was sent away.
async fn discard(mut incoming: OwnedReadHalf) {
    let deadline = Instant::now() + LINGER;
    let mut nowhere = vec![0; FIRST_READ_BYTES];
    while let Ok(Ok(1..)) = timeout_at(deadline, incoming.read(&mut nowhere)).await {}
}

fn log(parting: &Parting, id: u64, address: SocketAddr) {
    match parting {
        Parting::Left | Parting::Shutdown => debug!(client = id, %address, ?parting, "client disconnected"),
        Parting::Violation(violation) => warn!(client = id, %address, %violation, "client sent away"),
        Parting::SlowConsumer | Parting::Stale => warn!(client = id, %address, ?parting, "client cut off"),
    }
}

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::handshake::Options;
use crate::outbox::Outbox;

/// A connected client as its subscriptions see it: its outbox, and its CONNECT options for delivery.
pub(crate) struct Peer {
    /// Messages queued for the client.
    pub(crate) outbox: Outbox,
    /// Pings since the client last sent anything.
    pub(crate) unanswered_pings: AtomicU32,
    echo: AtomicBool,
    headers: AtomicBool,
}

impl Peer {
    pub(crate) fn new(outbox: Outbox) -> Self {
        let Options { echo, headers, .. } = Options::default();
        Self {
            outbox,
            unanswered_pings: AtomicU32::new(0),
            echo: AtomicBool::new(echo),
            headers: AtomicBool::new(headers),
        }
    }

    /// Adopts the CONNECT options for delivery.
    pub(crate) fn apply(&self, options: &Options) {
        self.echo.store(options.echo, Ordering::Relaxed);
        self.headers.store(options.headers, Ordering::Relaxed);
    }

    /// Whether the client wants its own messages.
    pub(crate) fn wants_echo(&self) -> bool {
        self.echo.load(Ordering::Relaxed)
    }

    /// Whether the client accepts header blocks.
    pub(crate) fn takes_headers(&self) -> bool {
        self.headers.load(Ordering::Relaxed)
    }
}

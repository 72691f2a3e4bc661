//! WebSockets as clients have them (RFC 6455, and RFC 8441 over HTTP/2). What happens to messages on NATS is `h8s_nats`'s.
//!
//! One connection's way, file by file: `upgrade` recognises the request, `origin` keeps foreign pages out, `open` asks a
//! responder and answers with a `handshake`. From then on `connection` is its task, between the `socket` and the leg:
//! `codec` for the bytes, `outbox` and `queue` for what goes to the client, `clock` for what happens by itself, `slow`
//! for those who do not keep up, `ending` for how it ends.
//!
//! Invariants: nothing is published before the client is admitted; a client's message is never held whole; a quiet
//! connection holds no buffer; what waits for a client is bounded, and waiting for one holds up no other.

mod clock;
mod codec;
mod config;
mod connection;
mod ending;
mod handshake;
mod open;
mod origin;
mod outbox;
mod queue;
mod slow;
mod socket;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::shutdown::ShutdownWatch;

pub use config::WebSocketConfig;
pub(crate) use ending::Ending;
pub use origin::AllowedOrigins;
pub use slow::DropOldest;
pub(crate) use upgrade::{Asked, asked};

/// By then the last clients are told that a draining gateway leaves, so that their close handshakes and what their
/// responders have in hand fit into the rest of the grace period.
const DRAIN_SHARE: f64 = 0.7;
/// Spreading reconnects wider than this helps nobody.
const MAX_DRAIN_WINDOW: Duration = Duration::from_secs(20);

/// What all WebSockets of a gateway share.
#[derive(Debug)]
pub(crate) struct WebSockets {
    slots: Arc<Semaphore>,
    /// Over how long a drain spreads its closes.
    drain_window: Duration,
    tasks: TaskTracker,
    shutdown: ShutdownWatch,
    metrics: Arc<Metrics>,
}

impl WebSockets {
    pub(crate) fn new(
        slots: Arc<Semaphore>,
        grace_period: Duration,
        tasks: TaskTracker,
        shutdown: ShutdownWatch,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            slots,
            drain_window: grace_period.mul_f64(DRAIN_SHARE).min(MAX_DRAIN_WINDOW),
            tasks,
            shutdown,
            metrics,
        }
    }

    /// `None`: there are as many as there may be.
    fn slot(&self) -> Option<Slot> {
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        self.metrics.websockets.open.inc();
        Some(Slot { counted: Some(self.metrics.clone()), _permit: permit })
    }
}

/// A place among those that may be open, from before the responder is asked until it has handled what the client said
/// last: that waits here, and whoever comes and goes quickly must not have more of it than its place.
#[derive(Debug)]
struct Slot {
    /// Counted among the open ones, until the client's socket is closed.
    counted: Option<Arc<Metrics>>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn client_left(&mut self) {
        if let Some(metrics) = self.counted.take() {
            metrics.websockets.open.dec();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.client_left();
    }
}

//! The client's side of WebSockets (RFC 6455, and RFC 8441 over HTTP/2). `h8s_nats` carries their messages.
//!
//! A connection's life: `upgrade` recognises the request, `origin` rejects foreign pages, `open` asks a responder and
//! responds with a `handshake`. From then on `connection` is its task, between the `socket` and the upstream session:
//! `codec` for frames, `outbox` and `queue` for outgoing messages, `clock` for timers, `slow` for slow clients, `ending`
//! for the close.
//!
//! Invariants: nothing is published before the client is admitted; a client's message is never held whole; an idle
//! connection holds no buffer; each client's queue is bounded, and a slow client delays no other.

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

use crate::observability::metrics::Metrics;
use crate::shutdown::ShutdownWatch;

pub(crate) use config::DEFAULT_MAX_WEBSOCKETS;
pub use config::WebSocketConfig;
pub(crate) use ending::Ending;
pub use origin::AllowedOrigins;
pub use slow::DropOldest;
pub(crate) use upgrade::{UpgradeRequest, asked};

/// Share of the grace period over which a drain spreads its closes, so that close handshakes and messages in progress fit
/// into the rest.
const DRAIN_SHARE: f64 = 0.7;
/// Spreading reconnects wider than this has no benefit.
const MAX_DRAIN_WINDOW: Duration = Duration::from_secs(20);

/// State shared by all WebSockets of one worker.
#[derive(Debug)]
pub(crate) struct WebSockets {
    slots: Arc<Semaphore>,
    /// Time over which a drain spreads its closes.
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

    /// `None`: `--max-websockets` is reached.
    fn slot(&self) -> Option<Slot> {
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        self.metrics.websockets.open.inc();
        Some(Slot { counted: Some(self.metrics.clone()), _permit: permit })
    }
}

/// One of the WebSockets that may be open, held from before the responder is asked until it has handled the client's last
/// message. That message waits here, so clients that reconnect rapidly must not accumulate more than their slots.
#[derive(Debug)]
struct Slot {
    /// Counted as open until the client's socket is closed.
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

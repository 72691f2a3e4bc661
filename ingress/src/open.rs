//! One client connection, and one exchange in flight on it: what both share, and how an exchange ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::forwarded::Peer;
use crate::metrics::Metrics;
use crate::rescue::Failure;
use crate::response_body::Cut;

/// What every exchange of one client connection shares.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) peer: Peer,
    pub(crate) metrics: Arc<Metrics>,
    is_cut: AtomicBool,
}

impl ClientConnection {
    pub(crate) fn new(peer: Peer, metrics: Arc<Metrics>) -> Self {
        metrics.connections.inc();
        metrics.connections_total.inc();
        Self { peer, metrics, is_cut: AtomicBool::new(false) }
    }

    /// Something on this connection was cut short: it may end, but not as if all were well.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// An exchange in flight, from its head until its response is out. Dropped unfinished, its client has left.
#[derive(Debug)]
pub(crate) struct Open {
    connection: Arc<ClientConnection>,
    pub(crate) started: Instant,
    is_finished: bool,
}

impl Open {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        connection.metrics.in_flight.inc();
        Self { connection, started: Instant::now(), is_finished: false }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.connection.metrics
    }

    /// Bytes of the response body went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.metrics().response_bytes.inc_by(bytes as u64);
    }

    /// The whole response is out.
    pub(crate) fn complete(&mut self) {
        self.is_finished = true;
    }

    /// The upstream's response is not to be had; the client gets the gateway's own, which is a whole one.
    pub(crate) fn fail<T>(&mut self, failure: Failure) -> Result<T, Failure> {
        self.is_finished = true;
        Err(failure)
    }

    /// The response ends here, and the client must see that it is not whole.
    pub(crate) fn cut(&mut self, cut: &Cut) {
        self.connection.cut();
        self.broken_off(cut);
    }

    /// The response ends here, and the client is told so within it.
    pub(crate) fn broken_off(&mut self, cut: &Cut) {
        self.is_finished = true;
        self.metrics().cut_by_upstream.inc();
        tracing::warn!(cause = %cut, source = std::error::Error::source(cut), "a response was cut off");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics().in_flight.dec();
        if !self.is_finished {
            self.metrics().cut_by_client.inc();
        }
    }
}

//! The state of one client connection, and the guard of each exchange in flight on it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use crate::http::forwarded::Peer;
use crate::observability::access_log::{Cause, Record};
use crate::observability::metrics::{Limit, Metrics};
use crate::protection::activity::Activity;
use crate::protection::limits::Limits;
use crate::protection::per_address::AddressPermit;
use crate::protection::rapid_reset::Resets;

/// State shared by the exchanges of one client connection.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) peer: Peer,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) activity: Activity,
    resets: Resets,
    is_cut: AtomicBool,
    is_closed_for_abuse: AtomicBool,
    closed_for_abuse: Notify,
    /// `None` for trusted proxies, which are exempt.
    address_permit: Option<AddressPermit>,
}

impl ClientConnection {
    pub(crate) fn new(
        peer: Peer,
        metrics: Arc<Metrics>,
        limits: Arc<Limits>,
        address_permit: Option<AddressPermit>,
    ) -> Self {
        metrics.connections.inc();
        metrics.connections_total.inc();
        Self {
            peer,
            metrics,
            limits,
            activity: Activity::new(),
            resets: Resets::new(),
            is_cut: AtomicBool::new(false),
            is_closed_for_abuse: AtomicBool::new(false),
            closed_for_abuse: Notify::new(),
            address_permit,
        }
    }

    /// Counts and logs a limit hit on this connection.
    pub(crate) fn limited(&self, limit: Limit) {
        self.metrics.limited.hit(limit);
        tracing::debug!(?limit, peer = ?self.peer, "a client connection hit a limit");
    }

    /// Counts an abusive limit hit and pauses the client's address. Trusted proxies are not paused: they serve many clients.
    pub(crate) fn limited_for_abuse(&self, limit: Limit) {
        if let Some(permit) = &self.address_permit {
            permit.pause(self.limits.abuse_pause);
        }
        self.limited(limit);
    }

    /// Requests the end of this connection.
    fn close_for_abuse(&self) {
        if !self.is_closed_for_abuse.swap(true, Ordering::Relaxed) {
            self.limited_for_abuse(Limit::Resets);
            self.closed_for_abuse.notify_one();
        }
    }

    pub(crate) fn is_closed_for_abuse(&self) -> bool {
        self.is_closed_for_abuse.load(Ordering::Relaxed)
    }

    /// Resolves when this connection must be closed for abuse.
    pub(crate) async fn closed_for_abuse(&self) {
        self.closed_for_abuse.notified().await;
    }

    /// A response on this connection was cut: it must end with a reset, not an orderly close.
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

/// Marks a connection as active without an exchange.
#[derive(Debug)]
pub(crate) struct Busy(Arc<ClientConnection>);

impl Busy {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        connection.activity.begin();
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.activity.end();
    }
}

/// A request body that may still arrive.
#[derive(Debug)]
pub(crate) struct Upload(Arc<ClientConnection>);

impl Upload {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        connection.activity.upload_begins();
        Self(connection)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.activity.upload_ends();
    }
}

/// An exchange in flight, from its request head until its response is sent. Dropped unfinished, the client has left.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    connection: Arc<ClientConnection>,
    pub(crate) started: Instant,
    /// Exchanges in flight when it started, including this one: on the connection, and in total.
    here: usize,
    in_all: i64,
    /// It passed the limit checks.
    is_started: bool,
    is_finished: bool,
    record: Option<Box<Record>>,
}

impl InFlightGuard {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        let in_all = connection.metrics.in_flight.inc() + 1;
        let here = connection.activity.begin();
        let started = Instant::now();
        Self { connection, started, here, in_all, is_started: false, is_finished: false, record: None }
    }

    /// Checks the limits on exchanges. From here on the exchange counts as started.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub(crate) fn check_limits(&mut self) -> Result<(), Limit> {
        self.is_started = true;
        let Limits { exchanges, exchanges_per_connection, .. } = *self.connection.limits;
        let resets = &self.connection.resets;
        if self.here.saturating_add(resets.places() as usize) > exchanges_per_connection as usize {
            if resets.refused(exchanges_per_connection) {
                self.connection.close_for_abuse();
            }
            return Err(Limit::ExchangesPerConnection);
        }
        if self.in_all > i64::from(exchanges) { Err(Limit::Exchanges) } else { Ok(()) }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.connection.metrics
    }

    /// The access-log record, written when this is dropped.
    pub(crate) fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
    }

    /// Counts sent response body bytes.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.metrics().response_bytes.inc_by(bytes as u64);
        if let Some(record) = &mut self.record {
            record.sent(bytes);
        }
    }

    /// The whole response has been sent.
    pub(crate) fn complete(&mut self) {
        self.is_finished = true;
    }

    /// The upstream gave no usable response; the client gets a complete error response instead.
    pub(crate) fn fail<T, E>(&mut self, failure: E) -> Result<T, E> {
        self.is_finished = true;
        Err(failure)
    }

    /// The response ends early, and the connection must show it.
    pub(crate) fn cut(&mut self, cause: &impl Error) {
        self.connection.cut();
        self.broken_off(cause);
    }

    fn note_cut(&mut self, by: Cause) {
        if let Some(record) = &mut self.record {
            record.cut(by);
        }
    }

    /// The response ends early, and its trailers show it.
    pub(crate) fn broken_off(&mut self, cause: &impl Error) {
        self.is_finished = true;
        self.metrics().cut_by_upstream.inc();
        self.note_cut(Cause::Upstream);
        tracing::warn!(%cause, source = cause.source(), "a response was cut off");
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.metrics().in_flight.dec();
        self.connection.activity.end();
        if !self.is_finished && (self.connection.is_cut() || self.connection.is_closed_for_abuse()) {
            self.metrics().cut_by_gateway.inc();
            self.note_cut(Cause::Gateway);
        } else if !self.is_finished {
            self.metrics().cut_by_client.inc();
            let places = self.connection.limits.exchanges_per_connection;
            if self.connection.resets.reset_by_client(places, self.is_started) {
                self.connection.close_for_abuse();
            }
            self.note_cut(Cause::Client);
        }
    }
}

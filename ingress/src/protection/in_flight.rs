//! One client connection, and one exchange in flight on it: what both share, and how an exchange ended.

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

/// What every exchange of one client connection shares.
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
    /// `None`: a trusted proxy, of which there may be any number.
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

    /// A limit was hit here.
    pub(crate) fn limited(&self, limit: Limit) {
        self.metrics.limited.hit(limit);
        tracing::debug!(?limit, peer = ?self.peer, "a client connection hit a limit");
    }

    /// Its client is sent away for abuse, and does not come back at once. A trusted proxy may: it speaks for many.
    pub(crate) fn limited_for_abuse(&self, limit: Limit) {
        if let Some(permit) = &self.address_permit {
            permit.pause(self.limits.abuse_pause);
        }
        self.limited(limit);
    }

    /// Ends this connection, whatever it is doing.
    fn close_for_abuse(&self) {
        if !self.is_closed_for_abuse.swap(true, Ordering::Relaxed) {
            self.limited_for_abuse(Limit::Resets);
            self.closed_for_abuse.notify_one();
        }
    }

    pub(crate) fn is_closed_for_abuse(&self) -> bool {
        self.is_closed_for_abuse.load(Ordering::Relaxed)
    }

    /// Ends when this connection has to.
    pub(crate) async fn closed_for_abuse(&self) {
        self.closed_for_abuse.notified().await;
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

/// Something goes on on a connection that is no exchange.
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

/// A request's body that may still come.
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

/// An exchange in flight, from its head until its response is out. Dropped unfinished, its client has left.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    connection: Arc<ClientConnection>,
    pub(crate) started: Instant,
    /// How many exchanges there were when it began, with this: on the connection, and in all.
    here: usize,
    in_all: i64,
    /// Somebody has begun to serve it.
    is_begun: bool,
    is_finished: bool,
    record: Option<Box<Record>>,
}

impl InFlightGuard {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        let in_all = connection.metrics.in_flight.inc() + 1;
        let here = connection.activity.begin();
        let started = Instant::now();
        Self { connection, started, here, in_all, is_begun: false, is_finished: false, record: None }
    }

    /// Is there a place for it? From here on it is served.
    pub(crate) fn check_limits(&mut self) -> Result<(), Limit> {
        self.is_begun = true;
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

    /// What the access log says when this is over.
    pub(crate) fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
    }

    /// Bytes of the response body went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.metrics().response_bytes.inc_by(bytes as u64);
        if let Some(record) = &mut self.record {
            record.sent(bytes);
        }
    }

    /// The whole response is out.
    pub(crate) fn complete(&mut self) {
        self.is_finished = true;
    }

    /// The upstream's response is not to be had; the client gets the gateway's own, which is a whole one.
    pub(crate) fn fail<T, E>(&mut self, failure: E) -> Result<T, E> {
        self.is_finished = true;
        Err(failure)
    }

    /// The response ends here, and the client must see that it is not whole.
    pub(crate) fn cut(&mut self, cause: &impl Error) {
        self.connection.cut();
        self.broken_off(cause);
    }

    fn note_cut(&mut self, by: Cause) {
        if let Some(record) = &mut self.record {
            record.cut(by);
        }
    }

    /// The response ends here, and the client is told so within it.
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
            if self.connection.resets.reset_by_client(places, self.is_begun) {
                self.connection.close_for_abuse();
            }
            self.note_cut(Cause::Client);
        }
    }
}

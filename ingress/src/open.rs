//! One client connection, and one exchange in flight on it: what both share, and how an exchange ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use crate::access_log::{Cause, Record};
use crate::activity::Activity;
use crate::addresses::AddressPlace;
use crate::admission::Rejection;
use crate::forwarded::Peer;
use crate::limits::Limits;
use crate::metrics::{Limit, Metrics};
use crate::rescue::Failure;
use crate::resets::Resets;
use crate::response_body::Cut;

/// What every exchange of one client connection shares.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) peer: Peer,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) activity: Activity,
    resets: Resets,
    is_cut: AtomicBool,
    is_condemned: AtomicBool,
    condemned: Notify,
    /// `None`: a trusted proxy, of which there may be any number.
    place: Option<AddressPlace>,
}

impl ClientConnection {
    pub(crate) fn new(
        peer: Peer,
        metrics: Arc<Metrics>,
        limits: Arc<Limits>,
        place: Option<AddressPlace>,
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
            is_condemned: AtomicBool::new(false),
            condemned: Notify::new(),
            place,
        }
    }

    /// A limit was hit here.
    pub(crate) fn limited(&self, limit: Limit) {
        self.metrics.limited.hit(limit);
        tracing::debug!(?limit, peer = ?self.peer, "a client connection hit a limit");
    }

    /// Its client is sent away for abuse, and does not come back at once. A trusted proxy may: it speaks for many.
    pub(crate) fn send_away(&self, limit: Limit) {
        if let Some(place) = &self.place {
            place.pause(self.limits.abuse_pause);
        }
        self.limited(limit);
    }

    /// Ends this connection, whatever it is doing.
    fn condemn(&self) {
        if !self.is_condemned.swap(true, Ordering::Relaxed) {
            self.send_away(Limit::Resets);
            self.condemned.notify_one();
        }
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.is_condemned.load(Ordering::Relaxed)
    }

    /// Ends when this connection has to.
    pub(crate) async fn condemned(&self) {
        self.condemned.notified().await;
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
pub(crate) struct Open {
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

impl Open {
    pub(crate) fn new(connection: Arc<ClientConnection>) -> Self {
        let in_all = connection.metrics.in_flight.inc() + 1;
        let here = connection.activity.begin();
        let started = Instant::now();
        Self { connection, started, here, in_all, is_begun: false, is_finished: false, record: None }
    }

    /// Is there a place for it? From here on it is served.
    pub(crate) fn check_place(&mut self) -> Result<(), Rejection> {
        self.is_begun = true;
        let Limits { exchanges, exchanges_per_connection, .. } = *self.connection.limits;
        let resets = &self.connection.resets;
        if self.here.saturating_add(resets.places() as usize) > exchanges_per_connection as usize {
            if resets.refused(exchanges_per_connection) {
                self.connection.condemn();
            }
            return Err(Rejection::TooManyOnConnection);
        }
        if self.in_all > i64::from(exchanges) { Err(Rejection::TooManyExchanges) } else { Ok(()) }
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
    pub(crate) fn fail<T>(&mut self, failure: Failure) -> Result<T, Failure> {
        self.is_finished = true;
        Err(failure)
    }

    /// The response ends here, and the client must see that it is not whole.
    pub(crate) fn cut(&mut self, cut: &Cut) {
        self.connection.cut();
        self.broken_off(cut);
    }

    fn note_cut(&mut self, by: Cause) {
        if let Some(record) = &mut self.record {
            record.cut(by);
        }
    }

    /// The response ends here, and the client is told so within it.
    pub(crate) fn broken_off(&mut self, cut: &Cut) {
        self.is_finished = true;
        self.metrics().cut_by_upstream.inc();
        self.note_cut(Cause::Upstream);
        tracing::warn!(cause = %cut, source = std::error::Error::source(cut), "a response was cut off");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics().in_flight.dec();
        self.connection.activity.end();
        if !self.is_finished && (self.connection.is_cut() || self.connection.is_condemned()) {
            self.metrics().cut_by_gateway.inc();
            self.note_cut(Cause::Gateway);
        } else if !self.is_finished {
            self.metrics().cut_by_client.inc();
            let places = self.connection.limits.exchanges_per_connection;
            if self.connection.resets.taken_back(places, self.is_begun) {
                self.connection.condemn();
            }
            self.note_cut(Cause::Client);
        }
    }
}

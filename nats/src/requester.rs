//! The gateway's side: sends HTTP requests to responders and returns their responses, in both dialects.

pub(crate) mod inbox;
pub(crate) mod native_call;
pub(crate) mod request;
pub(crate) mod routing_table;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use h8s_wire::{GatewayId, Host, Inbox, MethodPattern, PathTokens, QueueGroupError};
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::body::Body;
use crate::connection::bus::Bus;
use crate::connection::client::ConnectionState;
use crate::connection::permission_watch::Denied;
use crate::connection::round_trip::{self, Unconfirmed};
use crate::context::ExchangeContext;
use crate::error::{BoxError, ExchangeError};
use crate::exchange::endpoint::{Endpoint, Side, subject};
use crate::exchange::flow_control;
use crate::exchange::registry::random_id;
use crate::plain::inbox::{PlainFailure, PlainInbox};
use crate::presence::local::OpenConnections;
use crate::requester::inbox::GatewayInbox;
use crate::requester::request::{Due, PreparedRequest};
use crate::requester::routing_table::{InterestTable, Route};
use crate::websocket::open::{UpgradeOutcome, WebSocketRequest};

/// Timeouts and limits of a requester.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequesterConfig {
    /// The time until the response head, unless the request has a deadline. It counts from the end of the request body,
    /// and while the body is streaming from its last progress. Default 30 s.
    pub request_timeout: Duration,
    /// How long a request waits for a responder if none serves it. Default `None`: it fails at once.
    pub wait_for_responder: Option<Duration>,
    /// The largest WebSocket message that a responder may send, in bytes. Default 1 MiB.
    pub max_message_bytes: usize,
    /// How long a WebSocket that lost its responder waits for another. Default 30 s.
    pub reopen_timeout: Duration,
}

impl Default for RequesterConfig {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            wait_for_responder: None,
            max_message_bytes: 1024 * 1024,
            reopen_timeout: Duration::from_secs(30),
        }
    }
}

impl RequesterConfig {
    /// Sets [`request_timeout`](Self::request_timeout).
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets [`wait_for_responder`](Self::wait_for_responder).
    #[must_use]
    pub fn wait_for_responder(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.wait_for_responder = wait.into();
        self
    }

    /// Sets [`max_message_bytes`](Self::max_message_bytes).
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Sets [`reopen_timeout`](Self::reopen_timeout).
    #[must_use]
    pub fn reopen_timeout(mut self, timeout: Duration) -> Self {
        self.reopen_timeout = timeout;
        self
    }
}

/// Why a requester, a responder or a directory of connections could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A subscription failed.
    #[error("cannot subscribe: {0}")]
    Subscribe(#[source] BoxError),
    /// The server does not confirm subscriptions on this process's inbox.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// The user lacks a permission. The message names the command that prints the required ones.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Announcing failed.
    #[error("cannot announce: {0}")]
    Announce(#[source] BoxError),
    /// The name of the queue group is invalid.
    #[error(transparent)]
    QueueGroup(#[from] QueueGroupError),
    /// The responder has no routes.
    #[error("nothing to serve: add a route to the responder")]
    Nothing,
}

/// The longest time that a starting gateway waits for announcements.
const FIRST_ROUND: Duration = Duration::from_secs(1);
/// A round is complete when no new announcement has arrived for this long.
const ROUND_QUIET: Duration = Duration::from_millis(100);
/// The pauses before the attempts at other responders after a refusal.
pub(crate) const REFUSAL_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
];
/// The time between two attempts to find a responder, unless an announcement arrives first.
pub(crate) const RESPONDER_PAUSE: Duration = Duration::from_millis(100);

/// Sends requests to responders, as a gateway does. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    gateway: Arc<Gateway>,
}

pub(crate) struct Gateway {
    pub(crate) bus: Bus,
    config: ArcSwap<RequesterConfig>,
    pub(crate) port: Arc<Endpoint>,
    pub(crate) inbox: Inbox,
    plain: Arc<PlainInbox>,
    pub(crate) interest: Arc<InterestTable>,
    /// The WebSockets that this gateway holds.
    pub(crate) open: Arc<OpenConnections>,
    first_round_done: AtomicBool,
    /// Aborted when the last clone is dropped.
    _background: JoinSet<()>,
}

impl From<async_nats::SubscribeError> for StartError {
    fn from(error: async_nats::SubscribeError) -> Self {
        Self::Subscribe(error.into())
    }
}

impl Requester {
    /// Subscribes to the inboxes and to announcements. Returns when the server has the subscriptions. Announcements are
    /// requested in the background; see [`is_ready`](Self::is_ready).
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(bus: Bus, config: RequesterConfig) -> Result<Self, StartError> {
        let inbox = bus.subjects.gateway_inbox(GatewayId::from_bytes(random_id()));
        let port = Endpoint::new(bus.native.clone(), bus.subjects.clone(), Side::Gateway);
        let plain_id = GatewayId::from_bytes(random_id());
        let plain_inbox = bus.subjects.gateway_inbox(plain_id);
        let plain = PlainInbox::new(bus.plain.clone(), plain_inbox.clone());
        let open = OpenConnections::new(bus.plain.clone(), bus.subjects.clone(), plain_id, plain_inbox);
        let interest = Arc::new(InterestTable::new(bus.subjects.clone()));

        let mut tasks = JoinSet::new();
        let subscribe = async {
            let native_messages = bus.native.subscribe(subject(inbox.all())).await?;
            tasks.spawn(port.clone().take_from(native_messages));
            tasks.spawn(port.clone().keep_in_sync());
            let inbox_of_plain = GatewayInbox { plain: plain.clone(), open: open.clone() };
            inbox::keep(&mut tasks, &bus, inbox_of_plain).await?;
            tasks.spawn(plain.clone().watch());
            let announcements = bus.plain.subscribe(subject(bus.subjects.interest_all())).await?;
            tasks.spawn(interest.clone().keep(announcements, bus.plain.state.clone()));

            round_trip::native(&port, &inbox).await?;
            round_trip::plain(&plain).await?;
            Ok::<_, StartError>(())
        };
        bus.permission_watch().over(subscribe).await?;
        let first_round_done = AtomicBool::new(false);
        let config = ArcSwap::from_pointee(config);
        let gateway =
            Gateway { bus, config, port, inbox, plain, interest, open, first_round_done, _background: tasks };
        let requester = Self { gateway: Arc::new(gateway) };
        requester.ask_for_interest();
        Ok(requester)
    }

    /// Requests announcements from all responders, now and after every reconnect, for as long as the requester lives.
    fn ask_for_interest(&self) {
        let gateway = Arc::downgrade(&self.gateway);
        let mut state = self.gateway.bus.plain.state.clone();
        tokio::spawn(async move {
            loop {
                let Some(strong) = gateway.upgrade() else { return };
                // Read before the round: a disturbance during the round requires another one.
                let disturbances = state.borrow_and_update().disturbances;
                strong.interest_round().await;
                if !strong.first_round_done.swap(true, Ordering::Relaxed) {
                    info!(interests = strong.interest.len(), "ready");
                }
                drop(strong);
                let back = |state: &ConnectionState| state.connected && state.disturbances != disturbances;
                if state.wait_for(back).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Replaces the configuration. It applies to new requests; open WebSockets keep their limits.
    pub fn configure(&self, config: RequesterConfig) {
        self.gateway.config.store(Arc::new(config));
    }

    /// Whether NATS is connected and the first round of announcements is complete.
    pub fn is_ready(&self) -> bool {
        self.gateway.first_round_done.load(Ordering::Relaxed) && self.is_connected()
    }

    /// Whether NATS is connected now.
    pub fn is_connected(&self) -> bool {
        self.gateway.bus.is_connected()
    }

    /// Whether a responder has announced this interest. `true` while announcements may be missing: before the requester is
    /// [ready](Self::is_ready), and for some seconds after a reconnect.
    pub fn serves(&self, host: &Host, method: &Method, path: &str) -> bool {
        if !self.knows_interest() {
            return true;
        }
        let Ok(method) = MethodPattern::named(method) else { return false };
        let route = self.gateway.interest.route(host, &method, &PathTokens::of(path));
        !matches!(route, Route::Plain { announced: false })
    }

    /// Whether a responder has announced WebSockets here, in either dialect. `true` while announcements may be missing, as
    /// for [`serves`](Self::serves).
    pub fn serves_websocket(&self, host: &Host, path: &str) -> bool {
        let route = || self.gateway.interest.route(host, &MethodPattern::WebSocket, &PathTokens::of(path));
        !self.knows_interest() || !matches!(route(), Route::Plain { announced: false })
    }

    /// `false` while responders that were disconnected together with this gateway may not have announced again.
    fn knows_interest(&self) -> bool {
        self.is_ready() && !self.gateway.port.is_just_back()
    }

    /// Opens a WebSocket at a responder. The request is the client's handshake as an extended CONNECT (RFC 8441): without
    /// the fields of its connection, but with `sec-websocket-protocol`. An [`ExchangeContext`] in the extensions describes
    /// the client.
    ///
    /// # Errors
    /// See [`ExchangeError`]; each names the status it maps to. A responder's refusal is not an error.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the exchange at the responder.
    pub async fn open_websocket(
        &self,
        host: &Host,
        request: Request<()>,
    ) -> Result<UpgradeOutcome, ExchangeError> {
        if !self.is_connected() {
            return Err(ExchangeError::Disconnected);
        }
        let timeout = self.gateway.config().request_timeout;
        let request = WebSocketRequest::new(host, request, timeout)?;
        let asked = request.ask(&self.gateway);
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// The combined state of both NATS connections.
    pub fn bus_state(&self) -> ConnectionState {
        let Bus { native, plain, .. } = &self.gateway.bus;
        let disturbances = native.disturbances() + plain.disturbances();
        ConnectionState { connected: self.is_connected(), disturbances }
    }

    /// How often outgoing bodies have waited for credit, over all exchanges of this process.
    pub fn credit_stalls(&self) -> u64 {
        flow_control::credit_stalls()
    }

    /// The number of open WebSockets.
    pub fn open_connections(&self) -> usize {
        self.gateway.open.len()
    }

    /// The number of open exchanges, in both dialects.
    pub fn open_exchanges(&self) -> usize {
        self.gateway.port.exchanges.len() + self.gateway.plain.exchanges.len()
    }

    /// The number of announced interests.
    pub fn announced_interests(&self) -> usize {
        self.gateway.interest.len()
    }

    /// Sends a request and waits for the response head. Both bodies may still be streaming then.
    ///
    /// The request's authority or `Host` is sent unchanged; `host` is its parsed form. An [`ExchangeContext`] in the
    /// extensions describes the client to the responder. Its deadline replaces the request timeout, which is otherwise
    /// extended while the request body makes progress.
    ///
    /// # Errors
    /// See [`ExchangeError`]; each names the status it maps to. After the deadline the error is
    /// [`Timeout`](ExchangeError::Timeout); if the deadline has already passed, nothing is sent.
    ///
    /// # Cancel safety
    /// Dropping the future, or later the response body, cancels the exchange at the responder.
    pub async fn send<B>(&self, host: &Host, request: Request<B>) -> Result<Response<Body>, ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = self.prepare(host, request)?;
        request.begin().await?;
        let patience = request.patience();
        let attempts = pin!(self.gateway.attempt(&mut request));
        patience.over(attempts).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// Publishes a request in the plain dialect, without waiting for a response.
    ///
    /// # Errors
    /// [`ExchangeError`], if NATS is disconnected or the request does not fit into one message.
    pub async fn publish<B>(&self, host: &Host, request: Request<B>) -> Result<(), ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = self.prepare(host, request)?;
        request.begin().await?;
        let patience = request.patience();
        let publish = pin!(async {
            let body = request.whole_body(self.gateway.plain_limit()).await?;
            request
                .plain_call(&self.gateway.plain, &self.gateway.bus.subjects, Duration::ZERO)
                .publish(body)
                .await
        });
        patience.over(publish).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// Prepares a request, unless no response is possible.
    fn prepare<'a, B>(
        &self,
        host: &'a Host,
        request: Request<B>,
    ) -> Result<PreparedRequest<'a, B>, ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if !self.is_connected() {
            return Err(ExchangeError::Disconnected);
        }
        let due = self.due(&request)?;
        PreparedRequest::new(host, request, due)
    }

    fn due<B>(&self, request: &Request<B>) -> Result<Due, ExchangeError> {
        let now = Instant::now();
        match request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline) {
            Some(deadline) if deadline <= now => Err(ExchangeError::Timeout),
            Some(deadline) => Ok(Due { at: deadline, timeout: None }),
            None => {
                let timeout = self.gateway.config().request_timeout;
                Ok(Due { at: now + timeout, timeout: Some(timeout) })
            }
        }
    }

    /// Waits at most `grace` until every open exchange has ended and NATS has received their last frames. Returns
    /// whether all have ended.
    pub async fn drain(&self, grace: Duration) -> bool {
        let Gateway { port, plain, .. } = &*self.gateway;
        let ended = tokio::time::timeout(grace, async {
            tokio::join!(port.idle(), plain.exchanges.empty());
        });
        let all = ended.await.is_ok();
        if !all {
            warn!(open = self.open_exchanges(), "grace period expired with exchanges still open");
        }
        self.gateway.open.flushed().await;
        let confirmed =
            tokio::join!(round_trip::native(port, &self.gateway.inbox), round_trip::plain(plain),);
        if let (Err(error), _) | (_, Err(error)) = confirmed {
            debug!(%error, "drained while NATS is disconnected");
        }
        all
    }
}

impl Gateway {
    pub(crate) fn config(&self) -> RequesterConfig {
        **self.config.load()
    }

    /// The number of bytes that one plain message can hold besides its head.
    fn plain_limit(&self) -> usize {
        self.plain.connection.max_payload().saturating_sub(crate::plain::client::HEAD_ROOM_BYTES)
    }

    /// Requests announcements, then waits until no more arrive.
    async fn interest_round(&self) {
        let list = subject(self.bus.subjects.interest_list());
        let exchange = self.plain.open();
        let own = Some(exchange.own.clone());
        let headers = async_nats::HeaderMap::new();
        let first_news = self.interest.news.notified();
        if let Err(error) = self.bus.plain.publish_plain(list, own, headers, Bytes::new()).await {
            return debug!(%error, "interest could not be asked for");
        }
        let quiet = async {
            // No error from NATS means that a responder exists. On a busy machine its announcement may be late.
            if self.interest.len() == 0 {
                first_news.await;
            }
            while tokio::time::timeout(ROUND_QUIET, self.interest.news.notified()).await.is_ok() {}
        };
        tokio::select! {
            // No responder exists that could announce.
            Err(PlainFailure::NoResponders) = exchange.next() => {}
            () = quiet => {}
            () = tokio::time::sleep(FIRST_ROUND) => {}
        }
    }

    /// Makes one attempt in the plain dialect.
    async fn attempt_plain<B>(
        &self,
        request: &mut PreparedRequest<'_, B>,
    ) -> Result<Response<Body>, ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = request.whole_body(self.plain_limit()).await?;
        let idle = self.config().request_timeout;
        request.plain_call(&self.plain, &self.bus.subjects, idle).send(body).await
    }

    /// Tries responders until one responds or none is left.
    async fn attempt<B>(&self, request: &mut PreparedRequest<'_, B>) -> Result<Response<Body>, ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let patience = self.config().wait_for_responder.map(|wait| Instant::now() + wait);
        let mut refusals = REFUSAL_PAUSES.iter();
        loop {
            let error = match self.interest.route(request.host, &request.method, &request.path) {
                Route::Native(route) => {
                    let asked_at = Instant::now();
                    let result = request.open_native(&self.port, &self.inbox, &route).await;
                    if matches!(result, Err(ExchangeError::NoResponders)) {
                        self.interest.forget_native(&route, asked_at);
                        continue;
                    }
                    let response = match result {
                        Ok(opened) => opened.response().await,
                        Err(error) => Err(error),
                    };
                    match response {
                        Ok(response) => return Ok(response),
                        // Part of the body has been sent and cannot be repeated.
                        Err(error) if !request.is_repeatable() => return Err(error),
                        Err(error) => error,
                    }
                }
                // Boxed to keep the future of native exchanges small.
                Route::Plain { .. } => match Box::pin(self.attempt_plain(request)).await {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                },
            };
            match error {
                ExchangeError::Refused(_) => match refusals.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                },
                ExchangeError::NoResponders if patience.is_some_and(|until| Instant::now() < until) => {
                    let _ = tokio::time::timeout(RESPONDER_PAUSE, self.interest.news.notified()).await;
                }
                error => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Requester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requester").field("open_exchanges", &self.open_exchanges()).finish_non_exhaustive()
    }
}

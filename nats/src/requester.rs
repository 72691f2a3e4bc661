//! The gateway's side: an HTTP request in, its response out, over whichever dialect somebody answers.

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
use crate::connection::ConnectionState;
use crate::denied::Denied;
use crate::error::{BoxError, ExchangeError};
use crate::gateway_inbox::{self, GatewayInbox};
use crate::interest::{InterestTable, Route};
use crate::link::Link;
use crate::open_connections::OpenConnections;
use crate::plain_port::{PlainFailure, PlainPort};
use crate::port::{Port, Side, subject};
use crate::registry::random_id;
use crate::request::{Due, PreparedRequest};
use crate::round_trip::{self, Unconfirmed};
use crate::service::ExchangeContext;
use crate::websocket_call::{WebSocketAnswer, WebSocketRequest};
use crate::window;

/// How a gateway treats requests.
#[derive(Clone, Copy, Debug)]
pub struct RequesterConfig {
    /// Until the response head, where the request itself names no deadline. It counts from when the request is
    /// complete; while its body still comes, from when something of it last moved on. Default 30 s.
    pub request_timeout: Duration,
    /// How long a request that nobody serves waits for somebody who does. Default: not at all.
    pub wait_for_responder: Option<Duration>,
    /// The largest WebSocket message that a responder may send, in bytes. Default 1 MiB.
    pub max_message_bytes: usize,
    /// How long a WebSocket whose responder is gone waits for another. Default 30 s.
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

/// Why there is no requester.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A subscription was not taken.
    #[error("NATS did not take a subscription: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The server does not answer on our inbox.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// The server denies something that is needed. Says what prints the rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Announcing failed.
    #[error("NATS did not take the announcement: {0}")]
    Announce(String),
    /// A responder in a queue group that can be none.
    #[error(transparent)]
    QueueGroup(#[from] QueueGroupError),
    /// A responder without anything to serve.
    #[error("there is nothing to serve")]
    Nothing,
}

/// At most this long does a starting gateway wait for announcements.
const FIRST_ROUND: Duration = Duration::from_secs(1);
/// A round is over when nothing new has come for this long.
const ROUND_QUIET: Duration = Duration::from_millis(100);
/// Attempts at other responders after a refusal, and the pause before each.
pub(crate) const REFUSAL_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
];
/// Between two looks for a responder, unless an announcement comes first.
pub(crate) const RESPONDER_PAUSE: Duration = Duration::from_millis(100);

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) link: Link,
    config: ArcSwap<RequesterConfig>,
    pub(crate) port: Arc<Port>,
    pub(crate) inbox: Inbox,
    plain: Arc<PlainPort>,
    pub(crate) interest: Arc<InterestTable>,
    /// The WebSockets held here.
    pub(crate) open: Arc<OpenConnections>,
    first_round_done: AtomicBool,
    /// Aborted when the last clone is dropped.
    _background: JoinSet<()>,
}

impl Requester {
    /// Subscribes to the inboxes and to interest, and returns when the server has the subscriptions. What is
    /// announced is asked for in the background; see [`is_ready`](Self::is_ready).
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(link: Link, config: RequesterConfig) -> Result<Self, StartError> {
        let inbox = link.subjects.gateway_inbox(GatewayId::from_bytes(random_id()));
        let port = Port::new(link.native.clone(), link.subjects.clone(), Side::Gateway);
        let plain_id = GatewayId::from_bytes(random_id());
        let plain_inbox = link.subjects.gateway_inbox(plain_id);
        let plain = PlainPort::new(link.plain.clone(), plain_inbox.clone());
        let open = OpenConnections::new(link.plain.clone(), link.subjects.clone(), plain_id, plain_inbox);
        let interest = Arc::new(InterestTable::new(link.subjects.clone()));

        let mut tasks = JoinSet::new();
        let subscribe = async {
            let native_messages = link.native.subscribe(subject(inbox.all())).await?;
            tasks.spawn(port.clone().take_from(native_messages));
            tasks.spawn(port.clone().keep_in_sync());
            let inbox_of_plain = GatewayInbox { plain: plain.clone(), open: open.clone() };
            gateway_inbox::keep(&mut tasks, &link, inbox_of_plain).await?;
            tasks.spawn(plain.clone().watch());
            let announcements = link.plain.subscribe(subject(link.subjects.interest_all())).await?;
            tasks.spawn(interest.clone().keep(announcements, link.plain.state.clone()));

            round_trip::native(&port, &inbox).await?;
            round_trip::plain(&plain).await?;
            Ok::<_, StartError>(())
        };
        link.vigil().over(subscribe).await?;
        let first_round_done = AtomicBool::new(false);
        let config = ArcSwap::from_pointee(config);
        let shared =
            Shared { link, config, port, inbox, plain, interest, open, first_round_done, _background: tasks };
        let requester = Self { shared: Arc::new(shared) };
        requester.ask_for_interest();
        Ok(requester)
    }

    /// Asks everybody to announce, now and after every reconnect, for as long as the requester lives.
    fn ask_for_interest(&self) {
        let shared = Arc::downgrade(&self.shared);
        let mut state = self.shared.link.plain.state.clone();
        tokio::spawn(async move {
            loop {
                let Some(strong) = shared.upgrade() else { return };
                // Noted before the round: what comes in between asks for another one.
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

    /// Treats requests in another way from the next one on. WebSockets that are open keep their limits.
    pub fn configure(&self, config: RequesterConfig) {
        self.shared.config.store(Arc::new(config));
    }

    /// Connected, and the first round of announcements is over.
    pub fn is_ready(&self) -> bool {
        self.shared.first_round_done.load(Ordering::Relaxed) && self.is_connected()
    }

    /// Whether NATS is there now.
    pub fn is_connected(&self) -> bool {
        self.shared.link.is_connected()
    }

    /// Whether somebody announced that they serve this. Before it is [ready](Self::is_ready), and for some seconds after
    /// NATS was away, it cannot know, and says yes.
    pub fn serves(&self, host: &Host, method: &Method, path: &str) -> bool {
        if !self.knows_interest() {
            return true;
        }
        let Ok(method) = MethodPattern::named(method) else { return false };
        let route = self.shared.interest.route(host, &method, &PathTokens::of(path));
        !matches!(route, Route::Plain { announced: false })
    }

    /// Whether somebody announced that they take WebSockets here, in either dialect. Where it cannot know, it says yes, as
    /// [`serves`](Self::serves) does.
    pub fn serves_websocket(&self, host: &Host, path: &str) -> bool {
        let route = || self.shared.interest.route(host, &MethodPattern::WebSocket, &PathTokens::of(path));
        !self.knows_interest() || !matches!(route(), Route::Plain { announced: false })
    }

    /// Who was disturbed with us may not have announced again yet.
    fn knows_interest(&self) -> bool {
        self.is_ready() && !self.shared.port.is_just_back()
    }

    /// Asks whether somebody takes this WebSocket. The request is the client's, made ready for others: an extended
    /// CONNECT (RFC 8441) without the fields that belong to its connection; `sec-websocket-protocol` stays. An
    /// [`ExchangeContext`] among the extensions tells the responder about the client.
    ///
    /// # Errors
    /// See [`ExchangeError`]; each says which status it maps to. A responder's refusal is no error.
    ///
    /// # Cancel safety
    /// Dropping the future tells the responder to stop.
    pub async fn open_websocket(
        &self,
        host: &Host,
        request: Request<()>,
    ) -> Result<WebSocketAnswer, ExchangeError> {
        if !self.is_connected() {
            return Err(ExchangeError::Disconnected);
        }
        let timeout = self.shared.config().request_timeout;
        let request = WebSocketRequest::new(host, request, timeout)?;
        let asked = request.ask(&self.shared);
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// How the connections to NATS are doing, both together.
    pub fn link_state(&self) -> ConnectionState {
        let Link { native, plain, .. } = &self.shared.link;
        let disturbances = native.disturbances() + plain.disturbances();
        ConnectionState { connected: self.is_connected(), disturbances }
    }

    /// How often a body on its way out, of any exchange of this process, has waited until its reader would take more.
    pub fn credit_stalls(&self) -> u64 {
        window::credit_stalls()
    }

    /// WebSockets that are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.open.len()
    }

    /// Exchanges that are open now, in both dialects.
    pub fn open_exchanges(&self) -> usize {
        self.shared.port.exchanges.len() + self.shared.plain.exchanges.len()
    }

    /// How many interests are announced now.
    pub fn announced_interests(&self) -> usize {
        self.shared.interest.len()
    }

    /// Sends a request and waits for the response's head. Its body streams on; so does the request's.
    ///
    /// The request's authority or `Host` travels as it is, `host` is what was made of it. An
    /// [`ExchangeContext`] among the extensions tells the responder about the client, and its deadline takes the place
    /// of the request timeout, which is put off while the request's body moves.
    ///
    /// # Errors
    /// See [`ExchangeError`]; each says which status it maps to. When the time is over it is
    /// [`Timeout`](ExchangeError::Timeout); a deadline that is past already lets nothing be sent.
    ///
    /// # Cancel safety
    /// Dropping the future, or later the response's body, tells the responder to stop.
    pub async fn send<B>(&self, host: &Host, request: Request<B>) -> Result<Response<Body>, ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = self.prepare(host, request)?;
        request.begin().await?;
        let patience = request.patience();
        let attempts = pin!(self.shared.attempt(&mut request));
        patience.over(attempts).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// Publishes a request in the plain dialect and waits for nothing.
    ///
    /// # Errors
    /// NATS is away, or the request does not fit one message.
    pub async fn publish<B>(&self, host: &Host, request: Request<B>) -> Result<(), ExchangeError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = self.prepare(host, request)?;
        request.begin().await?;
        let patience = request.patience();
        let publish = pin!(async {
            let body = request.whole_body(self.shared.plain_limit()).await?;
            request
                .plain_call(&self.shared.plain, &self.shared.link.subjects, Duration::ZERO)
                .publish(body)
                .await
        });
        patience.over(publish).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    /// Makes a request ready, where it has a chance to be answered at all.
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
                let timeout = self.shared.config().request_timeout;
                Ok(Due { at: now + timeout, timeout: Some(timeout) })
            }
        }
    }

    /// Waits until every open exchange has ended and NATS has taken their last frames, at most for `grace`.
    /// Whether all did.
    pub async fn drain(&self, grace: Duration) -> bool {
        let Shared { port, plain, .. } = &*self.shared;
        let ended = tokio::time::timeout(grace, async {
            tokio::join!(port.idle(), plain.exchanges.empty());
        });
        let all = ended.await.is_ok();
        if !all {
            warn!(open = self.open_exchanges(), "the grace period is over with exchanges still open");
        }
        self.shared.open.flushed().await;
        let confirmed = tokio::join!(round_trip::native(port, &self.shared.inbox), round_trip::plain(plain),);
        if let (Err(error), _) | (_, Err(error)) = confirmed {
            debug!(%error, "drained without NATS");
        }
        all
    }
}

impl Shared {
    pub(crate) fn config(&self) -> RequesterConfig {
        **self.config.load()
    }

    /// What one plain message holds beside its head.
    fn plain_limit(&self) -> usize {
        self.plain.connection.max_payload().saturating_sub(crate::plain_call::HEAD_ROOM_BYTES)
    }

    /// Asks, then listens until announcements cease.
    async fn interest_round(&self) {
        let list = subject(self.link.subjects.interest_list());
        let exchange = self.plain.open();
        let own = Some(exchange.own.clone());
        let headers = async_nats::HeaderMap::new();
        let first_news = self.interest.news.notified();
        if let Err(error) = self.link.plain.publish_plain(list, own, headers, Bytes::new()).await {
            return debug!(%error, "interest could not be asked for");
        }
        let quiet = async {
            // Somebody is there, or NATS would have said otherwise: on a busy machine the answer takes its time.
            if self.interest.len() == 0 {
                first_news.await;
            }
            while tokio::time::timeout(ROUND_QUIET, self.interest.news.notified()).await.is_ok() {}
        };
        tokio::select! {
            // Nobody is there to announce anything.
            Err(PlainFailure::NoResponders) = exchange.next() => {}
            () = quiet => {}
            () = tokio::time::sleep(FIRST_ROUND) => {}
        }
    }

    /// Asks once in the plain dialect.
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
        request.plain_call(&self.plain, &self.link.subjects, idle).send(body).await
    }

    /// Tries responders until one answers, or nobody is left.
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
                        // Part of the body has been sent: it cannot be said again.
                        Err(error) if !request.is_repeatable() => return Err(error),
                        Err(error) => error,
                    }
                }
                // Boxed, so that a native exchange's future has no room for it.
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
                    // An announcement or the next look, whichever comes first.
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

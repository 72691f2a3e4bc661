//! The responder's side: announces interests, receives exchanges from NATS and calls tower services.

pub(crate) mod inline_executor;
pub(crate) mod serve;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use h8s_wire::{
    Announcement, Dialect, Host, Interest, MethodPattern, PatternMap, QueueGroup, QueueGroupError,
    ResponderId,
};
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::{debug, info, warn};

use crate::body::Body;
use crate::connection::bus::Bus;
use crate::connection::client::PublishError;
use crate::connection::drain::{Stage, Subscriptions};
use crate::connection::round_trip;
use crate::error::BoxError;
use crate::exchange::endpoint::{Endpoint, Side, subject};
use crate::exchange::registry::random_id;
use crate::plain::inbox::PlainInbox;
use crate::plain::server::{self, PlainService, PlainServing};
use crate::requester::StartError;
use crate::responder::inline_executor::InlineExecutor;
use crate::responder::serve::Serving;

/// The time between two announcements.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// The default limit of concurrent exchanges; further ones are refused. Services have their own, lower limits.
const MAX_EXCHANGES: usize = 10_000;
/// The maximum number of owned WebSockets, at some kilobytes each; further ones are refused.
const MAX_WEBSOCKETS: usize = 100_000;
/// The default limit for messages, far above the default limit of gateways (1 MiB).
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// A tower service that a responder can call. It is cloned for each exchange and need not be `Sync`, so
/// `tower::util::BoxCloneService` works. Implemented for every suitable service.
///
/// An error that is a [`Refused`](crate::Refused) lets the gateway try elsewhere; any other aborts the exchange.
pub trait HttpService:
    Service<
        Request<Body>,
        Response = Response<Self::ResponseBody>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type ResponseBody = B;
}

/// One interest and its service.
struct Route {
    interest: Interest,
    service: Box<dyn AnyService>,
}

/// A service of any type. Each exchange costs one virtual call; the rest is compiled for the service's type.
trait AnyService: Send {
    fn native(&self, route: NativeRoute) -> Box<dyn Fn(Message) + Send>;

    fn plain(self: Box<Self>) -> Box<dyn PlainService>;
}

/// The state that native exchanges of one interest need besides the service.
struct NativeRoute {
    serving: Arc<Serving>,
    exchanges: TaskTracker,
    max_exchanges: usize,
}

impl<S: HttpService> AnyService for S {
    fn native(&self, route: NativeRoute) -> Box<dyn Fn(Message) + Send> {
        let NativeRoute { serving, exchanges, max_exchanges } = route;
        let (service, inline_executor) = (self.clone(), InlineExecutor::default());
        Box::new(move |message| {
            if exchanges.len() >= max_exchanges {
                return serve::refuse(&serving, message);
            }
            let (serving, service) = (serving.clone(), service.clone());
            let serve = async move { serve::serve(&serving, service, message).await };
            inline_executor.take(exchanges.track_future(serve));
        })
    }

    fn plain(self: Box<Self>) -> Box<dyn PlainService> {
        self
    }
}

/// Configures a [`Responder`].
pub struct ResponderBuilder {
    bus: Bus,
    routes: Vec<Route>,
    queue_group: Result<QueueGroup, QueueGroupError>,
    max_exchanges: usize,
    max_message_bytes: usize,
}

impl ResponderBuilder {
    /// Adds a route: requests that match `interest` go to `service`. Routes may have services of different types. A later
    /// route replaces an earlier one with the same interest.
    #[must_use]
    pub fn serve(mut self, interest: Interest, service: impl HttpService) -> Self {
        self.routes.retain(|route| route.interest != interest);
        self.routes.push(Route { interest, service: Box::new(service) });
        self
    }

    /// The NATS queue group: each exchange goes to exactly one of its members. Default `h8s`.
    ///
    /// All responders of one host and path must use the same group; otherwise **one member of each group executes every
    /// request**. Change it only for NATS permissions that name a queue group. An invalid name is an error of
    /// [`start`](Self::start).
    #[must_use]
    pub fn queue_group(mut self, name: impl Into<String>) -> Self {
        self.queue_group = name.into().parse();
        self
    }

    /// The number of concurrent exchanges above which further ones are refused as busy. Default 10,000.
    #[must_use]
    pub fn max_exchanges(mut self, limit: usize) -> Self {
        self.max_exchanges = limit;
        self
    }

    /// The largest WebSocket message, in bytes. A larger one closes the connection with 1011. The gateway has a separate
    /// limit. Default 64 MiB.
    #[must_use]
    pub fn max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Subscribes and announces. When it returns, the server has every subscription and the responder is ready.
    ///
    /// # Errors
    /// [`StartError`], if there is no route, the queue group is invalid, NATS denies a subject, or the server does not
    /// confirm.
    pub async fn start(self) -> Result<Responder, StartError> {
        Responder::start(self).await
    }
}

impl std::fmt::Debug for ResponderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let interests: Vec<_> = self.routes.iter().map(|route| &route.interest).collect();
        f.debug_struct("ResponderBuilder").field("interests", &interests).finish_non_exhaustive()
    }
}

/// A running responder. Dropping it stops it at once and aborts open exchanges; [`drain`](Self::drain) stops it
/// gracefully.
pub struct Responder {
    bus: Bus,
    announcements: Arc<Vec<Announcement>>,
    port: Arc<Endpoint>,
    plain: Arc<PlainInbox>,
    id: ResponderId,
    queue_group: QueueGroup,
    /// The task that announces until the drain begins.
    announcer: Option<JoinHandle<()>>,
    /// Controls the subscriptions.
    stage: watch::Sender<Stage>,
    exchanges: TaskTracker,
    websockets: TaskTracker,
    /// Cancelled when the drain begins: WebSockets move to other responders.
    draining: CancellationToken,
    force_close: CancellationToken,
    /// Cancelled when the responder has stopped serving.
    closed: CancellationToken,
    subscriptions: Subscriptions,
    background: JoinSet<()>,
}

impl Responder {
    /// A builder without routes.
    pub fn builder(bus: Bus) -> ResponderBuilder {
        ResponderBuilder {
            bus,
            routes: Vec::new(),
            queue_group: Ok(QueueGroup::default()),
            max_exchanges: MAX_EXCHANGES,
            max_message_bytes: MAX_MESSAGE_BYTES,
        }
    }

    async fn start(builder: ResponderBuilder) -> Result<Self, StartError> {
        let ResponderBuilder { bus, mut routes, queue_group, max_exchanges, max_message_bytes } = builder;
        let queue_group = queue_group?;
        let first_host =
            routes.first().map(|route| route.interest.host.clone()).ok_or(StartError::Nothing)?;
        let id = ResponderId::from_bytes(random_id());
        let plain_id = ResponderId::from_bytes(random_id());
        let port = Endpoint::new(bus.native.clone(), bus.subjects.clone(), Side::Responder);
        let plain = PlainInbox::new(bus.plain.clone(), bus.subjects.responder_inbox(&first_host, plain_id));
        let (stage, stages) = watch::channel(Stage::Serving);
        let closed = CancellationToken::new();
        let mut responder = Self {
            announcements: Arc::new(announcements(&routes, id)),
            port,
            plain,
            id,
            queue_group,
            announcer: None,
            stage,
            exchanges: TaskTracker::new(),
            websockets: TaskTracker::new(),
            draining: CancellationToken::new(),
            force_close: CancellationToken::new(),
            subscriptions: Subscriptions::new(stages, closed.clone()),
            closed,
            background: JoinSet::new(),
            bus,
        };
        let mut permission_watch = responder.bus.permission_watch();
        let subscribe = async {
            responder.subscribe_inboxes(&hosts(&routes)).await?;
            responder.subscribe_native(&mut routes, max_exchanges, max_message_bytes).await?;
            responder.subscribe_plain(routes, max_exchanges).await?;
            responder.confirm(&first_host).await
        };
        permission_watch.over(subscribe).await?;
        permission_watch.over(responder.keep_announcing()).await?;
        Ok(responder)
    }

    async fn subscribe_inboxes(&mut self, hosts: &[Host]) -> Result<(), StartError> {
        for host in hosts {
            let inbox = self.bus.subjects.responder_inbox(host, self.id);
            let messages = self.bus.native.subscribe(subject(inbox.all())).await?;
            self.background.spawn(self.port.clone().take_from(messages));
        }
        self.background.spawn(self.port.clone().keep_in_sync());
        let messages = self.bus.plain.subscribe(subject(self.plain.inbox.all())).await?;
        self.background.spawn(self.plain.clone().take_from(messages));
        for host in hosts {
            let notices = subject(self.bus.subjects.close_notices(host));
            let notices = self.bus.plain.subscribe(notices).await?;
            self.background.spawn(self.plain.clone().take_from(notices));
        }
        self.background.spawn(self.plain.clone().watch());
        Ok(())
    }

    async fn subscribe_native(
        &mut self,
        // Exclusive, so that the future is `Send` although services need not be `Sync`.
        routes: &mut [Route],
        max_exchanges: usize,
        max_message_bytes: usize,
    ) -> Result<(), StartError> {
        for Route { interest, service } in routes {
            let to = subject(self.bus.subjects.exchange(interest));
            let messages = self.bus.native.queue_subscribe(to, self.queue_group.to_string()).await?;
            let serving = Arc::new(Serving {
                port: self.port.clone(),
                inbox: self.bus.subjects.responder_inbox(&interest.host, self.id),
                host: interest.host.clone(),
                draining: self.draining.clone(),
                force_close: self.force_close.clone(),
                max_message_bytes,
            });
            // Separate limits: idle WebSockets must not use up the places of requests.
            let (exchanges, max_exchanges) = match interest.method {
                MethodPattern::WebSocket => (self.websockets.clone(), MAX_WEBSOCKETS),
                _ => (self.exchanges.clone(), max_exchanges),
            };
            let take = service.native(NativeRoute { serving, exchanges, max_exchanges });
            self.subscriptions.spawn(messages, take);
        }
        Ok(())
    }

    /// One subscription per subject, however many interests share it; the most specific interest serves.
    async fn subscribe_plain(&mut self, routes: Vec<Route>, max_exchanges: usize) -> Result<(), StartError> {
        let mut subjects: Vec<_> =
            routes.iter().flat_map(|route| self.bus.subjects.http_subscriptions(&route.interest)).collect();
        subjects.sort();
        subjects.dedup();
        let mut map = PatternMap::default();
        for Route { interest, service } in routes {
            map.entry(&interest, || Mutex::new(service.plain()));
        }
        let serving = Arc::new(PlainServing {
            port: self.plain.clone(),
            subjects: self.bus.subjects.clone(),
            routes: map,
            force_close: self.force_close.clone(),
        });
        for each in subjects {
            let group = self.queue_group.to_string();
            let messages = self.bus.plain.queue_subscribe(subject(each), group).await?;
            let (serving, exchanges) = (serving.clone(), self.exchanges.clone());
            let take = move |message: Message| {
                let serving = serving.clone();
                let is_free = exchanges.len() < max_exchanges;
                exchanges.spawn(async move {
                    if is_free {
                        server::serve(&serving, message).await;
                    } else {
                        server::refuse(&serving, message).await;
                    }
                });
            };
            self.subscriptions.spawn(messages, take);
        }
        Ok(())
    }

    /// Waits until the server has all subscriptions of both connections.
    async fn confirm(&self, host: &Host) -> Result<(), StartError> {
        let inbox = self.bus.subjects.responder_inbox(host, self.id);
        let (native, plain) =
            tokio::join!(round_trip::native(&self.port, &inbox), round_trip::plain(&self.plain));
        Ok(native.and(plain)?)
    }

    /// Announces now, every 5 s, after reconnects, and whenever a gateway requests it.
    async fn keep_announcing(&mut self) -> Result<(), StartError> {
        let mut asked = self.bus.plain.subscribe(subject(self.bus.subjects.interest_list())).await?;
        announce(&self.bus, &self.announcements, true)
            .await
            .map_err(|error| StartError::Announce(error.into()))?;
        let (bus, announcements) = (self.bus.clone(), self.announcements.clone());
        let mut stages = self.stage.subscribe();
        // The two connections reconnect one after the other, and announcing needs both.
        let (mut native, mut plain) = (self.bus.native.state.clone(), self.bus.plain.state.clone());
        self.announcer = Some(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(ANNOUNCE);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    message = asked.next() => if message.is_none() { return },
                    changed = native.changed() => if changed.is_err() { return },
                    changed = plain.changed() => if changed.is_err() { return },
                    _ = stages.wait_for(|stage| *stage != Stage::Serving) => return,
                }
                if bus.is_connected()
                    && let Err(error) = announce(&bus, &announcements, true).await
                {
                    debug!(%error, "interest could not be announced");
                }
            }
        }));
        round_trip::plain(&self.plain).await?;
        for announcement in self.announcements.iter() {
            info!(interest = %announcement.interest, "serving");
        }
        Ok(())
    }

    /// The number of open exchanges, WebSockets included.
    pub fn open_exchanges(&self) -> usize {
        self.exchanges.len() + self.websockets.len()
    }

    /// Resolves when the responder has stopped serving: it was drained or dropped, or a subscription ended. Outages of
    /// NATS do not end it.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closed.clone().cancelled_owned()
    }

    /// Stops gracefully: withdraws the interests, unsubscribes, completes open exchanges and flushes the last frames to
    /// NATS. Exchanges still open after `grace` are aborted. Returns whether all completed.
    pub async fn drain(mut self, grace: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + grace;
        self.stage.send_replace(Stage::Unsubscribing);
        // Stop announcing first: an announcement after the withdrawal would undo it.
        if let Some(announcer) = self.announcer.take() {
            announcer.abort();
            let _ = announcer.await;
        }
        if let Err(error) = announce(&self.bus, &self.announcements, false).await {
            debug!(%error, "interest could not be withdrawn");
        }
        let host = self.announcements.first().map(|announcement| announcement.interest.host.clone());
        let _ = tokio::time::timeout_at(deadline, self.subscriptions.unsubscribed()).await;
        if let Some(host) = &host
            && let Err(error) = self.confirm(host).await
        {
            debug!(%error, "draining while NATS is disconnected");
        }
        self.stage.send_replace(Stage::Ending);
        self.draining.cancel();
        self.exchanges.close();
        self.websockets.close();
        let done = tokio::time::timeout_at(deadline, async {
            self.subscriptions.ended().await;
            self.exchanges.wait().await;
            self.websockets.wait().await;
            self.port.idle().await;
        });
        let all = done.await.is_ok();
        if !all {
            warn!(open = self.open_exchanges(), "grace period expired: aborting open exchanges");
            self.force_close.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.exchanges.wait()).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.port.idle()).await;
        // Wait for the server: closing a socket with unread bytes could discard frames that the server has not read
        // yet.
        if let Some(host) = &host
            && let Err(error) = self.confirm(host).await
        {
            debug!(%error, "drained while NATS is disconnected");
        }
        all
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("open_exchanges", &self.open_exchanges()).finish_non_exhaustive()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // The subscriptions end and open exchanges are aborted, so their gateways learn it at once.
        self.stage.send_replace(Stage::Ending);
        self.force_close.cancel();
        self.closed.cancel();
    }
}

fn hosts(routes: &[Route]) -> Vec<Host> {
    let mut hosts: Vec<_> = routes.iter().map(|route| route.interest.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn announcements(routes: &[Route], id: ResponderId) -> Vec<Announcement> {
    let announcement = |route: &Route| Announcement {
        interest: route.interest.clone(),
        dialects: vec![Dialect::Native, Dialect::Plain],
        responder: Some(id),
    };
    routes.iter().map(announcement).collect()
}

async fn announce(bus: &Bus, announcements: &[Announcement], registers: bool) -> Result<(), PublishError> {
    for announcement in announcements {
        let host = &announcement.interest.host;
        let to = match registers {
            true => bus.subjects.interest_register(host),
            false => bus.subjects.interest_unregister(host),
        };
        let headers = async_nats::HeaderMap::new();
        let payload = announcement.encode().into();
        bus.plain.publish_plain(subject(to), None, headers, payload).await?;
    }
    Ok(())
}

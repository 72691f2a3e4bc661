//! One connection to NATS, which is made anew when its end comes.
//!
//! async-nats reconnects by itself when the server is away, and when it is sent what it cannot read. One thing ends it
//! for good: its task panics where a header value holds a bare CR, which anybody who may publish to one of our subjects
//! can write. Then there is another client with the same subscriptions, and all that noticed was an outage.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_nats::{Client, ConnectOptions as ClientOptions, Event, SubscribeError};
use bytes::Bytes;
use tokio::sync::{Mutex, oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::connection::bus::ConnectError;
use crate::connection::options::ConnectOptions;
use crate::connection::permission_watch::{Denials, Denied};
use crate::connection::subscription::{Renewal, Subscription};
use crate::connection::write_batch::{self, Outbox, Publication};
use crate::error::BoxError;

/// How long a publish may wait for the connection's task to take it; it waits only while NATS is away or the
/// socket is full.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts at a new client: as async-nats pauses at most.
const CONNECT_PAUSE: Duration = Duration::from_secs(4);

/// What a program logs unless it is told otherwise. When NATS is away and back, we say ourselves, once for each
/// connection: the client library would say it a dozen times.
pub const LOG_LEVELS: &str = "info,async_nats=warn";

/// A message could not be handed to NATS.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("NATS did not take the message within {PUBLISH_TIMEOUT:?}")]
    Timeout,
    #[error("the message is larger than the server allows")]
    TooLarge,
    #[error("{0}")]
    Other(Arc<BoxError>),
}

/// How one connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionState {
    /// Connected now.
    pub connected: bool,
    /// How often messages may have been lost: reconnects, and messages dropped because we were too slow.
    pub disturbances: u64,
}

impl ConnectionState {
    fn disconnect(&mut self) {
        self.connected = false;
        self.disturbances += 1;
    }
}

/// One NATS connection and what happens to it.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    /// Of the native connection. What the plain one says stays in order without: there is one way to its client.
    outbox: Option<Outbox>,
    pub(crate) state: watch::Receiver<ConnectionState>,
}

struct Shared {
    options: ConnectOptions,
    client: ArcSwap<Client>,
    /// What another client subscribes to. Locked while one subscribes, so that none is left out.
    subscriptions: Mutex<Vec<Renewal>>,
    events: Arc<Events>,
}

/// What the client tells of beside its messages.
struct Events {
    purpose: &'static str,
    state: watch::Sender<ConnectionState>,
    denials: Denials,
}

/// Closed when the client's tasks have ended, whichever way.
type End = oneshot::Receiver<Infallible>;

impl Connection {
    /// Connects, once, for native frames.
    pub(crate) async fn native(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let mut connection = Self::open(options, "native").await?;
        let (outbox, queue) = write_batch::new();
        let shared = connection.shared.clone();
        tokio::spawn(queue.publish_with(move || shared.client.load_full()));
        connection.outbox = Some(outbox);
        Ok(connection)
    }

    /// Connects, once, for everything else.
    pub(crate) async fn plain(options: &ConnectOptions) -> Result<Self, ConnectError> {
        Self::open(options, "plain").await
    }

    async fn open(options: &ConnectOptions, purpose: &'static str) -> Result<Self, ConnectError> {
        let (sender, state) = watch::channel(ConnectionState { connected: true, disturbances: 0 });
        let events = Arc::new(Events { purpose, state: sender, denials: Denials::new(options.program()) });
        let (client, end) = connect(options, &events).await?;
        let shared = Arc::new(Shared {
            options: options.clone(),
            client: ArcSwap::from_pointee(client),
            subscriptions: Mutex::default(),
            events,
        });
        tokio::spawn(renew(Arc::downgrade(&shared), end));
        Ok(Self { shared, outbox: None, state })
    }

    /// Takes what is published to a subject, until the connection is dropped.
    pub(crate) async fn subscribe(&self, to: async_nats::Subject) -> Result<Subscription, SubscribeError> {
        self.subscribe_in(to, None).await
    }

    /// The same, sharing the messages with the other members of a queue group.
    pub(crate) async fn queue_subscribe(
        &self,
        to: async_nats::Subject,
        group: String,
    ) -> Result<Subscription, SubscribeError> {
        self.subscribe_in(to, Some(group)).await
    }

    async fn subscribe_in(
        &self,
        to: async_nats::Subject,
        group: Option<String>,
    ) -> Result<Subscription, SubscribeError> {
        let mut subscriptions = self.shared.subscriptions.lock().await;
        let (subscription, renewal) = Subscription::open(&self.shared.client.load(), to, group).await?;
        subscriptions.retain(Renewal::is_wanted);
        subscriptions.push(renewal);
        Ok(subscription)
    }

    /// Hands one frame to NATS, in order with the others, and a reply where one is wanted.
    pub(crate) async fn publish(
        &self,
        subject: async_nats::Subject,
        reply: Option<async_nats::Subject>,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        // Boxed is what happens seldom: this future is part of every exchange's.
        let Some(outbox) = &self.outbox else {
            let headers = async_nats::HeaderMap::new();
            return Box::pin(self.publish_plain(subject, reply, headers, payload)).await;
        };
        let Err(publication) = outbox.try_put(Publication { subject, reply, payload }) else { return Ok(()) };
        let put = Box::pin(tokio::time::timeout(PUBLISH_TIMEOUT, outbox.put(publication)));
        put.await.map_err(|_| PublishError::Timeout)
    }

    /// Hands one message of the plain dialect to NATS, in order with the others of that kind: with NATS headers, and a
    /// reply where one is wanted.
    pub(crate) async fn publish_plain(
        &self,
        subject: async_nats::Subject,
        reply: Option<async_nats::Subject>,
        headers: async_nats::HeaderMap,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let client = self.shared.client.load();
        let publish = async {
            match reply {
                Some(reply) if headers.is_empty() => client.publish_with_reply(subject, reply, payload).await,
                Some(reply) => client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                None if headers.is_empty() => client.publish(subject, payload).await,
                None => client.publish_with_headers(subject, headers, payload).await,
            }
        };
        taken(tokio::time::timeout(PUBLISH_TIMEOUT, publish).await)
    }

    /// Waits until the socket has taken what was published.
    pub(crate) async fn flush(&self) {
        let client = self.shared.client.load_full();
        if let Err(error) = client.flush().await {
            debug!(connection = self.shared.events.purpose, %error, "NATS did not take what was published");
        }
    }

    /// The largest message that the server takes, in bytes, its headers among them.
    pub(crate) fn max_payload(&self) -> usize {
        self.shared.client.load().max_payload()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }

    pub(crate) fn disturbances(&self) -> u64 {
        self.state.borrow().disturbances
    }

    /// What is denied from now on.
    pub(crate) fn denials(&self) -> watch::Receiver<Option<Denied>> {
        self.shared.events.denials.watch()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("purpose", &self.shared.events.purpose).finish_non_exhaustive()
    }
}

async fn connect(options: &ConnectOptions, events: &Arc<Events>) -> Result<(Client, End), ConnectError> {
    let (alive, end) = oneshot::channel();
    let name = format!("{} {}", options.program(), events.purpose);
    let client_options = options.client_options().await.map_err(ConnectError::Credentials)?.name(name);
    let client =
        with_events(client_options, events.clone(), alive).connect(options.addresses()).await.map_err(
            |source| ConnectError::Connect { servers: options.servers().join(", "), source: source.into() },
        )?;
    Ok((client, end))
}

fn with_events(
    options: ClientOptions,
    events: Arc<Events>,
    alive: oneshot::Sender<Infallible>,
) -> ClientOptions {
    options.event_callback(move |event| {
        // Dropped with the callback, which lives as long as the client's tasks.
        let _alive = &alive;
        events.take(&event);
        std::future::ready(())
    })
}

/// Connects anew whenever the client has ended, for as long as the connection is in use.
async fn renew(shared: Weak<Shared>, mut end: End) {
    loop {
        let _ = end.await;
        let Some(events) = shared.upgrade().map(|shared| shared.events.clone()) else { return };
        error!(connection = events.purpose, "the NATS client broke down at a message: connecting anew");
        events.state.send_modify(ConnectionState::disconnect);
        end = loop {
            let Some(shared) = shared.upgrade() else { return };
            match shared.replace_client().await {
                Ok(end) => break end,
                Err(error) => warn!(connection = events.purpose, %error, "NATS is away"),
            }
            drop(shared);
            tokio::time::sleep(CONNECT_PAUSE).await;
        };
        info!(connection = events.purpose, "NATS is back");
        events.state.send_modify(|state| {
            state.connected = true;
            // The new client may have said that it is connected before its subscriptions were.
            state.disturbances += 1;
        });
    }
}

impl Shared {
    async fn replace_client(&self) -> Result<End, ConnectError> {
        let (client, end) = connect(&self.options, &self.events).await?;
        let mut subscriptions = self.subscriptions.lock().await;
        subscriptions.retain(Renewal::is_wanted);
        for subscription in subscriptions.iter() {
            // It fails when this client has ended, too: then there will be another.
            if let Err(error) = subscription.renew(&client).await {
                debug!(connection = self.events.purpose, %error, "a subscription was not taken");
            }
        }
        self.client.store(Arc::new(client));
        Ok(end)
    }
}

impl Events {
    fn take(&self, event: &Event) {
        let connection = self.purpose;
        match event {
            Event::Connected => {
                if self.state.borrow().disturbances > 0 {
                    info!(connection, "NATS is back");
                }
                // The first one is told of late, by a task of its own: nobody has come back by it.
                self.state.send_if_modified(|state| !std::mem::replace(&mut state.connected, true));
            }
            Event::Disconnected => {
                warn!(connection, "NATS is away");
                self.state.send_modify(ConnectionState::disconnect);
            }
            Event::SlowConsumer(_) => {
                warn!(connection, "messages were dropped: this process does not keep up with NATS");
                self.state.send_modify(|state| state.disturbances += 1);
            }
            Event::ServerError(error) if self.denials.take(&error.to_string()) => {}
            Event::ServerError(error) => warn!(connection, %error, "NATS reports an error"),
            Event::ClientError(error) => debug!(connection, %error, "NATS client error"),
            Event::LameDuckMode | Event::Draining | Event::Closed => debug!(connection, "NATS: {event}"),
        }
    }
}

type Taken = Result<Result<(), async_nats::PublishError>, tokio::time::error::Elapsed>;

fn taken(result: Taken) -> Result<(), PublishError> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
            Err(PublishError::TooLarge)
        }
        Ok(Err(error)) => Err(PublishError::Other(Arc::new(error.into()))),
        Err(_) => Err(PublishError::Timeout),
    }
}

//! The process's two NATS connections.
//!
//! Native frames travel on one, the plain dialect and control messages on the other: a responder that publishes a
//! header block that async-nats cannot read costs the second connection a reconnect, and native exchanges nothing
//! (`PROTOCOL.md §1`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use h8s_wire::Subjects;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::config::NatsConfig;
use crate::denied::{Denials, Vigil};

/// Frames are at most 128 KiB, and a server that allows twice as much has room for the plain dialect's heads.
const MIN_MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// How long a publish may wait for the connection's task to take it; it waits only while NATS is away or the
/// socket is full.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers, or the server does not let us in.
    #[error("cannot connect to NATS at {servers}: {source}")]
    Connect {
        /// The configured URLs.
        servers: String,
        /// What async-nats says.
        source: async_nats::ConnectError,
    },
    /// The credentials file cannot be used.
    #[error("cannot use the NATS credentials: {0}")]
    Credentials(#[from] std::io::Error),
    /// The server's `max_payload` is too small.
    #[error(
        "NATS at {servers} allows messages of {max_payload_bytes} bytes, h8s needs {MIN_MAX_PAYLOAD_BYTES}: \
             raise max_payload in the server's configuration"
    )]
    MaxPayload {
        /// The configured URLs.
        servers: String,
        /// What the server allows.
        max_payload_bytes: usize,
    },
}

/// A message could not be handed to NATS.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("NATS did not take the message within {PUBLISH_TIMEOUT:?}")]
    Timeout,
    #[error("the message is larger than the server allows")]
    TooLarge,
    #[error("{0}")]
    Other(String),
}

/// How one connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionState {
    /// Connected now.
    pub connected: bool,
    /// How often messages may have been lost: reconnects, and messages dropped because we were too slow.
    pub disturbances: u64,
}

/// One NATS connection and what happens to it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) state: watch::Receiver<ConnectionState>,
    denials: Arc<Denials>,
}

impl Connection {
    async fn open(config: &NatsConfig, purpose: &'static str) -> Result<Self, ConnectError> {
        let (sender, state) = watch::channel(ConnectionState { connected: true, disturbances: 0 });
        let options = config.options().await?;
        let denials = Arc::new(Denials::new(&config.name));
        let options =
            with_events(options, sender, denials.clone(), purpose).name(format!("{} {purpose}", config.name));
        let servers = || config.servers.iter().map(redacted).collect::<Vec<_>>().join(", ");
        let client = options
            .connect(config.servers.as_slice())
            .await
            .map_err(|source| ConnectError::Connect { servers: servers(), source })?;
        let max_payload_bytes = client.max_payload();
        if max_payload_bytes < MIN_MAX_PAYLOAD_BYTES {
            return Err(ConnectError::MaxPayload { servers: servers(), max_payload_bytes });
        }
        Ok(Self { client, state, denials })
    }

    /// Hands one message to NATS, in order with the others of this connection.
    pub(crate) async fn publish(
        &self,
        subject: async_nats::Subject,
        reply: async_nats::Subject,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let publish = self.client.publish_with_reply(subject, reply, payload);
        taken(tokio::time::timeout(PUBLISH_TIMEOUT, publish).await)
    }

    /// The same with NATS headers, and a reply where one is wanted.
    pub(crate) async fn publish_plain(
        &self,
        subject: async_nats::Subject,
        reply: Option<async_nats::Subject>,
        headers: async_nats::HeaderMap,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let publish = async {
            match reply {
                Some(reply) if headers.is_empty() => {
                    self.client.publish_with_reply(subject, reply, payload).await
                }
                Some(reply) => {
                    self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
                }
                None if headers.is_empty() => self.client.publish(subject, payload).await,
                None => self.client.publish_with_headers(subject, headers, payload).await,
            }
        };
        taken(tokio::time::timeout(PUBLISH_TIMEOUT, publish).await)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }

    pub(crate) fn disturbances(&self) -> u64 {
        self.state.borrow().disturbances
    }
}

type Taken = Result<Result<(), async_nats::PublishError>, tokio::time::error::Elapsed>;

fn taken(result: Taken) -> Result<(), PublishError> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
            Err(PublishError::TooLarge)
        }
        Ok(Err(error)) => Err(PublishError::Other(error.to_string())),
        Err(_) => Err(PublishError::Timeout),
    }
}

fn redacted(server: &async_nats::ServerAddr) -> String {
    format!("{}://{}:{}", server.scheme(), server.host(), server.port())
}

fn with_events(
    options: ConnectOptions,
    state: watch::Sender<ConnectionState>,
    denials: Arc<Denials>,
    purpose: &'static str,
) -> ConnectOptions {
    let state = Arc::new(state);
    options.event_callback(move |event| {
        note(&state, &denials, &event, purpose);
        std::future::ready(())
    })
}

fn note(state: &watch::Sender<ConnectionState>, denials: &Denials, event: &Event, purpose: &'static str) {
    match event {
        Event::Connected => {
            let reconnected = state.borrow().disturbances > 0;
            if reconnected {
                info!(connection = purpose, "NATS is back");
            }
            state.send_modify(|state| state.connected = true);
        }
        Event::Disconnected => {
            warn!(connection = purpose, "NATS is away");
            state.send_modify(|state| {
                state.connected = false;
                state.disturbances += 1;
            });
        }
        Event::SlowConsumer(_) => {
            warn!(connection = purpose, "messages were dropped: this process does not keep up with NATS");
            state.send_modify(|state| state.disturbances += 1);
        }
        Event::ServerError(error) if denials.take(&error.to_string()) => {}
        Event::ServerError(error) => warn!(connection = purpose, %error, "NATS reports an error"),
        Event::ClientError(error) => debug!(connection = purpose, %error, "NATS client error"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            debug!(connection = purpose, "NATS: {event}")
        }
    }
}

/// Both connections. Cheap to clone; the connections close when the last clone and everything built on it is gone.
#[derive(Clone)]
pub struct Link {
    pub(crate) native: Connection,
    pub(crate) plain: Connection,
    pub(crate) subjects: Subjects,
}

impl Link {
    /// Connects, once: a server that is not there is an error. Later losses are mended by reconnecting for ever.
    ///
    /// # Errors
    /// See [`ConnectError`]; each names the servers.
    pub async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        let (native, plain) =
            tokio::try_join!(Connection::open(config, "native"), Connection::open(config, "plain"))?;
        Ok(Self { native, plain, subjects: config.subjects.clone() })
    }

    /// Whether both connections are up now.
    pub fn is_connected(&self) -> bool {
        self.native.is_connected() && self.plain.is_connected()
    }

    /// From now on, what is denied is for whoever waits with this.
    pub(crate) fn vigil(&self) -> Vigil {
        Vigil { native: self.native.denials.watch(), plain: self.plain.denials.watch() }
    }

    /// The state of the native connection, for those who wait for a change.
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.native.state.clone()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

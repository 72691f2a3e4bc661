//! The open WebSockets of one host, on all gateways, and messages to them.

use std::sync::Arc;

use h8s_nats::{Bus, SendError, StartError};
use h8s_wire::push::Audience;
use h8s_wire::{Close, ConnectionEntry, ConnectionId, Host, HostError, Message};

/// Why the connections of a host cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionsError {
    /// Not a valid host name.
    #[error("invalid host {host:?}")]
    Host {
        /// The host as it was given.
        host: String,
        /// The rule that it breaks.
        source: HostError,
    },
    /// NATS refused a subscription, or did not confirm it.
    #[error("cannot follow the connections of {host}")]
    Start {
        /// The host.
        host: Host,
        /// What failed.
        source: StartError,
    },
}

/// Why a message is not sent. Nothing has been published then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The connection, the message or the bus does not allow it.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Not a valid path pattern.
    #[error("invalid path pattern {path:?}")]
    Path {
        /// The pattern as it was given.
        path: String,
        /// The rule that it breaks.
        source: h8s_wire::PatternError,
    },
    /// Not a valid group name.
    #[error("invalid group name {group:?}")]
    Group {
        /// The name as it was given.
        group: String,
        /// The rule that it breaks.
        source: h8s_wire::push::PushError,
    },
}

/// The open WebSockets of one host, whichever gateway holds them and whichever process serves them.
///
/// The view is kept current by what gateways publish; it needs no gateway, responder or database of its own. Cheap to
/// clone. The last clone ends the subscriptions.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = h8s::connect("nats://127.0.0.1:4222").await?;
/// let connections = h8s::Connections::of(&bus, "app.example.com").await?;
/// for entry in connections.list() {
///     println!("{} {}", entry.connection, entry.path);
///     connections.send(entry.connection, h8s::Message::text("hello")).await?;
/// }
/// connections.broadcast(h8s::Message::text("to all of you")).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Connections {
    directory: h8s_nats::Connections,
    host: Host,
}

impl Connections {
    /// Subscribes to what gateways publish about the connections of `host`, and returns when they have listed the open
    /// ones: at once without a gateway, after two seconds at most.
    ///
    /// # Errors
    /// See [`ConnectionsError`].
    pub async fn of(bus: &Bus, host: &str) -> Result<Self, ConnectionsError> {
        let host: Host =
            host.parse().map_err(|source| ConnectionsError::Host { host: host.to_owned(), source })?;
        match h8s_nats::Connections::start(bus.clone(), std::slice::from_ref(&host)).await {
            Ok(directory) => Ok(Self { directory, host }),
            Err(source) => Err(ConnectionsError::Start { host, source }),
        }
    }

    /// The open connections, in no order.
    pub fn list(&self) -> Vec<Arc<ConnectionEntry>> {
        self.directory.list(&self.host)
    }

    /// One of them.
    pub fn get(&self, connection: ConnectionId) -> Option<Arc<ConnectionEntry>> {
        self.directory.get(connection)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.directory.is_empty()
    }

    /// Sends a message to one connection, at most once.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn send(&self, to: ConnectionId, message: Message) -> Result<(), PushError> {
        Ok(self.directory.send(&self.host, to, &message).await?)
    }

    /// Closes one connection with a code and a reason.
    ///
    /// # Errors
    /// See [`PushError`]; a code that clients may not receive is one.
    pub async fn close(&self, connection: ConnectionId, close: Close) -> Result<(), PushError> {
        Ok(self.directory.close(&self.host, connection, &close).await?)
    }

    /// Makes a connection a member of a group, for [`broadcast_to_group`](Self::broadcast_to_group). It stays one until
    /// it [leaves](Self::leave) or closes.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn join(&self, connection: ConnectionId, group: &str) -> Result<(), PushError> {
        Ok(self.directory.join(&self.host, connection, group).await?)
    }

    /// Ends the membership.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn leave(&self, connection: ConnectionId, group: &str) -> Result<(), PushError> {
        Ok(self.directory.leave(&self.host, connection, group).await?)
    }

    /// Waits until everything that was sent has left this process. Call it before the process ends.
    pub async fn flush(&self) {
        self.directory.flush().await;
    }

    /// Sends a message to every connection of the host, on all gateways, at most once to each.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn broadcast(&self, message: Message) -> Result<(), PushError> {
        Ok(self.directory.broadcast(&self.host, &Audience::All, &message).await?)
    }

    /// Sends a message to every connection whose path the pattern covers: `/chat/*`, for example.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn broadcast_to_path(&self, path: &str, message: Message) -> Result<(), PushError> {
        let pattern = path.parse().map_err(|source| PushError::Path { path: path.to_owned(), source })?;
        Ok(self.directory.broadcast(&self.host, &Audience::Path(pattern), &message).await?)
    }

    /// Sends a message to every member of a group.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn broadcast_to_group(&self, group: &str, message: Message) -> Result<(), PushError> {
        let name = group.parse().map_err(|source| PushError::Group { group: group.to_owned(), source })?;
        Ok(self.directory.broadcast(&self.host, &Audience::Group(name), &message).await?)
    }
}

//! Which WebSockets a component can reach, and why it cannot reach one.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use h8s_nats::{Bus, ConnectionClosed, Connections, SendError, StartError};
use h8s_wire::push::Push;
use h8s_wire::{ConnectionId, Host, Subjects};
use tokio::time::{sleep, timeout};

/// How long a connection may have been open before this host hears of it. Milliseconds are usual.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Between two looks at whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What all calls of a component can reach.
#[derive(Default)]
pub(crate) struct Reach {
    pub(crate) subjects: Subjects,
    /// Whose connections are within reach.
    pub(crate) hosts: Vec<Host>,
    /// Empty where the component imports no `sender`.
    pub(crate) connections: OnceLock<Connections>,
    /// `None` before there is a connection to NATS.
    pub(crate) link: Option<Bus>,
}

impl Reach {
    /// Nothing at all.
    pub(crate) fn nowhere() -> Arc<Self> {
        static NOWHERE: LazyLock<Arc<Reach>> = LazyLock::new(Arc::default);
        Arc::clone(&NOWHERE)
    }

    /// Everything that is known of connections.
    pub(crate) fn connections(&self) -> Result<&Connections, SendingError> {
        self.connections.get().ok_or(SendingError::Unavailable("there is no connection to NATS"))
    }

    /// Gets to know who is connected, where that is not known yet and can be.
    pub(crate) async fn find_connections(&self) -> Result<(), StartError> {
        if let (None, Some(link)) = (self.connections.get(), &self.link) {
            let found = Connections::start(link.clone(), &self.hosts).await?;
            // Had somebody else been faster, theirs would be as good.
            let _ = self.connections.set(found);
        }
        Ok(())
    }

    /// Waits until this host has heard of a connection that was opened here just now: that it is open, and what it says,
    /// come on two ways.
    pub(crate) async fn heard_of(&self, id: ConnectionId) -> Result<(), SendingError> {
        let connections = self.connections()?;
        let known = async {
            while connections.get(id).is_none() && !connections.was_closed(id) {
                sleep(LOOK_AGAIN).await;
            }
        };
        // Whoever has closed meanwhile is never heard of: what follows says so.
        let _ = timeout(HEARD_WITHIN, known).await;
        Ok(())
    }

    /// Publishes something for one connection.
    pub(crate) async fn push(&self, to: ConnectionId, push: &Push) -> Result<(), SendingError> {
        let connections = self.connections()?;
        if let Some(entry) = connections.get(to) {
            let host = self.hosts.iter().find(|host| **host == entry.host).ok_or(SendingError::Foreign)?;
            return Ok(push_to(connections, host, to, push).await?);
        }
        // It may have been one of any of our hosts, and closed.
        for host in &self.hosts {
            match push_to(connections, host, to, push).await {
                Err(SendError::Unknown) => {}
                done => return Ok(done?),
            }
        }
        Err(SendingError::Unknown)
    }
}

async fn push_to(
    connections: &Connections,
    host: &Host,
    to: ConnectionId,
    push: &Push,
) -> Result<(), SendError> {
    match push {
        Push::Message(message) => connections.send(host, to, message).await,
        Push::Close(close) => connections.close(host, to, close).await,
        Push::Join(group) => connections.join(host, to, group.as_str()).await,
        Push::Leave(group) => connections.leave(host, to, group.as_str()).await,
    }
}

/// Why something could not be done; nothing of it has been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendingError {
    #[error("there is no such connection")]
    Unknown,
    #[error("the connection is closed")]
    Closed,
    #[error("the connection is of a host that this component does not serve")]
    Foreign,
    #[error("too large: the limit is {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("{0}")]
    Invalid(&'static str),
    #[error("{0}")]
    Unavailable(&'static str),
}

impl From<SendError> for SendingError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unknown => Self::Unknown,
            SendError::Closed => Self::Closed,
            SendError::Foreign => Self::Foreign,
            SendError::TooLarge { limit_bytes } => Self::TooLarge { limit_bytes },
            SendError::Group => {
                Self::Invalid("a group's name has 1 to 128 bytes, no control characters and no spaces around")
            }
            SendError::Close => Self::Invalid("this close code may not be sent"),
            SendError::Text => Self::Invalid("a text message is UTF-8"),
            SendError::Disconnected => Self::Unavailable("NATS is away"),
        }
    }
}

impl From<ConnectionClosed> for SendingError {
    fn from(ConnectionClosed: ConnectionClosed) -> Self {
        Self::Closed
    }
}

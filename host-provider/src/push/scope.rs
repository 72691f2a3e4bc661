//! Which WebSockets a component can push to.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use h8s_nats::{Bus, Connections, SendError, StartError};
use h8s_wire::push::Push;
use h8s_wire::{ConnectionId, Host, Subjects};
use tokio::time::{sleep, timeout};

use crate::bindings::SenderError;

/// A connection that was opened here is listed here within this time. Milliseconds are usual.
const LISTED_WITHIN: Duration = Duration::from_secs(1);

/// Between two checks of whether it is listed.
const LISTED_POLL: Duration = Duration::from_millis(2);

/// What all calls of a component can push to.
#[derive(Default)]
pub(crate) struct PushScope {
    pub(crate) subjects: Subjects,
    /// The hosts whose connections are in scope.
    pub(crate) hosts: Vec<Host>,
    /// Empty unless the component imports `sender`.
    pub(crate) connections: OnceLock<Connections>,
    /// `None` before there is a connection to NATS.
    pub(crate) bus: Option<Bus>,
}

impl PushScope {
    /// A scope without any connection.
    pub(crate) fn empty() -> Arc<Self> {
        static EMPTY: LazyLock<Arc<PushScope>> = LazyLock::new(Arc::default);
        Arc::clone(&EMPTY)
    }

    /// The open connections of all gateways.
    pub(crate) fn connections(&self) -> Result<&Connections, SenderError> {
        self.connections.get().ok_or(SenderError::Unavailable("there is no connection to NATS"))
    }

    /// Subscribes to the open connections, unless that is done or there is no connection to NATS.
    pub(crate) async fn find_connections(&self) -> Result<(), StartError> {
        if let (None, Some(bus)) = (self.connections.get(), &self.bus) {
            let found = Connections::start(bus.clone(), &self.hosts).await?;
            // Where another call was faster, its subscriptions are as good.
            let _ = self.connections.set(found);
        }
        Ok(())
    }

    /// Waits until a connection that was opened here just now is listed: its messages come another way than the list.
    pub(crate) async fn listed(&self, id: ConnectionId) -> Result<(), SenderError> {
        let connections = self.connections()?;
        let listed = async {
            while connections.get(id).is_none() && !connections.was_closed(id) {
                sleep(LISTED_POLL).await;
            }
        };
        // One that closed meanwhile is never listed: the push after this fails with the reason.
        let _ = timeout(LISTED_WITHIN, listed).await;
        Ok(())
    }

    /// Publishes a push to one connection.
    pub(crate) async fn push(&self, to: ConnectionId, push: &Push) -> Result<(), SenderError> {
        let connections = self.connections()?;
        if let Some(entry) = connections.get(to) {
            let host = self.hosts.iter().find(|host| **host == entry.host).ok_or(SenderError::Foreign)?;
            return Ok(push_to(connections, host, to, push).await?);
        }
        // It may have belonged to any of the hosts, and be closed.
        for host in &self.hosts {
            match push_to(connections, host, to, push).await {
                Err(SendError::Unknown) => {}
                done => return Ok(done?),
            }
        }
        Err(SenderError::Unknown)
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

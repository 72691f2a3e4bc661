//! The state behind `sender` for one call, whichever package it is imported from (`sender.rs`, `original_sender.rs`).
//!
//! A message to the connection that the call is about travels over that connection's own exchange: in order, within the
//! client's credit. Everything else is published to the gateways, through [`Connections`](h8s_nats::Connections).

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::SendError;
use h8s_wire::push::{Audience, Group, Push};
use h8s_wire::{Close, ConnectionEntry, ConnectionId, Message, PathPattern};

use tokio::time::timeout;

use crate::bindings::SenderError;
use crate::engine::limits::Limits;
use crate::push::current_connection::{Action, ConnectionState, CurrentConnection, PendingActions};
use crate::push::scope::PushScope;

/// Gateways accept no larger message, so a larger one is refused here.
const MESSAGE_BYTES: usize = 1 << 20;

/// A client that reads nothing for this long is closed: the guest waits for it, and other calls wait for the guest's slot.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The close code for such a client (the registry of RFC 6455 §11.7).
const TRY_AGAIN_LATER: u16 = 1013;

/// What one call may still send, and to which connections.
pub(crate) struct GuestSender {
    scope: Arc<PushScope>,
    current: Option<CurrentConnection>,
    calls_left: usize,
    bytes_left: usize,
    list_bytes: usize,
}

type Outcome<T = ()> = Result<T, SenderError>;

impl GuestSender {
    pub(crate) fn new(scope: Arc<PushScope>, current: Option<CurrentConnection>, limits: &Limits) -> Self {
        let (calls_left, bytes_left) = (limits.sends, limits.sent_bytes);
        Self { scope, current, calls_left, bytes_left, list_bytes: limits.memory_bytes / 2 }
    }

    /// For an instance without a call: nothing can be sent.
    pub(crate) fn unconnected() -> Self {
        Self { scope: PushScope::empty(), current: None, calls_left: 0, bytes_left: 0, list_bytes: 0 }
    }

    pub(crate) fn scope(&self) -> &Arc<PushScope> {
        &self.scope
    }

    /// The close that the guest requested for the current connection.
    pub(crate) fn into_close(self) -> Option<Close> {
        self.current?.close
    }

    /// The actions that `on-open` queued.
    pub(crate) fn into_pending(self) -> PendingActions {
        match self.current {
            Some(CurrentConnection { state: ConnectionState::Opening(mut pending), close, .. }) => {
                pending.close = close;
                pending
            }
            _ => PendingActions::default(),
        }
    }

    /// Every connection in scope.
    pub(crate) fn list(&mut self) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        let connections = self.scope.connections()?;
        self.within_memory(self.scope.hosts.iter().flat_map(|host| connections.list(host)).collect())
    }

    /// The connections in scope whose subject matches.
    pub(crate) fn matching(&mut self, subject: &str) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        if !is_subject_pattern(subject) {
            return Err(SenderError::Invalid("invalid NATS subject"));
        }
        let connections = self.scope.connections()?;
        self.within_memory(
            self.scope.hosts.iter().flat_map(|host| connections.matching(host, subject)).collect(),
        )
    }

    /// Refuses a list that would not fit into the guest's memory. Clients determine its size, and the host would have to
    /// hold it first.
    fn within_memory(&self, list: Vec<Arc<ConnectionEntry>>) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        let bytes: usize = list.iter().map(|entry| bytes_of(entry)).sum();
        let limit_bytes = self.list_bytes;
        if bytes > limit_bytes { Err(SenderError::TooLarge { limit_bytes }) } else { Ok(list) }
    }

    pub(crate) async fn send(&mut self, to: &str, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        let id = parse(to)?;
        match self.current_mut(id)? {
            Some(ConnectionState::Open(sender)) => {
                let sender = sender.clone();
                match timeout(READ_TIMEOUT, sender.send(message)).await {
                    Ok(sent) => Ok(sent?),
                    Err(_) => {
                        let slow = Close::new(TRY_AGAIN_LATER, "the client reads too slowly");
                        self.current.iter_mut().for_each(|current| current.close = Some(slow.clone()));
                        Err(SenderError::Closed)
                    }
                }
            }
            Some(ConnectionState::Opening(pending)) => pending.add(message.data.len(), Action::Send(message)),
            Some(ConnectionState::Closed) => Err(SenderError::Closed),
            None => self.scope.push(id, &Push::Message(message)).await,
        }
    }

    pub(crate) async fn close(&mut self, connection: &str, close: Close) -> Outcome {
        self.spend(0)?;
        let id = parse(connection)?;
        if !close.is_sendable() {
            return Err(SendError::Close.into());
        }
        match self.current_mut(id)? {
            Some(ConnectionState::Closed) => Err(SenderError::Closed),
            Some(_) => {
                self.current.iter_mut().for_each(|current| current.close = Some(close.clone()));
                Ok(())
            }
            None => self.scope.push(id, &Push::Close(close)).await,
        }
    }

    pub(crate) async fn join(&mut self, connection: &str, group: &str) -> Outcome {
        self.regroup(connection, Action::Join(named(group)?)).await
    }

    pub(crate) async fn leave(&mut self, connection: &str, group: &str) -> Outcome {
        self.regroup(connection, Action::Leave(named(group)?)).await
    }

    async fn regroup(&mut self, connection: &str, action: Action) -> Outcome {
        self.spend(0)?;
        let id = parse(connection)?;
        match self.current_mut(id)? {
            Some(ConnectionState::Opening(pending)) => return pending.add(0, action),
            Some(ConnectionState::Closed) => return Err(SenderError::Closed),
            Some(ConnectionState::Open(_)) => self.scope.listed(id).await?,
            None => {}
        }
        self.scope.push(id, &action.into()).await
    }

    /// Performs one action that `on-open` queued, now that its connection is open.
    pub(crate) async fn perform(&mut self, id: ConnectionId, action: Action) -> Outcome {
        match action {
            Action::Send(message) => self.send(&id.to_string(), message).await,
            regroup => self.regroup(&id.to_string(), regroup).await,
        }
    }

    pub(crate) async fn broadcast(&mut self, path: Option<&str>, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        let audience = match path {
            None => Audience::All,
            Some(path) => Audience::Path(pattern(path)?),
        };
        self.broadcast_to(&audience, message).await
    }

    pub(crate) async fn broadcast_group(&mut self, group: &str, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        self.broadcast_to(&Audience::Group(named(group)?), message).await
    }

    /// Published once for each host; most components serve one.
    async fn broadcast_to(&self, audience: &Audience, message: Message) -> Outcome {
        let connections = self.scope.connections()?;
        for host in &self.scope.hosts {
            connections.broadcast(host, audience, &message).await?;
        }
        Ok(())
    }

    /// Counts a call and its bytes against the limits. Refuses a message that is too large; that is no reason to stop the
    /// guest.
    fn spend(&mut self, bytes: usize) -> Outcome {
        if bytes > MESSAGE_BYTES {
            return Err(SenderError::TooLarge { limit_bytes: MESSAGE_BYTES });
        }
        let (calls, rest) = (self.calls_left.checked_sub(1), self.bytes_left.checked_sub(bytes));
        let (Some(calls), Some(rest)) = (calls, rest) else {
            return Err(SenderError::Unavailable("this call has reached its limit of messages or bytes"));
        };
        (self.calls_left, self.bytes_left) = (calls, rest);
        Ok(())
    }

    /// The state of the current connection, if `id` names it and the guest has not closed it.
    fn current_mut(&mut self, id: ConnectionId) -> Outcome<Option<&mut ConnectionState>> {
        match &mut self.current {
            Some(current) if current.id == id && current.close.is_some() => Err(SenderError::Closed),
            Some(current) if current.id == id => Ok(Some(&mut current.state)),
            _ => Ok(None),
        }
    }
}

/// The approximate size of an entry in a guest's memory.
fn bytes_of(entry: &ConnectionEntry) -> usize {
    let fields: usize = entry.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    256 + entry.path.len() + entry.subject.len() + entry.query.as_ref().map_or(0, String::len) + fields
}

/// An invalid id is an unknown connection.
fn parse(connection: &str) -> Outcome<ConnectionId> {
    connection.parse().map_err(|_| SenderError::Unknown)
}

fn named(group: &str) -> Outcome<Group> {
    group.parse().map_err(|_| SendError::Group.into())
}

fn pattern(path: &str) -> Outcome<PathPattern> {
    path.parse().map_err(|_| SenderError::Invalid("invalid path; write /a, or /a/* for everything below it"))
}

/// Tokens must not be empty; `*` and `>` must be whole tokens, and `>` the last.
fn is_subject_pattern(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    let is_plain = |token: &str| {
        !token.is_empty() && !token.contains(['*', '>', ' ']) && !token.chars().any(char::is_control)
    };
    while let Some(token) = tokens.next() {
        if !(is_plain(token) || token == "*" || (token == ">" && tokens.peek().is_none())) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_patterns() {
        for good in ["a", "a.b", "*", ">", "a.*.>", "h8s.ws.ws.localhost._.>"] {
            assert!(is_subject_pattern(good), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", ">.a", "a*", "a.>.b", "a b", "a\n"] {
            assert!(!is_subject_pattern(bad), "{bad:?}");
        }
    }

    fn opening() -> (GuestSender, String) {
        let id = ConnectionId::from_bytes([7; 16]);
        let current = CurrentConnection::opening(id);
        (GuestSender::new(Arc::default(), Some(current), &Limits::default()), id.to_string())
    }

    #[tokio::test]
    async fn a_closed_connection_accepts_nothing() {
        let (mut sender, id) = opening();
        let bad = sender.close(&id, Close::new(1006, "")).await;
        assert!(matches!(bad, Err(SenderError::Invalid(_))), "{bad:?}");
        sender.close(&id, Close::new(4000, "enough")).await.unwrap();
        assert!(matches!(sender.send(&id, Message::text("x")).await, Err(SenderError::Closed)));
        assert!(matches!(sender.join(&id, "a").await, Err(SenderError::Closed)));
        assert_eq!(sender.into_pending().close, Some(Close::new(4000, "enough")));
    }

    #[tokio::test]
    async fn calls_and_bytes_are_counted() {
        let limits = Limits { sends: 2, sent_bytes: 10, ..Limits::default() };
        let mut sender = GuestSender::new(Arc::default(), None, &limits);
        let id = ConnectionId::from_bytes([1; 16]).to_string();
        let unavailable =
            |text: &str, error| matches!(error, Err(SenderError::Unavailable(why)) if why.contains(text));
        assert!(unavailable("no connection", sender.send(&id, Message::text("12345678")).await));
        assert!(unavailable("reached its limit", sender.send(&id, Message::text("123")).await));
        assert!(matches!(sender.send("x", Message::text("")).await, Err(SenderError::Unknown)));
        assert!(unavailable("reached its limit", sender.send(&id, Message::text("")).await));
    }
}

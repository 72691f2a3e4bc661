//! One call's way to WebSockets: what `sender` does, whichever package it is imported from (`sender.rs`,
//! `original.rs`).
//!
//! What goes to the connection that the call is about takes the way that its message came: in order, with the client's
//! credit. Everything else is published for the gateways, through [`Connections`](h8s_nats::Connections).

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::SendError;
use h8s_wire::push::{Audience, Group, Push};
use h8s_wire::{Close, ConnectionEntry, ConnectionId, Message, PathPattern};

use tokio::time::timeout;

use crate::engine::limits::Limits;
use crate::push::current_connection::{Kept, Own, OwnState, Step};
use crate::push::scope::{Reach, SendingError};

/// A larger message is refused before it goes anywhere: gateways take no larger one.
const MESSAGE_BYTES: usize = 1 << 20;

/// How long a client may take to read before what its own message brought about goes no further: a guest waits for it,
/// and others wait for its place.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What such a client is told (the registry of RFC 6455 §11.7).
const TRY_AGAIN_LATER: u16 = 1013;

/// See the module.
pub(crate) struct Sending {
    reach: Arc<Reach>,
    own: Option<Own>,
    calls_left: usize,
    bytes_left: usize,
    list_bytes: usize,
}

type Outcome<T = ()> = Result<T, SendingError>;

impl Sending {
    pub(crate) fn new(reach: Arc<Reach>, own: Option<Own>, limits: &Limits) -> Self {
        let (calls_left, bytes_left) = (limits.sends, limits.sent_bytes);
        Self { reach, own, calls_left, bytes_left, list_bytes: limits.memory_bytes / 2 }
    }

    /// For an instance that has no call.
    pub(crate) fn nowhere() -> Self {
        Self { reach: Reach::nowhere(), own: None, calls_left: 0, bytes_left: 0, list_bytes: 0 }
    }

    pub(crate) fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// What the guest wants its own connection closed with.
    pub(crate) fn into_close(self) -> Option<Close> {
        self.own?.close
    }

    /// What `on-open` left to be done.
    pub(crate) fn into_kept(self) -> Kept {
        match self.own {
            Some(Own { state: OwnState::Opening(mut kept), close, .. }) => {
                kept.close = close;
                kept
            }
            _ => Kept::default(),
        }
    }

    /// Everybody within reach.
    pub(crate) fn list(&mut self) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        let connections = self.reach.connections()?;
        self.within_memory(self.reach.hosts.iter().flat_map(|host| connections.list(host)).collect())
    }

    /// Those whose subject matches.
    pub(crate) fn matching(&mut self, subject: &str) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        if !is_subject_pattern(subject) {
            return Err(SendingError::Invalid("this is no NATS subject"));
        }
        let connections = self.reach.connections()?;
        self.within_memory(
            self.reach.hosts.iter().flat_map(|host| connections.matching(host, subject)).collect(),
        )
    }

    /// A list that the guest could not take is not made for it: clients say what is in it, and the host would have to
    /// find room for it first.
    fn within_memory(&self, list: Vec<Arc<ConnectionEntry>>) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        let bytes: usize = list.iter().map(|entry| bytes_of(entry)).sum();
        let limit_bytes = self.list_bytes;
        if bytes > limit_bytes { Err(SendingError::TooLarge { limit_bytes }) } else { Ok(list) }
    }

    pub(crate) async fn send(&mut self, to: &str, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        let id = parse(to)?;
        match self.own_mut(id)? {
            Some(OwnState::Open(sender)) => {
                let sender = sender.clone();
                match timeout(READ_TIMEOUT, sender.send(message)).await {
                    Ok(sent) => Ok(sent?),
                    Err(_) => {
                        let slow = Close::new(TRY_AGAIN_LATER, "the client reads too slowly");
                        self.own.iter_mut().for_each(|own| own.close = Some(slow.clone()));
                        Err(SendingError::Closed)
                    }
                }
            }
            Some(OwnState::Opening(kept)) => kept.keep(message.data.len(), Step::Send(message)),
            Some(OwnState::Closed) => Err(SendingError::Closed),
            None => self.reach.push(id, &Push::Message(message)).await,
        }
    }

    pub(crate) async fn close(&mut self, connection: &str, close: Close) -> Outcome {
        self.spend(0)?;
        let id = parse(connection)?;
        if !close.is_sendable() {
            return Err(SendError::Close.into());
        }
        match self.own_mut(id)? {
            Some(OwnState::Closed) => Err(SendingError::Closed),
            Some(_) => {
                self.own.iter_mut().for_each(|own| own.close = Some(close.clone()));
                Ok(())
            }
            None => self.reach.push(id, &Push::Close(close)).await,
        }
    }

    pub(crate) async fn join(&mut self, who: &str, group: &str) -> Outcome {
        self.regroup(who, Step::Join(named(group)?)).await
    }

    pub(crate) async fn leave(&mut self, who: &str, group: &str) -> Outcome {
        self.regroup(who, Step::Leave(named(group)?)).await
    }

    async fn regroup(&mut self, who: &str, step: Step) -> Outcome {
        self.spend(0)?;
        let id = parse(who)?;
        match self.own_mut(id)? {
            Some(OwnState::Opening(kept)) => return kept.keep(0, step),
            Some(OwnState::Closed) => return Err(SendingError::Closed),
            Some(OwnState::Open(_)) => self.reach.heard_of(id).await?,
            None => {}
        }
        self.reach.push(id, &step.into()).await
    }

    /// Does one thing that `on-open` wanted, now that its connection is open.
    pub(crate) async fn catch_up(&mut self, id: ConnectionId, step: Step) -> Outcome {
        match step {
            Step::Send(message) => self.send(&id.to_string(), message).await,
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

    /// Once for each host; most components serve one.
    async fn broadcast_to(&self, audience: &Audience, message: Message) -> Outcome {
        let connections = self.reach.connections()?;
        for host in &self.reach.hosts {
            connections.broadcast(host, audience, &message).await?;
        }
        Ok(())
    }

    /// Counts a call and what it sends. A message that nobody would take is no reason to stop the guest.
    fn spend(&mut self, bytes: usize) -> Outcome {
        if bytes > MESSAGE_BYTES {
            return Err(SendingError::TooLarge { limit_bytes: MESSAGE_BYTES });
        }
        let (calls, rest) = (self.calls_left.checked_sub(1), self.bytes_left.checked_sub(bytes));
        let (Some(calls), Some(rest)) = (calls, rest) else {
            return Err(SendingError::Unavailable("this call has sent as much as it may"));
        };
        (self.calls_left, self.bytes_left) = (calls, rest);
        Ok(())
    }

    /// The state of the call's own connection, if it is the one named `id` and the guest has not closed it.
    fn own_mut(&mut self, id: ConnectionId) -> Outcome<Option<&mut OwnState>> {
        match &mut self.own {
            Some(own) if own.id == id && own.close.is_some() => Err(SendingError::Closed),
            Some(own) if own.id == id => Ok(Some(&mut own.state)),
            _ => Ok(None),
        }
    }
}

/// About what an entry takes in a guest's memory.
fn bytes_of(entry: &ConnectionEntry) -> usize {
    let fields: usize = entry.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    256 + entry.path.len() + entry.subject.len() + entry.query.as_ref().map_or(0, String::len) + fields
}

/// What is no id is nobody's.
fn parse(connection: &str) -> Outcome<ConnectionId> {
    connection.parse().map_err(|_| SendingError::Unknown)
}

fn named(group: &str) -> Outcome<Group> {
    group.parse().map_err(|_| SendError::Group.into())
}

fn pattern(path: &str) -> Outcome<PathPattern> {
    path.parse().map_err(|_| SendingError::Invalid("this is no path: write /a, or /a/* for all below it"))
}

/// Tokens that are not empty, `*` and `>` only as whole tokens, `>` only at the end.
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

    fn opening() -> (Sending, String) {
        let id = ConnectionId::from_bytes([7; 16]);
        let own = Own::opening(id);
        (Sending::new(Arc::default(), Some(own), &Limits::default()), id.to_string())
    }

    #[tokio::test]
    async fn after_its_close_a_connection_takes_nothing() {
        let (mut sending, own) = opening();
        let bad = sending.close(&own, Close::new(1006, "")).await;
        assert!(matches!(bad, Err(SendingError::Invalid(_))), "{bad:?}");
        sending.close(&own, Close::new(4000, "enough")).await.unwrap();
        assert!(matches!(sending.send(&own, Message::text("x")).await, Err(SendingError::Closed)));
        assert!(matches!(sending.join(&own, "a").await, Err(SendingError::Closed)));
        assert_eq!(sending.into_kept().close, Some(Close::new(4000, "enough")));
    }

    #[tokio::test]
    async fn calls_and_bytes_are_counted() {
        let limits = Limits { sends: 2, sent_bytes: 10, ..Limits::default() };
        let mut sending = Sending::new(Arc::default(), None, &limits);
        let id = ConnectionId::from_bytes([1; 16]).to_string();
        let unavailable =
            |text: &str, error| matches!(error, Err(SendingError::Unavailable(why)) if why.contains(text));
        assert!(unavailable("no connection", sending.send(&id, Message::text("12345678")).await));
        assert!(unavailable("as much as", sending.send(&id, Message::text("123")).await));
        assert!(matches!(sending.send("x", Message::text("")).await, Err(SendingError::Unknown)));
        assert!(unavailable("as much as", sending.send(&id, Message::text("")).await));
    }
}

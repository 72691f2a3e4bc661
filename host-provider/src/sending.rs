//! One call's way to WebSockets: what `sender` does, whichever package it is imported from (`sender.rs`,
//! `original.rs`).
//!
//! What goes to the connection that the call is about takes the way that its message came: in order, with the client's
//! credit. Everything else is published for the gateways, through [`Connections`].

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::{ConnectionOver, Connections, SendError, WebSocketSender};
use h8s_wire::push::{Audience, Group};
use h8s_wire::{Close, ConnectionEntry, ConnectionId, Host, Message, PathPattern, Subjects};

use tokio::time::{sleep, timeout};

use crate::limits::Limits;

/// A larger message is refused before it goes anywhere: gateways take no larger one.
const MESSAGE_BYTES: usize = 1 << 20;

/// What `on-open` may keep for later: well within the window in which a connection needs no credit.
const KEPT_BYTES: usize = 256 << 10;

/// The same in number.
const KEPT_STEPS: usize = 64;

/// How long a connection may have been open before this host hears of it. Milliseconds are usual.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// Between two looks at whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What all calls of a component can reach.
#[derive(Default)]
pub(crate) struct Reach {
    pub(crate) subjects: Subjects,
    /// Whose connections are within reach.
    pub(crate) hosts: Vec<Host>,
    /// `None` where the component imports no `sender`, or before there is a connection to NATS.
    pub(crate) connections: Option<Connections>,
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

impl From<ConnectionOver> for SendingError {
    fn from(ConnectionOver: ConnectionOver) -> Self {
        Self::Closed
    }
}

/// The connection that a call is about.
pub(crate) struct Own {
    id: ConnectionId,
    state: OwnState,
    /// What the guest wants it closed with, once the call has returned.
    close: Option<Close>,
}

enum OwnState {
    /// Not accepted yet: what is wanted of it is kept.
    Opening(Kept),
    Open(WebSocketSender),
    Closed,
}

/// What `on-open` wanted of its own connection.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) steps: Vec<Step>,
    bytes: usize,
    pub(crate) close: Option<Close>,
}

/// One such thing.
pub(crate) enum Step {
    Send(Message),
    Join(String),
    Leave(String),
}

impl Own {
    /// During `on-open`.
    pub(crate) fn opening(id: ConnectionId) -> Self {
        Self { id, state: OwnState::Opening(Kept::default()), close: None }
    }

    /// During `handle-message`.
    pub(crate) fn open(id: ConnectionId, sender: WebSocketSender) -> Self {
        Self { id, state: OwnState::Open(sender), close: None }
    }

    /// During `on-close`.
    pub(crate) fn closed(id: ConnectionId) -> Self {
        Self { id, state: OwnState::Closed, close: None }
    }
}

/// See the module.
pub(crate) struct Sending {
    reach: Arc<Reach>,
    own: Option<Own>,
    calls_left: usize,
    bytes_left: usize,
}

type Outcome<T = ()> = Result<T, SendingError>;

impl Sending {
    pub(crate) fn new(reach: Arc<Reach>, own: Option<Own>, limits: &Limits) -> Self {
        Self { reach, own, calls_left: limits.sends, bytes_left: limits.sent_bytes }
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
            Some(Own { state: OwnState::Opening(kept), close, .. }) => Kept { close, ..kept },
            _ => Kept::default(),
        }
    }

    /// Everybody within reach.
    pub(crate) fn list(&mut self) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        let connections = self.connections()?;
        Ok(self.reach.hosts.iter().flat_map(|host| connections.list(host)).collect())
    }

    /// Those whose subject matches.
    pub(crate) fn matching(&mut self, subject: &str) -> Outcome<Vec<Arc<ConnectionEntry>>> {
        self.spend(0)?;
        if !is_subject_pattern(subject) {
            return Err(SendingError::Invalid("this is no NATS subject"));
        }
        let connections = self.connections()?;
        Ok(self.reach.hosts.iter().flat_map(|host| connections.matching(host, subject)).collect())
    }

    pub(crate) async fn send(&mut self, to: &str, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        let id = parse(to)?;
        match self.own_mut(id)? {
            Some(OwnState::Open(sender)) => Ok(sender.clone().send(message).await?),
            Some(OwnState::Opening(kept)) => kept.keep(message.data.len(), Step::Send(message)),
            Some(OwnState::Closed) => Err(SendingError::Closed),
            None => Ok(self.connections()?.send(self.host_of(id)?, id, &message).await?),
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
            None => Ok(self.connections()?.close(self.host_of(id)?, id, &close).await?),
        }
    }

    pub(crate) async fn join(&mut self, who: &str, group: String) -> Outcome {
        self.spend(0)?;
        let id = parse(who)?;
        named(&group)?;
        match self.own_mut(id)? {
            Some(OwnState::Opening(kept)) => kept.keep(group.len(), Step::Join(group)),
            Some(OwnState::Closed) => Err(SendingError::Closed),
            Some(OwnState::Open(_)) => {
                self.own_is_known(id).await?;
                Ok(self.connections()?.join(self.host_of(id)?, id, &group).await?)
            }
            None => Ok(self.connections()?.join(self.host_of(id)?, id, &group).await?),
        }
    }

    pub(crate) async fn leave(&mut self, who: &str, group: String) -> Outcome {
        self.spend(0)?;
        let id = parse(who)?;
        named(&group)?;
        match self.own_mut(id)? {
            Some(OwnState::Opening(kept)) => kept.keep(group.len(), Step::Leave(group)),
            Some(OwnState::Closed) => Err(SendingError::Closed),
            Some(OwnState::Open(_)) => {
                self.own_is_known(id).await?;
                Ok(self.connections()?.leave(self.host_of(id)?, id, &group).await?)
            }
            None => Ok(self.connections()?.leave(self.host_of(id)?, id, &group).await?),
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

    pub(crate) async fn broadcast_group(&mut self, group: String, message: Message) -> Outcome {
        self.spend(message.data.len())?;
        self.broadcast_to(&Audience::Group(named(&group)?), message).await
    }

    /// Once for each host; most components serve one.
    async fn broadcast_to(&self, audience: &Audience, message: Message) -> Outcome {
        let connections = self.connections()?;
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

    fn connections(&self) -> Outcome<&Connections> {
        self.reach.connections.as_ref().ok_or(SendingError::Unavailable("there is no connection to NATS"))
    }

    /// Waits until this host has heard of a connection that was opened here just now: that it is open, and what it says,
    /// come on two ways.
    async fn own_is_known(&self, id: ConnectionId) -> Outcome {
        let connections = self.connections()?;
        let known = async {
            while connections.get(id).is_none() {
                sleep(LOOK_AGAIN).await;
            }
        };
        // Whoever has closed meanwhile is never heard of: what follows says so.
        let _ = timeout(HEARD_WITHIN, known).await;
        Ok(())
    }

    /// The host of a connection, as far as it is one of ours; of others any will do, for they are refused.
    fn host_of(&self, id: ConnectionId) -> Outcome<&Host> {
        let entry = self.connections()?.get(id);
        let own =
            self.reach.hosts.iter().find(|host| entry.as_ref().is_some_and(|entry| entry.host == **host));
        own.or(self.reach.hosts.first()).ok_or(SendingError::Unavailable("this component serves no host"))
    }
}

impl Kept {
    fn keep(&mut self, bytes: usize, step: Step) -> Outcome {
        let room = KEPT_BYTES - self.bytes;
        if self.steps.len() == KEPT_STEPS {
            return Err(SendingError::Unavailable(
                "on-open has sent as much as it may to its own connection",
            ));
        }
        if bytes > room {
            return Err(SendingError::TooLarge { limit_bytes: room });
        }
        self.bytes += bytes;
        self.steps.push(step);
        Ok(())
    }
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
    async fn what_on_open_sends_is_kept_within_bounds() {
        let (mut sending, own) = opening();
        for _ in 0..KEPT_STEPS {
            sending.send(&own, Message::text("x")).await.unwrap();
        }
        let refused = sending.send(&own, Message::text("x")).await;
        assert!(matches!(refused, Err(SendingError::Unavailable(_))), "{refused:?}");
        assert_eq!(sending.into_kept().steps.len(), KEPT_STEPS);

        let (mut sending, own) = opening();
        sending.send(&own, Message::binary(vec![0; KEPT_BYTES - 10])).await.unwrap();
        let refused = sending.send(&own, Message::binary(vec![0; 11])).await;
        assert!(matches!(refused, Err(SendingError::TooLarge { limit_bytes: 10 })), "{refused:?}");
    }

    #[tokio::test]
    async fn after_its_close_a_connection_takes_nothing() {
        let (mut sending, own) = opening();
        let bad = sending.close(&own, Close::new(1006, "")).await;
        assert!(matches!(bad, Err(SendingError::Invalid(_))), "{bad:?}");
        sending.close(&own, Close::new(4000, "enough")).await.unwrap();
        assert!(matches!(sending.send(&own, Message::text("x")).await, Err(SendingError::Closed)));
        assert!(matches!(sending.join(&own, "a".into()).await, Err(SendingError::Closed)));
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

//! The inboxes of gateways and responders: where frames, replies and pushes come in (`PROTOCOL.md §2`).

use std::sync::Arc;

use crate::host::Host;
use crate::id::{ConnectionId, ExchangeId, ResponderId};
use crate::subject::{Subject, Subjects};

/// The last token of the subject that takes `SYNC` frames, in every inbox.
const SYNC: &str = "sync";

/// The last token of the subject that takes what is for one WebSocket, in a gateway's inbox.
const PUSH: &str = "push";

/// The replies that one side may have: an inbox, then an exchange. Frames are published to nothing else, whatever
/// a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies(Arc<str>);

impl Replies {
    /// Those that begin so, up to and including the `.` before the inbox's own token.
    pub(crate) fn below(start: String) -> Self {
        Self(start.into())
    }

    /// Whether `reply` is one of them.
    pub fn cover(&self, reply: &str) -> bool {
        let Some((owner, exchange)) = reply.strip_prefix(&*self.0).and_then(|rest| rest.split_once('.'))
        else {
            return false;
        };
        owner.parse::<ResponderId>().is_ok() && exchange.parse::<ExchangeId>().is_ok()
    }
}

/// An inbox of a gateway or a responder: its last token names the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inbox(String);

impl Inbox {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Where messages to one WebSocket go.
    pub fn push(&self, connection: ConnectionId) -> Subject {
        Subject::new(format!("{}.{connection}.{PUSH}", self.0))
    }

    /// The WebSocket that a subject of a gateway's inbox is for.
    pub fn connection_of(subject: &str) -> Option<ConnectionId> {
        let (rest, last) = subject.rsplit_once('.')?;
        if last == PUSH { rest.rsplit_once('.')?.1.parse().ok() } else { None }
    }

    /// Where the frames of one exchange go.
    pub fn exchange(&self, id: ExchangeId) -> Subject {
        Subject::new(format!("{}.{id}", self.0))
    }

    /// Where `SYNC` frames go.
    pub fn sync(&self) -> Subject {
        Subject::new(format!("{}.{SYNC}", self.0))
    }

    /// The one subscription that takes everything.
    pub fn all(&self) -> Subject {
        Subject::new(format!("{}.>", self.0))
    }

    /// The text without the last token.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `subject` is this inbox's for `SYNC` frames.
    pub fn is_sync(subject: &str) -> bool {
        subject.rsplit_once('.').is_some_and(|(_, last)| last == SYNC)
    }

    /// The exchange that a subject of any inbox is for.
    pub fn exchange_of(subject: &str) -> Option<ExchangeId> {
        subject.rsplit_once('.')?.1.parse().ok()
    }

    /// The inbox that an exchange's subject lies in.
    pub fn of_exchange(subject: &str) -> Option<Self> {
        let (inbox, exchange) = subject.rsplit_once('.')?;
        exchange.parse::<ExchangeId>().ok()?;
        Some(Self(inbox.to_owned()))
    }

    /// The inbox a `SYNC` frame came from, by its reply subject. `None` for every subject that is no inbox's, under
    /// whatever prefix: an answer goes nowhere else.
    pub fn of_sync(reply: &str) -> Option<Self> {
        let inbox = reply.strip_suffix(SYNC)?.strip_suffix('.')?;
        let (owner, id) = inbox.rsplit_once('.')?;
        // Ids of gateways and responders look alike.
        id.parse::<ResponderId>().ok()?;
        let is_gateways = owner.strip_suffix(".inbox.gw").is_some_and(|prefix| Subjects::new(prefix).is_ok());
        let is_responders = || {
            let (prefix, host) = owner.strip_suffix("._")?.split_once(".inbox.r.")?;
            Subjects::new(prefix).ok()?;
            Host::from_reversed(host)
        };
        (is_gateways || is_responders().is_some()).then(|| Self(inbox.to_owned()))
    }
}

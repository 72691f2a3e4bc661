//! The inboxes of gateways and responders, which receive frames, replies and pushes (`PROTOCOL.md §2`).

use std::sync::Arc;

use super::{DIVIDER, Subject, Subjects};
use crate::id::{ConnectionId, DIGIT_COUNT, ExchangeId, GatewayId, ResponderId};
use crate::routing::Host;

/// The last token of the subject of `SYNC` frames, in every inbox.
const SYNC: &str = "sync";

/// The last token of the subject of pushes to one WebSocket, in a gateway's inbox.
const PUSH: &str = "push";

/// The valid reply subjects of one side: an inbox, then an exchange. A peer publishes frames to no other subject,
/// whatever reply subject a message has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies(Arc<str>);

impl Replies {
    /// Reply subjects that start with this text, which ends in the `.` before the inbox id.
    pub(crate) fn below(start: String) -> Self {
        Self(start.into())
    }

    /// Whether `reply` is a valid reply subject.
    pub fn cover(&self, reply: &str) -> bool {
        let Some((owner, exchange)) = reply.strip_prefix(&*self.0).and_then(|rest| rest.split_once('.'))
        else {
            return false;
        };
        owner.parse::<ResponderId>().is_ok() && exchange.parse::<ExchangeId>().is_ok()
    }
}

/// The inbox of a gateway or a responder. The last token of its subjects names the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inbox(String);

impl Inbox {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The subject of pushes to one WebSocket.
    pub fn push(&self, connection: ConnectionId) -> Subject {
        Subject::new(format!("{}.{connection}.{PUSH}", self.0))
    }

    /// The WebSocket connection of a push subject.
    pub fn connection_of(subject: &str) -> Option<ConnectionId> {
        let (rest, last) = subject.rsplit_once('.')?;
        if last == PUSH { rest.rsplit_once('.')?.1.parse().ok() } else { None }
    }

    /// The subject of the frames of one exchange.
    pub fn exchange(&self, id: ExchangeId) -> Subject {
        // Built for each exchange at both ends: one allocation.
        let mut text = String::with_capacity(self.0.len() + 1 + DIGIT_COUNT);
        text.push_str(&self.0);
        text.push('.');
        id.push_to(&mut text);
        Subject::new(text)
    }

    /// The subject of `SYNC` frames.
    pub fn sync(&self) -> Subject {
        Subject::new(format!("{}.{SYNC}", self.0))
    }

    /// The subscription to all subjects of the inbox.
    pub fn all(&self) -> Subject {
        Subject::new(format!("{}.>", self.0))
    }

    /// The common part of the inbox's subjects.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `subject` is the `SYNC` subject of an inbox.
    pub fn is_sync(subject: &str) -> bool {
        subject.rsplit_once('.').is_some_and(|(_, last)| last == SYNC)
    }

    /// The exchange of an inbox subject.
    pub fn exchange_of(subject: &str) -> Option<ExchangeId> {
        subject.rsplit_once('.')?.1.parse().ok()
    }

    /// The inbox of an exchange subject.
    pub fn of_exchange(subject: &str) -> Option<Self> {
        let (inbox, exchange) = subject.rsplit_once('.')?;
        exchange.parse::<ExchangeId>().ok()?;
        Some(Self(inbox.to_owned()))
    }

    /// The inbox that sent a `SYNC` frame, from its reply subject. `None` if the subject is not the `SYNC` subject of an
    /// inbox under some prefix, so that a reply cannot go elsewhere.
    pub fn of_sync(reply: &str) -> Option<Self> {
        let inbox = reply.strip_suffix(SYNC)?.strip_suffix('.')?;
        let (owner, id) = inbox.rsplit_once('.')?;
        // The ids of gateways and responders have one format.
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

impl Subjects {
    /// The inbox of a gateway.
    pub fn gateway_inbox(&self, gateway: GatewayId) -> Inbox {
        Inbox::new(format!("{}.inbox.gw.{gateway}", self.prefix()))
    }

    /// The inbox of a responder for one host.
    pub fn responder_inbox(&self, host: &Host, responder: ResponderId) -> Inbox {
        Inbox::new(format!("{}.inbox.r.{}.{DIVIDER}.{responder}", self.prefix(), host.reversed()))
    }

    /// The subject of the notice to a plain responder that an exchange ended early. It lies among the inboxes of the
    /// host, which the responder may subscribe to.
    pub fn close_notice(&self, host: &Host, exchange: ExchangeId) -> Subject {
        Subject::new(format!("{}.inbox.r.{}.{DIVIDER}.closed.{exchange}", self.prefix(), host.reversed()))
    }

    /// The subscription to all notices of a host.
    pub fn close_notices(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.inbox.r.{}.{DIVIDER}.closed.*", self.prefix(), host.reversed()))
    }

    /// The valid reply subjects of the responders of a host.
    pub fn responder_replies(&self, host: &Host) -> Replies {
        Replies::below(format!("{}.inbox.r.{}.{DIVIDER}.", self.prefix(), host.reversed()))
    }

    /// The valid reply subjects of gateways.
    pub fn gateway_replies(&self) -> Replies {
        Replies::below(format!("{}.inbox.gw.", self.prefix()))
    }

    /// Whether `reply` is a valid reply subject of a responder of any host.
    pub fn is_responder_reply(&self, reply: &str) -> bool {
        let rest = reply.strip_prefix(self.prefix()).and_then(|rest| rest.strip_prefix(".inbox.r."));
        let Some((host, _)) = rest.and_then(|rest| rest.split_once("._.")) else { return false };
        Host::from_reversed(host).is_some_and(|host| self.responder_replies(&host).cover(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    /// An inbox of a responder of `a.example`, one of a gateway, and an exchange.
    fn inboxes() -> (Inbox, Inbox, ExchangeId) {
        let subjects = Subjects::default();
        let responders = subjects.responder_inbox(&host("a.example"), ResponderId::from_bytes([2; 16]));
        let gateways = subjects.gateway_inbox(GatewayId::from_bytes([3; 16]));
        (responders, gateways, ExchangeId::from_bytes([1; 16]))
    }

    #[test]
    fn frames_go_only_to_exchanges_in_an_inbox_of_the_right_side() {
        let (subjects, (responders, gateways, id)) = (Subjects::default(), inboxes());
        let (own, gateway) = (responders.exchange(id), gateways.exchange(id));
        let (ours, theirs) = (subjects.responder_replies(&host("a.example")), subjects.gateway_replies());
        assert!(ours.cover(own.as_str()) && subjects.is_responder_reply(own.as_str()));
        assert!(theirs.cover(gateway.as_str()) && !subjects.is_responder_reply(gateway.as_str()));
        assert_eq!(Inbox::of_exchange(own.as_str()), Some(responders.clone()));
        assert_eq!(Inbox::exchange_of(own.as_str()), Some(id));
        for foreign in [
            responders.sync().as_str(),
            &own.as_str().replace("example.a", "example.b"),
            gateway.as_str(),
            "h8s.inbox.r.example.a._.*.*",
            "$SYS.REQ.SERVER.PING",
            "",
        ] {
            assert!(!ours.cover(foreign), "{foreign}");
        }
        let push = gateways.push(ConnectionId::from_bytes([1; 16]));
        assert!(!theirs.cover(own.as_str()) && !theirs.cover(push.as_str()));
    }

    #[test]
    fn answers_to_sync_go_only_to_inboxes() {
        let (responders, gateways, id) = inboxes();
        for inbox in [&responders, &gateways] {
            assert_eq!(Inbox::of_sync(inbox.sync().as_str()).as_ref(), Some(inbox));
        }
        let own = "02".repeat(16);
        for foreign in [
            "$SYS.sync",
            "sync",
            &format!("$SYS.{own}.sync"),
            &format!("h8s.inbox.gw.*.{own}.sync"),
            &format!("h8s.inbox.r.>._.{own}.sync"),
            &format!("h8s.inbox.r._.{own}.sync"),
            &format!("a b.inbox.gw.{own}.sync"),
            responders.exchange(id).as_str(),
        ] {
            assert_eq!(Inbox::of_sync(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_push_subject_names_one_connection_and_no_exchange() {
        let (_, gateways, id) = inboxes();
        let connection = ConnectionId::from_bytes([7; 16]);
        let push = gateways.push(connection);
        assert_eq!(Inbox::connection_of(push.as_str()), Some(connection));
        assert_eq!((Inbox::exchange_of(push.as_str()), Inbox::of_exchange(push.as_str())), (None, None));
        for other in [gateways.exchange(id).as_str(), gateways.sync().as_str(), "push", ".push", "a.push", ""]
        {
            assert_eq!(Inbox::connection_of(other), None, "{other}");
        }
    }
}

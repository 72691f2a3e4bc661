//! Delivers the messages of one publisher to the matching subscriptions.

use std::sync::Arc;
use std::time::Duration;

use crate::match_cache::MatchCache;
use crate::message;
use crate::outbox::Pushed;
use crate::parser::Publish;
use crate::peer::Peer;
use crate::routes::Routes;
use crate::subscription::{Grant, Subscription};

/// The longest pause of a publisher after a batch while a subscriber falls behind. As in nats-server: long enough for a
/// busy subscriber to catch up, too short for a stuck one to stop the others.
const MAX_STALL: Duration = Duration::from_millis(10);

/// The delivery state of one publisher.
pub(crate) struct Delivery {
    publisher: Arc<Peer>,
    routes: Arc<Routes>,
    cache: MatchCache,
    /// Clients whose outbox this publisher must flush.
    to_flush: Vec<Arc<Peer>>,
    /// A subscriber of this batch that falls behind.
    pressed: Option<Arc<Peer>>,
}

/// The result of publishing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At least one subscription received it.
    Delivered,
    /// No subscription received it.
    NoResponders,
    /// The subject is not valid for a message.
    InvalidSubject,
}

impl Delivery {
    pub(crate) fn new(publisher: Arc<Peer>, routes: Arc<Routes>) -> Self {
        Self { publisher, routes, cache: MatchCache::new(), to_flush: Vec::new(), pressed: None }
    }

    /// Queues a message for every plain subscription and one member of each queue group.
    pub(crate) fn publish(&mut self, message: &Publish<'_>) -> Outcome {
        let Some(matches) = self.cache.matches(&self.routes, message.subject) else {
            return Outcome::InvalidSubject;
        };
        let mut delivered = false;
        for subscription in &matches.plain {
            delivered |= self.deliver(message, subscription);
        }
        for group in &matches.groups {
            delivered |= self.deliver_to_one(message, group);
        }
        if delivered { Outcome::Delivered } else { Outcome::NoResponders }
    }

    /// Reports "no responders" to the publisher on its own subscription for the reply subject. As in nats-server, only
    /// one plain subscription receives it, with the subject of the request in a header.
    pub(crate) fn report_no_responders(&mut self, request: &[u8], reply: &[u8]) {
        let Some(matches) = self.cache.matches(&self.routes, reply) else { return };
        let content = [b"NATS/1.0 503\r\nNats-Subject: ", request, b"\r\n\r\n"].concat();
        let message =
            Publish { subject: reply, reply: None, header_bytes: Some(content.len()), content: &content };
        for subscription in &matches.plain {
            if Arc::ptr_eq(&subscription.owner, &self.publisher) && self.hand_over(&message, subscription) {
                return;
            }
        }
    }

    /// Queues a protocol reply to the publisher.
    pub(crate) fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let publisher = Arc::clone(&self.publisher);
        self.push(&publisher, write);
    }

    /// Writes the messages of this batch, as far as the sockets accept them.
    pub(crate) fn flush(&mut self) {
        for peer in self.to_flush.drain(..) {
            peer.outbox.flush();
        }
    }

    /// Pauses if a subscriber of this batch falls behind.
    pub(crate) async fn throttle(&mut self) {
        if let Some(peer) = self.pressed.take() {
            peer.outbox.wait_until_half_empty(MAX_STALL).await;
        }
    }

    /// Tries the members from a random one on until one accepts the message.
    fn deliver_to_one(&mut self, message: &Publish<'_>, group: &[Arc<Subscription>]) -> bool {
        let first = if group.len() > 1 { rand::random_range(0..group.len()) } else { 0 };
        let (behind, ahead) = group.split_at(first);
        ahead.iter().chain(behind).any(|subscription| self.deliver(message, subscription))
    }

    fn deliver(&mut self, message: &Publish<'_>, subscription: &Arc<Subscription>) -> bool {
        let is_own = Arc::ptr_eq(&subscription.owner, &self.publisher);
        (!is_own || self.publisher.wants_echo()) && self.hand_over(message, subscription)
    }

    fn hand_over(&mut self, message: &Publish<'_>, subscription: &Arc<Subscription>) -> bool {
        let mut grant = Grant::Exhausted;
        let wanted = || {
            grant = subscription.take();
            grant != Grant::Exhausted
        };
        let pushed =
            subscription.owner.outbox.push_if(wanted, |out| message::write(out, message, subscription));
        if grant == Grant::Last {
            self.routes.unsubscribe(subscription);
        }
        self.note(&subscription.owner, pushed)
    }

    fn push(&mut self, peer: &Arc<Peer>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let pushed = peer.outbox.push(write);
        self.note(peer, pushed)
    }

    /// Records that the client's outbox needs a flush or falls behind. Returns whether the message was queued.
    fn note(&mut self, peer: &Arc<Peer>, pushed: Option<Pushed>) -> bool {
        let Some(pushed) = pushed else { return false };
        if pushed.first {
            self.to_flush.push(Arc::clone(peer));
        }
        if pushed.pressed {
            self.pressed = Some(Arc::clone(peer));
        }
        true
    }
}

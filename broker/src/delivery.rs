//! From one publisher to whoever subscribed.

use std::sync::Arc;
use std::time::Duration;

use crate::match_cache::MatchCache;
use crate::message;
use crate::outbox::Pushed;
use crate::parser::Publish;
use crate::peer::Peer;
use crate::routes::Routes;
use crate::subscription::{Subscription, Turn};

/// How long a publisher waits, after each batch it sent, for a subscriber that falls behind. As in nats-server:
/// enough to let a subscriber catch up that is merely busy, too little for a stuck one to stop the others.
const LONGEST_STALL: Duration = Duration::from_millis(10);

/// One publisher's way to the subscribers.
pub(crate) struct Delivery {
    publisher: Arc<Peer>,
    routes: Arc<Routes>,
    cache: MatchCache,
    /// Who has something new in the outbox that we are to flush.
    touched: Vec<Arc<Peer>>,
    /// A subscriber of this batch that falls behind.
    pressed: Option<Arc<Peer>>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At least one subscriber gets it.
    Delivered,
    /// Nobody does.
    NoResponders,
    /// Its subject is not one that a message may have.
    InvalidSubject,
}

impl Delivery {
    pub(crate) fn new(publisher: Arc<Peer>, routes: Arc<Routes>) -> Self {
        Self { publisher, routes, cache: MatchCache::new(), touched: Vec::new(), pressed: None }
    }

    /// Puts a message into the outboxes of those who get it: every plain subscriber, one of each queue group.
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

    /// Tells the publisher, on its own subscription for the reply, that nobody got its request. Like nats-server
    /// only one plain subscription is told, and the request's subject stands in a header.
    pub(crate) fn tell_no_responders(&mut self, request: &[u8], reply: &[u8]) {
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

    /// Answers the publisher itself.
    pub(crate) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let publisher = Arc::clone(&self.publisher);
        self.push(&publisher, write);
    }

    /// Writes what this batch brought, as far as the sockets take it.
    pub(crate) fn flush(&mut self) {
        for peer in self.touched.drain(..) {
            peer.outbox.flush();
        }
    }

    /// Goes slower if a subscriber of this batch falls behind.
    pub(crate) async fn wait_if_pressed(&mut self) {
        if let Some(peer) = self.pressed.take() {
            peer.outbox.relieved(LONGEST_STALL).await;
        }
    }

    /// Tries the members in turn, from a random one on, until one takes it.
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
        let mut turn = Turn::Over;
        let wanted = || {
            turn = subscription.take_turn();
            turn != Turn::Over
        };
        let pushed =
            subscription.owner.outbox.push_if(wanted, |out| message::write(out, message, subscription));
        if turn == Turn::Last {
            subscription.owner.forget(subscription, &self.routes);
        }
        self.note(&subscription.owner, pushed)
    }

    fn push(&mut self, peer: &Arc<Peer>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let pushed = peer.outbox.push(write);
        self.note(peer, pushed)
    }

    /// Remembers whose socket has something to do. Whether anything was appended.
    fn note(&mut self, peer: &Arc<Peer>, pushed: Option<Pushed>) -> bool {
        let Some(pushed) = pushed else { return false };
        if pushed.first {
            self.touched.push(Arc::clone(peer));
        }
        if pushed.pressed {
            self.pressed = Some(Arc::clone(peer));
        }
        true
    }
}

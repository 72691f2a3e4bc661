//! Does what a client says.

use std::sync::Arc;

use crate::delivery::{Delivery, Outcome};
use crate::handshake::Options;
use crate::parser::{Command, Parsed, Publish, parse};
use crate::peer::Peer;
use crate::routes::Routes;
use crate::subject::{is_literal, is_pattern};
use crate::subscription::Subscription;
use crate::violation::{Objection, Violation};

/// What a client may do, in bytes and counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_payload_bytes: usize,
    pub(crate) max_subscriptions: usize,
}

/// One client's conversation.
pub(crate) struct Session {
    peer: Arc<Peer>,
    routes: Arc<Routes>,
    limits: Limits,
    options: Options,
    pub(crate) delivery: Delivery,
}

/// How far a batch of input got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Bytes that are done with.
    pub(crate) taken: usize,
    /// How many bytes there must be, after those, before it is worth trying again.
    pub(crate) needed: usize,
}

impl Session {
    pub(crate) fn new(peer: Arc<Peer>, routes: Arc<Routes>, limits: Limits) -> Self {
        let delivery = Delivery::new(Arc::clone(&peer), Arc::clone(&routes));
        Self { peer, routes, limits, options: Options::default(), delivery }
    }

    /// Does every whole command of `input`, in order.
    ///
    /// # Errors
    /// The first command that ends the connection. Those before it are done.
    pub(crate) fn hear(&mut self, input: &[u8]) -> Result<Heard, Violation> {
        let mut taken = 0;
        loop {
            match parse(&input[taken..], self.limits.max_payload_bytes)? {
                Parsed::Command(command, bytes) => {
                    self.obey(command)?;
                    taken += bytes;
                }
                Parsed::Incomplete(needed) => return Ok(Heard { taken, needed }),
            }
        }
    }

    fn obey(&mut self, command: Command<'_>) -> Result<(), Violation> {
        match command {
            Command::Publish(message) => return self.publish(&message),
            Command::Ping => self.delivery.answer(|out| out.extend_from_slice(b"PONG\r\n")),
            Command::Pong | Command::Ignored => {}
            Command::Connect(json) => self.connect(json)?,
            Command::Subscribe { subject, queue, sid } => self.subscribe(subject, queue, sid),
            Command::Unsubscribe { sid, max } => self.unsubscribe(sid, max),
        }
        Ok(())
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Violation> {
        self.options = Options::read(json)?;
        self.peer.apply(&self.options);
        self.acknowledge();
        Ok(())
    }

    fn publish(&mut self, message: &Publish<'_>) -> Result<(), Violation> {
        if message.header_bytes.is_some() && !self.options.headers {
            return Err(Violation::HeadersNotSupported);
        }
        // What receives a reply subject will publish to it; one that is not a subject may cost it its connection.
        if message.reply.is_some_and(|reply| !is_literal(reply)) {
            self.object(Objection::InvalidPublishSubject);
            return Ok(());
        }
        self.acknowledge();
        match (self.delivery.publish(message), message.reply) {
            (Outcome::InvalidSubject, _) => self.object(Objection::InvalidPublishSubject),
            (Outcome::NoResponders, Some(reply)) if self.options.no_responders => {
                self.delivery.tell_no_responders(message.subject, reply);
            }
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        if !is_pattern(subject) {
            return self.object(Objection::InvalidSubject);
        }
        let subscription = Arc::new(Subscription::new(sid, subject, queue, Arc::clone(&self.peer)));
        match self.peer.keep(&subscription, self.limits.max_subscriptions) {
            None => return self.object(Objection::TooManySubscriptions),
            Some(true) => self.routes.insert(&subscription),
            Some(false) => {}
        }
        self.acknowledge();
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        if let Some(subscription) = self.peer.subscription(sid)
            && subscription.limit_to(max.unwrap_or(0))
        {
            self.peer.forget(&subscription, &self.routes);
        }
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        if self.options.verbose {
            self.delivery.answer(|out| out.extend_from_slice(b"+OK\r\n"));
        }
    }

    fn object(&mut self, objection: Objection) {
        self.delivery.answer(|out| out.extend_from_slice(format!("-ERR '{objection}'\r\n").as_bytes()));
    }
}

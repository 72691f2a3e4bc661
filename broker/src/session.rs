//! Executes the commands of one client.

use std::sync::Arc;

use crate::delivery::{Delivery, Outcome};
use crate::handshake::Options;
use crate::parser::{Command, Parsed, Publish, parse};
use crate::peer::Peer;
use crate::routes::Routes;
use crate::subject::{is_literal, is_pattern};
use crate::subscription::{Subscription, SubscriptionTable};
use crate::violation::{CommandError, Violation};

/// The limits of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_payload_bytes: usize,
    pub(crate) max_subscriptions: usize,
}

/// The state of one client's commands.
pub(crate) struct Session {
    peer: Arc<Peer>,
    subscriptions: Arc<SubscriptionTable>,
    routes: Arc<Routes>,
    limits: Limits,
    options: Options,
    pub(crate) delivery: Delivery,
}

/// The progress in a batch of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The size of the executed commands.
    pub(crate) consumed: usize,
    /// The number of bytes needed after those before parsing can continue.
    pub(crate) needed: usize,
}

impl Session {
    pub(crate) fn new(peer: Arc<Peer>, routes: Arc<Routes>, limits: Limits) -> Self {
        let delivery = Delivery::new(Arc::clone(&peer), Arc::clone(&routes));
        Self { peer, subscriptions: Arc::default(), routes, limits, options: Options::default(), delivery }
    }

    /// Executes every complete command of `input`, in order.
    ///
    /// # Errors
    /// The first [`Violation`]. The commands before it have been executed.
    pub(crate) fn process(&mut self, input: &[u8]) -> Result<Progress, Violation> {
        let mut consumed = 0;
        loop {
            match parse(&input[consumed..], self.limits.max_payload_bytes)? {
                Parsed::Command(command, bytes) => {
                    self.execute(command)?;
                    consumed += bytes;
                }
                Parsed::Incomplete(needed) => return Ok(Progress { consumed, needed }),
            }
        }
    }

    fn execute(&mut self, command: Command<'_>) -> Result<(), Violation> {
        match command {
            Command::Publish(message) => return self.publish(&message),
            Command::Ping => self.delivery.reply(|out| out.extend_from_slice(b"PONG\r\n")),
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
        // The recipient will publish to the reply subject. An invalid one might cost the recipient its connection.
        if message.reply.is_some_and(|reply| !is_literal(reply)) {
            self.reject(CommandError::InvalidPublishSubject);
            return Ok(());
        }
        self.acknowledge();
        match (self.delivery.publish(message), message.reply) {
            (Outcome::InvalidSubject, _) => self.reject(CommandError::InvalidPublishSubject),
            (Outcome::NoResponders, Some(reply)) if self.options.no_responders => {
                self.delivery.report_no_responders(message.subject, reply);
            }
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        if !is_pattern(subject) {
            return self.reject(CommandError::InvalidSubject);
        }
        let subscription =
            Arc::new(Subscription::new(sid, subject, queue, Arc::clone(&self.peer), &self.subscriptions));
        match self.subscriptions.add(&subscription, self.limits.max_subscriptions) {
            None => return self.reject(CommandError::TooManySubscriptions),
            Some(true) => self.routes.insert(&subscription),
            Some(false) => {}
        }
        self.acknowledge();
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        if let Some(subscription) = self.subscriptions.get(sid)
            && subscription.limit_to(max.unwrap_or(0))
        {
            self.routes.unsubscribe(&subscription);
        }
        self.acknowledge();
    }

    /// Removes all subscriptions of the client.
    pub(crate) fn unsubscribe_all(&self) {
        for subscription in self.subscriptions.take_all() {
            self.routes.unsubscribe(&subscription);
        }
    }

    fn acknowledge(&mut self) {
        if self.options.verbose {
            self.delivery.reply(|out| out.extend_from_slice(b"+OK\r\n"));
        }
    }

    fn reject(&mut self, error: CommandError) {
        self.delivery.reply(|out| out.extend_from_slice(format!("-ERR '{error}'\r\n").as_bytes()));
    }
}

//! A message on its way to clients, and where it goes.

use std::sync::OnceLock;

use bytes::Bytes;
use h8s_wire::{Close, Message};

/// Where pushes and broadcasts for one connection go: its queue towards the client.
pub trait ClientSink: Send + Sync + 'static {
    /// Takes a message. Called from the tasks that read from NATS: it must not block, and must bound its own queue.
    fn deliver(&self, delivery: &Push);

    /// Closes the connection with this code and reason, after what was delivered before.
    fn close(&self, close: Close);
}

/// One message for one or many connections.
#[derive(Debug)]
pub struct Push {
    message: Message,
    framed: OnceLock<Bytes>,
}

impl Push {
    /// A delivery of this message.
    pub fn new(message: Message) -> Self {
        Self { message, framed: OnceLock::new() }
    }

    /// What is delivered.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message as it goes to clients, made by the first sink that asks and shared by all.
    pub fn framed(&self, frame: impl FnOnce(&Message) -> Bytes) -> Bytes {
        self.framed.get_or_init(|| frame(&self.message)).clone()
    }
}

//! A message to clients, and its destination.

use std::sync::OnceLock;

use bytes::Bytes;
use h8s_wire::{Close, Message};

/// The destination of pushes and broadcasts for one connection: its queue towards the client.
pub trait ClientSink: Send + Sync + 'static {
    /// Queues a message. Called from the tasks that read from NATS: it must not block, and must bound its own queue.
    fn deliver(&self, delivery: &Push);

    /// Closes the connection with this code and reason, after earlier deliveries.
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

    /// The message to deliver.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message encoded for clients. The first sink that needs it encodes it, and all share the result.
    pub fn framed(&self, frame: impl FnOnce(&Message) -> Bytes) -> Bytes {
        self.framed.get_or_init(|| frame(&self.message)).clone()
    }
}

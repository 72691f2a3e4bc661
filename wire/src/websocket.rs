//! WebSockets: messages, pushes, subprotocols, and the announcements of open connections.

mod connection;
pub mod handshake;
mod message;
pub mod push;
pub mod subprotocol;

pub use connection::{Beat, Closed, ConnectionEntry, ConnectionError, Established, Page};
pub use message::{Close, MAX_CLOSE_REASON_BYTES, Message, MessageKind};

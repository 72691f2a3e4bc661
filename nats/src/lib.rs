//! HTTP exchanges over NATS (`wire/PROTOCOL.md`). The only crate of the program that names async-nats.
//!
//! - [`ConnectOptions`], [`Bus`]: reaching NATS
//! - [`Requester`]: the gateway's side, a request in and its response out
//! - [`Responder`]: the other side, a tower service behind NATS
//! - [`UpgradeOutcome`], [`UpstreamSession`], [`ClientSink`]: a WebSocket at a gateway; [`WebSocketUpgrade`], [`WebSocket`]: at a responder
//! - [`Connections`]: every WebSocket of some hosts, and messages to them
//! - [`Body`]: a body that comes over NATS, with back-pressure
//! - [`ExchangeError`], [`BodyError`], [`Refused`]: how things end early
//! - [`ServedBy`]: who answered
//! - [`ResponseTimeout`], [`Progress`]: how long a response's head is awaited
//!
//! One native exchange, file by file: `requester` → `request` → `native_call` → `outgoing` at a gateway;
//! `responder` → `subscriptions` → `serve` → `outgoing` at a responder; both ends share `port` (the inbox), `mailbox`
//! (what came in), `exchange` (one end), `body` (reading) and `window` (credit). Files named `plain…` do the same
//! for the plain dialect.

mod body;
mod connection;
mod context;
mod error;
mod exchange;
mod plain;
mod presence;
mod requester;
mod responder;
mod served_by;
mod sync;
mod websocket;

pub use body::Body;
pub use connection::bus::{Bus, ConnectError};
pub use connection::client::{ConnectionState, LOG_LEVELS};
pub use connection::options::{ConnectOptions, InvalidOptions};
pub use connection::permission_watch::Denied;
pub use connection::round_trip::Unconfirmed;
pub use context::{ExchangeContext, LoggedError, Refused};
pub use error::{BodyError, BoxError, ExchangeError};
pub use exchange::response_timeout::{Progress, ResponseTimeout};
pub use presence::directory::{Connections, SendError};
pub use presence::push::{ClientSink, Push};
pub use requester::{Requester, RequesterConfig, StartError};
pub use responder::{HttpService, Responder, ResponderBuilder};
pub use served_by::ServedBy;
pub use websocket::open::UpgradeOutcome;
pub use websocket::server::{
    Accept, AcceptError, ConnectionClosed, Incoming, WebSocket, WebSocketSender, WebSocketUpgrade,
};
pub use websocket::upstream_session::{UpstreamEvent, UpstreamSession};

/// Types of the protocol that appear in this crate's signatures.
pub use h8s_wire::push::Audience;
pub use h8s_wire::{
    Close, ConnectionEntry, ConnectionId, Host, Interest, Message, MessageKind, MethodPattern, PathPattern,
    QueueGroup, ResponderId, Subjects,
};

//! HTTP requests and WebSockets over NATS (`wire/PROTOCOL.md`).
//!
//! A [`Responder`] serves HTTP with any tower service, without listening on a port. A [`Requester`], the gateway's side,
//! sends requests to responders. Both use a [`Bus`], which is a pair of NATS connections.
//!
//! ```no_run
//! # use std::convert::Infallible;
//! # use std::time::Duration;
//! # async fn run<S>(service: S) -> Result<(), Box<dyn std::error::Error>>
//! # where S: h8s_nats::HttpService {
//! use h8s_nats::{Bus, ConnectOptions, Interest, Responder};
//!
//! let bus = Bus::connect(ConnectOptions::new("nats://127.0.0.1:4222")?).await?;
//! let interest = Interest { host: "app.example".parse()?, path: "/*".parse()?, method: "ANY".parse()? };
//! let responder = Responder::builder(bus).serve(interest, service).start().await?;
//! // ... until the program must stop:
//! responder.drain(Duration::from_secs(25)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Public types
//!
//! - [`ConnectOptions`], [`Bus`]: connecting to NATS
//! - [`Responder`], [`HttpService`]: serving HTTP; [`Refused`] and [`LoggedError`] are errors with a meaning
//! - [`WebSocketUpgrade`], [`WebSocket`], [`WebSocketSender`]: WebSockets at a responder
//! - [`Connections`]: the open WebSockets of some hosts at all gateways, and messages to them
//! - [`Requester`], [`ExchangeContext`], [`ServedBy`]: a gateway's requests
//! - [`UpgradeOutcome`], [`UpstreamSession`], [`ClientSink`]: a WebSocket at a gateway
//! - [`Body`], [`BodyError`], [`ExchangeError`]: streamed bodies, and how exchanges end early
//! - [`ResponseTimeout`], [`Progress`]: how long a response head may take
//!
//! # Modules
//!
//! `connection` (async-nats, subscriptions, permissions) → `exchange` (the native dialect's engine, used by both sides)
//! → `plain` (the plain dialect) → `presence` (open WebSockets, pushes) → `requester`, `responder` and `websocket`.
//!
//! A native request at a gateway: `requester` → `requester/request` → `requester/native_call` → `exchange/body_writer`.
//! At a responder: `connection/drain` → `responder` → `responder/serve` → `exchange/body_writer`. Both ends share
//! `exchange/endpoint` (the inbox), `exchange/mailbox` (received frames), `exchange/handle` (one end of an exchange),
//! `exchange/flow_control` (credit) and `body` (reading).

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

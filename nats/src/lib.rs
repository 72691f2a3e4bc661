//! HTTP exchanges over NATS (`wire/PROTOCOL.md`). The only crate of the program that names async-nats.
//!
//! - [`NatsFlags`], [`NatsConfig`], [`Link`]: reaching NATS
//! - [`Requester`]: the gateway's side, a request in and its response out
//! - [`Responder`]: the other side, a tower service behind NATS
//! - [`WebSocketAnswer`], [`Leg`], [`Outlet`]: a WebSocket at a gateway; [`WebSocketUpgrade`], [`WebSocket`]: at a responder
//! - [`Connections`]: every WebSocket of some hosts, and messages to them
//! - [`Body`]: a body that comes over NATS, with back-pressure
//! - [`ExchangeError`], [`BodyError`], [`Refused`]: how things end early
//! - [`Answerer`]: who answered
//! - [`Patience`], [`Progress`]: how long a response's head is awaited
//!
//! One native exchange, file by file: `requester` → `request` → `native_call` → `outgoing` at a gateway;
//! `responder` → `subscriptions` → `serve` → `outgoing` at a responder; both ends share `port` (the inbox), `mailbox`
//! (what came in), `exchange` (one end), `body` (reading) and `window` (credit). Files named `plain…` do the same
//! for the plain dialect.

mod answerer;
mod body;
mod config;
mod connection;
mod connection_view;
mod connections;
mod control;
mod delivery;
mod denied;
mod error;
mod exchange;
mod failure;
mod first_step;
mod gateway_inbox;
mod inline;
mod interest;
mod leg;
mod link;
mod mailbox;
mod message_reader;
mod message_writer;
mod native_call;
mod open_connections;
mod outbox;
mod outgoing;
mod patience;
mod plain_call;
mod plain_headers;
mod plain_leg;
mod plain_port;
mod plain_serve;
mod plain_stream;
mod port;
mod quiet;
mod registry;
mod request;
mod requester;
mod responder;
mod retained;
mod round_trip;
mod serve;
mod service;
mod subscription;
mod subscriptions;
mod websocket;
mod websocket_call;
mod window;

pub use answerer::{AnsweredBy, Answerer};
pub use body::Body;
pub use config::{Identity, NatsConfig, NatsFlags};
pub use connection::{ConnectionState, LOG_LEVELS};
pub use connections::{Connections, SendError};
pub use delivery::{Delivery, Outlet};
pub use denied::Denied;
pub use error::{BodyError, BoxError, ExchangeError};
pub use leg::{Leg, LegEvent};
pub use link::{ConnectError, Link};
pub use patience::{Patience, Progress};
pub use requester::{Requester, RequesterConfig, StartError};
pub use responder::{HttpService, Responder, ResponderBuilder};
pub use round_trip::Unconfirmed;
pub use service::{ExchangeContext, GaveUp, Refused};
pub use websocket::{Accept, ConnectionOver, Incoming, WebSocket, WebSocketSender, WebSocketUpgrade};
pub use websocket_call::WebSocketAnswer;

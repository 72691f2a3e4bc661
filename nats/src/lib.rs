//! HTTP exchanges over NATS (`wire/PROTOCOL.md`). The only crate of the program that names async-nats.
//!
//! - [`NatsFlags`], [`NatsConfig`], [`Link`]: reaching NATS
//! - [`Requester`]: the gateway's side, a request in and its response out
//! - [`Responder`]: the other side, a tower service behind NATS
//! - [`Body`]: a body that comes over NATS, with back-pressure
//! - [`ExchangeError`], [`BodyError`], [`Refused`]: how things end early
//!
//! One native exchange, file by file: `requester` → `request` → `native_call` → `outgoing` at a gateway;
//! `responder` → `subscriptions` → `serve` → `outgoing` at a responder; both ends share `port` (the inbox), `mailbox`
//! (what came in), `exchange` (one end), `body` (reading) and `window` (credit). Files named `plain…` do the same
//! for the plain dialect.

mod body;
mod config;
mod control;
mod error;
mod exchange;
mod inline;
mod interest;
mod link;
mod mailbox;
mod native_call;
mod outgoing;
mod plain_call;
mod plain_headers;
mod plain_port;
mod plain_serve;
mod plain_stream;
mod port;
mod registry;
mod request;
mod requester;
mod responder;
mod round_trip;
mod serve;
mod service;
mod subscriptions;
mod window;

pub use body::Body;
pub use config::{Identity, NatsConfig, NatsFlags};
pub use error::{BodyError, BoxError, ExchangeError};
pub use link::{ConnectError, ConnectionState, Link};
pub use requester::{Requester, RequesterConfig, StartError};
pub use responder::{HttpService, Responder, ResponderBuilder};
pub use round_trip::Unconfirmed;
pub use service::{ExchangeContext, Refused};

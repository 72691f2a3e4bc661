//! The HTTP gateway of h8s: HTTP/1.1, HTTP/2 and WebSocket clients on one side, an [`Upstream`] on the other. `h8sd` is
//! this library with flags.
//!
//! Rooms, from the socket inwards:
//!
//! - `server`: a connection's life. `accept` takes a permit and gives the connection to one of the `workers`; `tls` or
//!   `detect` finds the protocol; `connection` runs hyper on a `timeout_io` stream until the client leaves or must be
//!   closed; `lingering_close` ends the socket. `admin` serves operators.
//! - `protection`: [`Limits`], connections per address, activity, stream resets, and the guard of each exchange in flight.
//! - `http`: a request's way. `service` runs the steps: `admission` admits or rejects before anything reaches NATS
//!   ([`HostFilters`]); `header_policy`, `forwarded` ([`TrustedProxies`]) and `traceparent` decide what of the head
//!   crosses the edge; [`RequestBody`] in and `response_body` out are streamed, never buffered whole; `error_response`
//!   maps every error to a status, and `grpc` that to a gRPC one.
//! - `websocket`: takes over where a request asks for a WebSocket.
//! - `config`: [`Flags`] → [`Config`]; [`ReloadHandle`] and [`Reloader`] for changes while serving.
//! - `observability`: metrics and the access log.
//!
//! Around them: [`Config::build`] → [`App`] → [`App::run`] until [`Shutdown`].
//!
//! Invariants: no request is read past its head before it is admitted; no body is cut without the client being able to
//! see it; nothing that a client sends becomes a metric label.
//!
//! Over HTTP/1 a client that closes its sending side counts as gone (hyper cannot tell the two apart while an exchange
//! runs). A client that leaves while its upload is not being read is noticed at the next read or write.

mod app;
mod config;
mod http;
mod observability;
mod protection;
mod server;
mod shutdown;
mod upstream;
mod websocket;

pub use crate::http::forwarded::TrustedProxies;
pub use crate::http::host_filter::HostFilters;
pub use crate::http::request_body::{RequestBody, RequestBodyError};
pub use app::{App, BuildError, Drained};
pub use config::handle::{ApplyError, ReloadHandle};
pub use config::reload::{Reloader, Reloading};
pub use config::{Config, Flags};
pub use observability::access_log::AccessLog;
pub use protection::flags::LimitFlags;
pub use protection::limits::Limits;
pub use server::rlimit::raise_limit;
pub use server::tls::{TlsError, TlsFiles};
pub use shutdown::Shutdown;
pub use upstream::{Availability, BoxError, BusState, Upstream, WebSocketResponse};
pub use websocket::{AllowedOrigins, DropOldest, WebSocketConfig};

//! The HTTP edge of h8s: HTTP/1.1, HTTP/2 and WebSocket clients on one side, an [`Upstream`] on the other. `h8sd` is this
//! library with flags.
//!
//! A request's way, file by file:
//!
//! 1. `server`: a permit, an accept, a thread (`workers`), a place for the address (`addresses`); `preface` or `tls` tells the protocol.
//!    `drive`: hyper parses within [`Limits`], on a `paced` stream, until the client leaves or has to (`activity`,
//!    `resets`, `streams`, `goaway`).
//! 2. `exchange`: holds the steps below together.
//! 3. `admission`: yes, or a typed rejection, before anything reaches NATS ([`HostFilters`]).
//! 4. `fields`, `forwarded`, `trace`: what of the head crosses the edge, and what is said about the client
//!    ([`TrustedProxies`]).
//! 5. [`RequestBody`] in, `response_body` out, piece by piece; nothing is buffered whole.
//! 6. `rescue`: the one place where an error becomes a status; `grpc`: and that a gRPC one.
//!    Or, for what asks for one, a `websocket` takes over.
//! 7. `linger`: how the client's socket ends.
//!
//! Around it: [`Flags`] → [`Config`] → [`App`] → [`Shutdown`]; [`ReloadHandle`] and [`Reloader`] for what changes meanwhile;
//! `admin`, `metrics` and `access_log` for operators.
//! Invariants: no request is read past its head before it is admitted; no body is ever cut without the client being
//! able to see it; nothing a client sends becomes a metric label.
//!
//! Over HTTP/1 a client that closes its sending side counts as gone (hyper cannot tell the two apart while an exchange
//! runs), and one that leaves while nobody reads its upload is noticed when somebody does, or writes to it.

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

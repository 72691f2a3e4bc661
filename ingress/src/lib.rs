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
//! Around it: [`Flags`] → [`Config`] → [`App`] → [`Shutdown`]; [`Live`] and [`Reloader`] for what changes meanwhile;
//! `admin`, `metrics` and `access_log` for operators.
//! Invariants: no request is read past its head before it is admitted; no body is ever cut without the client being
//! able to see it; nothing a client sends becomes a metric label.
//!
//! Over HTTP/1 a client that closes its sending side counts as gone (hyper cannot tell the two apart while an exchange
//! runs), and one that leaves while nobody reads its upload is noticed when somebody does, or writes to it.

mod access_log;
mod activity;
mod addresses;
mod admin;
mod admission;
mod app;
mod config;
mod deadline;
mod descriptors;
mod drive;
mod exchange;
mod fields;
mod forwarded;
mod goaway;
mod grpc;
mod hex;
mod host_filter;
mod limit_flags;
mod limits;
mod linger;
mod live;
mod metrics;
mod open;
mod paced;
mod preface;
mod reload;
mod request_body;
mod rescue;
mod resets;
mod response_body;
mod server;
mod shutdown;
mod streams;
mod tls;
mod trace;
mod upstream;
mod websocket;
mod workers;

pub use access_log::AccessLog;
pub use app::{App, BuildError, Drained};
pub use config::{Config, Flags};
pub use descriptors::raise_limit;
pub use forwarded::TrustedProxies;
pub use host_filter::HostFilters;
pub use limit_flags::LimitFlags;
pub use limits::Limits;
pub use live::{Live, NotApplied};
pub use reload::{Reloader, Reloading};
pub use request_body::{RequestBody, RequestBodyError};
pub use shutdown::Shutdown;
pub use tls::{TlsError, TlsFiles};
pub use upstream::{Availability, BoxError, BusState, Upstream, WebSocketResponse};
pub use websocket::{AllowedOrigins, DropOldest, WebSocketConfig};

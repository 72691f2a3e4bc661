//! The reverse daemon of h8s: h8srd, and the library it is made of.
//!
//! From NATS to a backend and back:
//!
//! - [`Flags`]: what `h8srd` is told (`flags.rs`, `table.rs`), which comes to a [`ReverseConfig`] (`config.rs`)
//! - [`ReverseService`]: what a [`Responder`](h8s_nats::Responder) calls for each request (`forward.rs`) of one
//!   mapping (`mapping.rs`)
//! - the request is rewritten (`head.rs`), and its body counted (`upload.rs`)
//! - the backend (`backend.rs`) at its URL (`backend_url.rs`) is dialled (`dial.rs`, `tls.rs`) unless it has just been
//!   found away (`health.rs`); it is spoken to in HTTP/1.1 (`http1.rs`,
//!   `turn.rs`, idle connections in `pool.rs`) or HTTP/2 (`http2.rs`)
//! - its response's body goes back (`body.rs`), or an error does (`rescue.rs`)
//! - a WebSocket gets a connection of its own (`websocket.rs`)

mod backend;
mod backend_url;
mod body;
mod config;
mod dial;
mod flags;
mod forward;
mod head;
mod health;
mod http1;
mod http2;
mod mapping;
mod pool;
mod rescue;
mod table;
mod tls;
mod turn;
mod upload;
mod websocket;

pub use backend::{BackendConfig, BackendError, Protocol};
pub use backend_url::{BackendUrl, BackendUrlError};
pub use body::{Cut, ReverseBody};
pub use config::{MappingConfig, ReverseConfig, Served};
pub use flags::Flags;
pub use forward::ReverseService;
pub use head::HostHeader;
pub use tls::RootsError;

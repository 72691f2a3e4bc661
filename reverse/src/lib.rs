//! The reverse daemon of h8s: `h8srd`, and its library.
//!
//! A request on its way from NATS to a backend and back passes these rooms:
//!
//! - `config`: [`Flags`] and the `[[backend]]` tables make a [`ReverseConfig`], which builds the services
//! - `service`: [`ReverseService`], which a [`Responder`](h8s_nats::Responder) calls for each request of one mapping
//! - `forward`: rewrites the request's head, sends it on a connection of the backend, and returns the response's body, or
//!   an error response
//! - `websocket`: opens a WebSocket with the backend, and forwards messages in both directions
//! - `backend`: dials, pools and shares the connections of one backend, and knows whether it can be reached
//!
//! Each room uses the ones below it only; `forward` and `websocket` both use `backend`, and `websocket` uses `forward`.

mod backend;
mod config;
mod forward;
mod service;
mod sync;
mod websocket;

pub use backend::{BackendConfig, BackendError, BackendUrl, BackendUrlError, Protocol};
pub use config::{Flags, MappingConfig, ReverseConfig, Served};
pub use forward::request_head::HostHeader;
pub use forward::response_body::{ResponseBodyError, ReverseBody};
pub use h8s_settings::tls::RootsError;
pub use service::ReverseService;

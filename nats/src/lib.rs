//! HTTP exchanges over NATS: connect, Requester, Responder, interest, drain.

mod service;

pub use service::{ExchangeContext, Refused};

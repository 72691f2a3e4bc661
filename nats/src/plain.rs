//! The plain dialect: one NATS request, one or more NATS replies (`PROTOCOL.md §4`).

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod headers;
pub(crate) mod inbox;
pub(crate) mod server;

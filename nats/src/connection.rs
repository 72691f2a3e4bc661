//! Connections to NATS. The only part of the crate that creates a client.

pub(crate) mod bus;
pub(crate) mod client;
pub(crate) mod drain;
pub(crate) mod options;
pub(crate) mod permission_watch;
pub(crate) mod round_trip;
pub(crate) mod subscription;
pub(crate) mod write_batch;

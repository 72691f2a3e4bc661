//! How a connection lives: from the listening socket to its last byte.

pub(crate) mod accept;
pub(crate) mod admin;
pub(crate) mod connection;
pub(crate) mod detect;
pub(crate) mod goaway;
pub(crate) mod lingering_close;
pub(crate) mod protocol;
pub(crate) mod rlimit;
pub(crate) mod timeout_io;
pub(crate) mod tls;
pub(crate) mod workers;

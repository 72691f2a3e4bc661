//! WebSockets at both ends (`PROTOCOL.md §6`).

pub(crate) mod message_reader;
pub(crate) mod message_writer;
pub(crate) mod open;
pub(crate) mod plain_session;
pub(crate) mod server;
pub(crate) mod upstream_session;

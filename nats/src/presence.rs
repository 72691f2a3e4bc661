//! Open WebSockets and messages to them (`PROTOCOL.md §7`).

pub(crate) mod directory;
pub(crate) mod local;
pub(crate) mod push;
pub(crate) mod view;

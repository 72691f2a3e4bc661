//! What guests send to WebSockets: `sender`, of either package.

pub(crate) mod current_connection;
pub(crate) mod guest_sender;
mod original_sender;
pub(crate) mod scope;
mod sender;

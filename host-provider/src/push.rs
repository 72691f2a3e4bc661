//! What guests send to WebSockets: `sender`, of either package.

pub(crate) mod current_connection;
pub(crate) mod guest_sender;
pub(crate) mod original;
pub(crate) mod scope;
pub(crate) mod sender;

//! WebSockets at a component.
//!
//! - [`connection`]: one client WebSocket, from open to close
//! - [`lifecycle`]: the guest's `on-open` and `on-close`
//! - [`receiver`]: the guest's `handle-message`

mod connection;
mod lifecycle;
mod receiver;

pub(crate) use self::connection::open;

//! The reverse daemon, from a requester to a backend and back.

mod websocket;
mod websocket_backend;
mod websocket_endings;
mod websocket_fixture;

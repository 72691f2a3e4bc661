//! The reverse daemon, from a requester to a backend and back.

#![allow(clippy::unwrap_used, reason = "a test and what it sets up may fail by a panic")]

mod harness;
mod limits;
mod pool;
mod slow_uploads;
mod tls;
mod websocket;
mod websocket_backend;
mod websocket_endings;
mod websocket_fixture;

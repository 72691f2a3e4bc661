//! The gateway on real sockets, port 0, with an in-memory upstream or a real bus. Tests wait for events where they can.

#![allow(clippy::unwrap_used, reason = "a test and its setup may fail by a panic")]

mod allocations;
mod config;
mod fixture;
mod http;
mod observability;
mod protection;
mod server;
mod support;
mod websocket;

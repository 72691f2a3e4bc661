//! The edge on real sockets, port 0, with an in-memory upstream. No sleeps: every wait is for an event.

#![allow(clippy::unwrap_used, reason = "a test and what it sets up may fail by a panic")]

mod access_log;
mod admin;
mod admission;
mod allocations;
mod attacked;
mod bodies;
mod connections;
mod cut;
mod expect;
mod forwarded;
mod grpc;
mod leaving;
mod limits;
mod program;
mod protocols;
mod reload;
mod rescue;
mod shutdown;
mod support;
mod t20_metrics;
mod t5_t6_framing;
mod t7_http2_floods;
mod t8_slow_clients;
mod trailers;
mod websocket;
mod websocket_ends;
mod websocket_fixture;
mod websocket_limits;
mod websocket_push;
mod websocket_slow;
mod websocket_upgrade;

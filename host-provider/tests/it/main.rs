//! The host with real components: those of `components/`, built by the test itself.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what it did not expect")]

mod bodies;
mod cache;
mod configuration;
mod coverage;
mod edge;
mod faults;
mod heads;
mod limits;
mod load;
mod log;
mod outgoing;
mod outgoing_tls;
mod program;
mod request_reply;
mod reuse;
mod sandbox;
mod sending;
mod slow_uploads;
mod stand;
mod streams;
mod survival;
mod swap;
mod watch;
mod websockets;

//! The host with real components: those of `components/`, built by the test itself.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod component;
mod coverage;
mod edge;
mod fixture;
mod http;
mod instance;
mod log;
mod outgoing;
mod program;
mod websocket;

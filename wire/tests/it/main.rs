//! Properties for all bytes and all heads, and the golden vectors of `PROTOCOL.md`.
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod checks;
mod connections;
mod decoders;
mod frames;
mod interest;
mod plain;
mod protocol;
mod push;
mod subjects;
mod values;
mod vectors;

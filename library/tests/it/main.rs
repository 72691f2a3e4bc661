//! The library as a program uses it: the examples run, and answer through a real gateway.

#![allow(clippy::unwrap_used, reason = "a test and its setup may fail by a panic")]

mod bytes_codec;
mod dependencies;
mod examples;
mod fixture;
mod gateway;
mod pushing;
mod serving;
mod websockets;

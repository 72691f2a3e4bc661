//! The library as its users have it: the examples run, and answer through a real gateway.

mod bytes_codec;
mod dependencies;
mod examples;
mod fixture;
mod gateway;
mod pushing;
mod serving;
mod websockets;

//! Serve HTTP, gRPC and WebSockets over NATS from any tower service: an axum `Router`, a tonic server, your own.
//!
//! A gateway (`h8sd`) accepts clients from the internet and puts their requests on NATS. This crate takes them off NATS
//! and calls a tower service. The process dials out, opens no port, and may run in as many copies as you like.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let bus = h8s::connect("nats://127.0.0.1:4222").await?;
//!     let app = Router::new().route("/", get(async || "hello"));
//!     h8s::serve(&bus, "app.example.com/*", app).await?;
//!     Ok(())
//! }
//! ```
//!
//! | to | use |
//! |---|---|
//! | connect to NATS | [`connect`], [`ConnectOptions`] → [`Bus`] |
//! | serve a tower service | [`serve`] → [`Serve`] → [`Server`] |
//! | accept WebSockets in it | [`WebSocketUpgrade`] → [`WebSocket`] |
//! | list open WebSockets, and send to them, from any process | [`Connections`] |
//! | send requests over NATS, as a gateway does | [`Gateway`] |
//! | read a request's body, its client and its deadline | [`Body`], [`ExchangeContext`] |
//! | refuse a request before doing any work | [`Refused`] |
//!
//! # Beside async-nats
//!
//! A program that has an `async_nats::Client` keeps it: a [`Bus`] cannot be built on it, and no type of that crate is in
//! this one's interface. A bus owns two connections of its own, for reasons that a shared client cannot satisfy: native
//! frames must not be lost when a message with invalid headers makes the client reconnect, connections are replaced
//! with their subscriptions when the client's task fails, and buffers are sized so that delivery never blocks. One more
//! idle socket is the cost, and async-nats, a 0.x crate, can be updated here without breaking you.
//!
//! # Errors
//!
//! Every error is an enum that says what failed; [`source`](std::error::Error::source) has the cause. `Display` prints
//! one level: print the chain, as anyhow's `{:#}` does.

mod connect;
mod connections;
mod gateway;
mod pattern;
mod serve;
mod websocket;

pub use connect::connect;
pub use connections::{Connections, ConnectionsError, PushError};
pub use gateway::{Gateway, GatewayBody, GatewayError};
pub use h8s_nats::{
    AcceptError, Body, BodyError, BoxError, Bus, ConnectError, ConnectOptions, ConnectionClosed,
    ExchangeContext, ExchangeError, HttpService, Incoming, InvalidOptions, LoggedError, Refused,
    RequesterConfig, SendError, StartError, WebSocket, WebSocketSender,
};
pub use h8s_wire::{Close, ConnectionEntry, ConnectionId, Host, HostError, Message, MessageKind};
pub use pattern::PatternError;
pub use serve::{Serve, ServeError, Server, serve};
pub use websocket::{NotAnUpgrade, WebSocketUpgrade};

/// The code of the documentation compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rust-service.md")]
struct Page;

//! An embedded core-NATS broker for one machine.
//!
//! It speaks the core NATS client protocol over TCP, so the same code runs against it and against `nats-server`, and any
//! NATS client can connect. It is for development and for small installations on one machine: no authentication, no TLS,
//! no clustering, no JetStream. Behaviour visible to clients follows nats-server 2.15, with three stricter rules:
//!
//! - A message to a subject that is not literal, visible UTF-8 is refused with `'Invalid Publish Subject'`.
//! - A control line that cannot be parsed gets `'Parser Error'` before the connection is closed.
//! - The subject of a subscription has at most 256 tokens.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = h8s_broker::Broker::start(h8s_broker::Config::default())?;
//! let client = async_nats::connect(broker.url()).await?;
//! # drop(client);
//! broker.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! # Life of a message
//!
//! `broker` accepts a connection, and `client` serves it. `parser` parses its commands, and `session` executes them.
//! `delivery` finds the matching subscriptions (`match_cache`, `routes`, `trie`) and appends the encoded `message` to the
//! `outbox` of each subscriber, which bounds the memory of a slow client.
//!
//! # Layers
//!
//! Each module uses only modules of the lines above its own.
//!
//! ```text
//! config  subject  violation  outbox
//! handshake  parser  trie
//! peer
//! subscription
//! message  routes
//! match_cache  state
//! delivery
//! session
//! client
//! broker
//! ```

mod broker;
mod client;
mod config;
mod delivery;
mod handshake;
mod match_cache;
mod message;
mod outbox;
mod parser;
mod peer;
mod routes;
mod session;
mod state;
mod subject;
mod subscription;
mod trie;
mod violation;

pub use broker::Broker;
pub use config::{Config, StartError};

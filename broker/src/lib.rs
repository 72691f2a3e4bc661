//! An embedded core-NATS broker for one machine.
//!
//! It speaks the core NATS client protocol over TCP, so that the same code runs against it and against a real
//! `nats-server`, and any NATS client can attach. It is for development and for small installations on one
//! machine: no authentication, no TLS, no clustering, no JetStream. Where behaviour is visible to clients it
//! follows nats-server 2.15; it is stricter in three places, each of which a real server lets pass or ends
//! without a word:
//!
//! - a message is published to a literal subject of visible UTF-8, or refused with `'Invalid Publish Subject'`;
//! - a control line that cannot be parsed is answered `'Parser Error'` before the connection is closed;
//! - a subscription's subject has at most 256 tokens.
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
//! Where to look: `broker.rs` accepts; `client.rs` is the life of one connection; `session.rs` does what a client
//! says, as `parser.rs` read it; `delivery.rs` finds subscriptions (`routes.rs`, `trie.rs`, `match_cache.rs`) and
//! puts messages into outboxes (`outbox.rs`), which bound what a slow client may cost.

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
mod subject;
mod subscription;
mod trie;
mod violation;

pub use broker::Broker;
pub use config::{Config, StartError};

//! The wasmtime host of h8s: h8s-host, and the library it is made of.
//!
//! From a file to an answer:
//!
//! - [`Flags`]: what `h8s-host` is told (`flags.rs`, `guest_flags.rs`, `table.rs`), which comes to a [`HostConfig`] (`host.rs`)
//! - [`HostEngine`]: the engine that all components of a process share (`engine.rs`, `memory_swap.rs`)
//! - [`load()`]: reads, checks, compiles and links components (`load.rs`, `component.rs`, `interface.rs`), with
//!   compiled code kept in a [`CodeCache`] (`cache.rs`), and finds what they can do (`exports.rs`)
//! - [`ComponentService`]: answers requests (`dispatch.rs`), within limits (`admission.rs`, `limits.rs`)
//! - another component takes the place of one that runs, when its file changes ([`keep_current()`], `swap.rs`)
//! - every call runs one instance (`instance.rs`) in a place of the engine's (`slots.rs`); one that may have further
//!   calls waits for them (`idle.rs`)
//! - an exchange (`exchange.rs`, `incoming_handler.rs`): its request's body (`request_body.rs`); its response body (`body.rs`) keeps the instance going; or a
//!   message for a message (`request_reply.rs`, `msg.rs`)
//! - a WebSocket (`websocket.rs`) is opened and closed (`lifecycle.rs`), and its messages are handled (`receiver.rs`)
//! - what components send (`sending.rs`, `sender.rs`): to the connection they are called for (`own.rs`), or to whom
//!   they can reach ([`connect()`], `reach.rs`)
//! - the WIT packages in Rust: ours and the original's (`bindings.rs`, `original.rs`)
//! - requests that components send themselves (`outgoing_handler.rs`, `outgoing.rs`), to hosts that they may
//!   (`allow_list.rs`): over which connections (`outgoing_dial.rs`), and how they fail
//!   (`outgoing_fault.rs`)
//! - what they are told: settings and secrets (`configuration.rs`)
//! - what goes wrong in a guest is a [`Fault`] (`fault.rs`); what it prints goes to the log (`output.rs`)

mod admission;
mod allow_list;
mod bindings;
mod body;
mod cache;
mod component;
mod configuration;
mod dispatch;
mod engine;
mod exchange;
mod exports;
mod fault;
mod flags;
mod guest_flags;
mod host;
mod idle;
mod incoming_handler;
mod instance;
mod interface;
mod lifecycle;
mod limits;
mod load;
mod memory_swap;
mod msg;
mod original;
mod outgoing;
mod outgoing_dial;
mod outgoing_fault;
mod outgoing_handler;
mod outgoing_silence;
mod outgoing_upload;
mod output;
mod own;
mod reach;
mod receiver;
mod request_body;
mod request_reply;
mod sender;
mod sending;
mod slots;
mod swap;
mod table;
mod websocket;

pub use allow_list::{AllowedHost, NoAllowedHost};
pub use body::{BrokenBody, ComponentBody};
pub use cache::{CacheError, CodeCache};
pub use component::{ComponentSource, LoadError};
pub use configuration::{ConfigurationSource, SecretError, SecretSource};
pub use dispatch::ComponentService;
pub use engine::{Allocation, EngineConfig, EngineError, HostEngine};
pub use fault::Fault;
pub use flags::Flags;
pub use guest_flags::{GuestFlags, UnreadSecret};
pub use h8s_settings::tls::RootsError;
pub use host::{HostConfig, HostError, Served, ServedSource, connect};
pub use limits::Limits;
pub use load::{LoadErrors, load};
pub use outgoing::OutgoingSource;
pub use swap::{SwapError, Swapped, keep_current};

//! The wasmtime host of h8s: h8s-host, and the library it is made of.
//!
//! The rooms, from the program down; each uses only rooms below it:
//!
//! - `config`: flags, environment and file ([`Flags`]), which become a [`HostConfig`]
//! - `service`: [`ComponentService`], a tower service for one component; [`load()`] and [`keep_current()`], which load
//!   components and replace them when their files change
//! - `http` and `websocket`: one request, one WebSocket
//! - `component`: a file, read, checked, compiled and linked; what it imports and exports
//! - `instance`: one call in one instance; what can go wrong in it ([`Fault`]), what it prints, what it is configured with
//! - `push`: messages that guests send to WebSockets (`sender`)
//! - `outgoing`: HTTP requests that guests send, to hosts on their allow-list
//! - `engine`: the [`HostEngine`] of a process, its slots for instances, and [`Limits`]; compiled code ([`CodeCache`])
//! - `bindings`: the WIT packages in Rust
//!
//! A request: [`ComponentService`] admits it (`engine::admission`), a guest's export is called in an instance
//! (`http::answer`, `instance::guest`), and the response body ([`ComponentBody`]) runs the guest while it is read.

mod bindings;
mod component;
mod config;
mod engine;
mod http;
mod instance;
mod outgoing;
mod push;
mod service;
mod sync;
mod websocket;

pub use crate::component::{ComponentSource, LoadError};
pub use crate::config::flags::Flags;
pub use crate::config::guest_flags::{GuestFlags, UnreadSecret};
pub use crate::config::host::{HostConfig, HostError, Served, ServedSource, connect};
pub use crate::engine::cache::{CacheError, CodeCache};
pub use crate::engine::limits::Limits;
pub use crate::engine::{Allocation, EngineConfig, EngineError, HostEngine};
pub use crate::http::body::{BrokenBody, ComponentBody};
pub use crate::instance::configuration::{ConfigurationSource, SecretError, SecretSource};
pub use crate::instance::fault::Fault;
pub use crate::outgoing::OutgoingSource;
pub use crate::outgoing::allow_list::{AllowedHost, NoAllowedHost};
pub use crate::service::ComponentService;
pub use crate::service::load::{LoadErrors, load};
pub use crate::service::swap::{SwapError, Swapped, keep_current};
pub use h8s_settings::tls::RootsError;

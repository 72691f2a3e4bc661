//! A native responder whose service does nothing.

use bytes::Bytes;
use h8s_benches::{FixedResponse, native};

use crate::page;

/// The argument that selects the responder role; the NATS URL follows.
pub(crate) const ROLE: &str = "--native";
/// The path that it serves.
pub(crate) const HOST: &str = "native.example";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    native::run(nats_url, HOST, "/*", FixedResponse::new(page::head(), Bytes::from(page::body())));
}

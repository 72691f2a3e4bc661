//! A native responder whose service does nothing.

use bytes::Bytes;
use h8s_benches::{Fixed, native};

use crate::page;

/// The argument by which this program knows that it is the responder; the URL of NATS follows.
pub(crate) const ROLE: &str = "--native";
/// What it serves.
pub(crate) const HOST: &str = "native.example";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    native::run(nats_url, HOST, "/*", Fixed::new(page::head(), Bytes::from(page::body())));
}

//! A native responder that does nothing, in a process of its own: what is left is what gateway, NATS and it cost.

use bytes::Bytes;
use h8s_benches::{Fixed, native};
use http::Response;
use http::header::CONTENT_TYPE;

use crate::backend::ANSWER;

/// The argument by which this program knows that it is the responder; the URL of NATS follows.
pub(crate) const ROLE: &str = "--native";

/// What it serves; everything else is the reverse daemon's.
const PATH: &str = "/native/*";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    let answer = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
    let service = Fixed::new(answer.expect("it is a response"), Bytes::from_static(ANSWER));
    native::run(nats_url, "127.0.0.1", PATH, service);
}

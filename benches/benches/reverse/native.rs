//! A native responder that does nothing, as a separate process: the rest is the cost of gateway, NATS and responder.

use bytes::Bytes;
use h8s_benches::{FixedResponse, native};
use http::Response;
use http::header::CONTENT_TYPE;

use crate::backend::ANSWER;

/// The argument that selects the responder role; the NATS URL follows.
pub(crate) const ROLE: &str = "--native";

/// The path that it serves; the reverse daemon serves the rest.
const PATH: &str = "/native/*";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    let answer = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
    let service = FixedResponse::new(answer.expect("it is a response"), Bytes::from_static(ANSWER));
    native::run(nats_url, "127.0.0.1", PATH, service);
}

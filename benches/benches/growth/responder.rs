//! A native responder that does nothing, as a separate process. It announces a given number of patterns.

use bytes::Bytes;
use h8s_benches::{FixedResponse, native};
use http::Response;
use http::header::CONTENT_TYPE;

/// The argument that selects the responder role; the NATS URL and the number of patterns follow.
pub(crate) const ROLE: &str = "--responder";
/// The body of every response.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// A path that only this pattern matches.
pub(crate) fn path(pattern: usize) -> String {
    format!("/part-{pattern}/small")
}

/// Never returns.
pub(crate) fn run(nats_url: &str, patterns: &str) {
    let patterns: usize = patterns.parse().expect("a number");
    let paths: Vec<_> = (0..patterns).map(|pattern| format!("/part-{pattern}/*")).collect();
    let answer = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
    let service = FixedResponse::new(answer.expect("it is a response"), Bytes::from_static(ANSWER));
    native::run_at(nats_url, "127.0.0.1", &paths, service);
}

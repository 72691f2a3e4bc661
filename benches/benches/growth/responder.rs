//! A native responder that does nothing, in a process of its own; it announces as many patterns as it is told to.

use bytes::Bytes;
use h8s_benches::{Fixed, native};
use http::Response;
use http::header::CONTENT_TYPE;

/// The argument by which this program knows that it is the responder; the URL of NATS follows, and how many patterns.
pub(crate) const ROLE: &str = "--responder";
/// What it answers everything with.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// A path that this pattern alone matches.
pub(crate) fn path(pattern: usize) -> String {
    format!("/part-{pattern}/small")
}

/// Never returns.
pub(crate) fn run(nats_url: &str, patterns: &str) {
    let patterns: usize = patterns.parse().expect("a number");
    let paths: Vec<_> = (0..patterns).map(|pattern| format!("/part-{pattern}/*")).collect();
    let answer = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
    let service = Fixed::new(answer.expect("it is a response"), Bytes::from_static(ANSWER));
    native::run_at(nats_url, "127.0.0.1", &paths, service);
}

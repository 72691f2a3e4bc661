//! The least of HTTP/1.1 that a client needs: the head of a request, and where an answer ends.

use std::net::SocketAddr;

/// A request without a body.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nUser-Agent: bench/1\r\n\r\n")
}

/// The head of one with a body of so many bytes.
pub(crate) fn post(address: SocketAddr, path: &str, bytes: u64) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {bytes}\r\n\r\n")
}

/// Bytes of the whole answer that begins so. `None`: its head is not all there.
///
/// # Panics
///
/// When it is no 200 with a length.
pub(crate) fn length(begin: &[u8]) -> Option<usize> {
    let end = begin.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&begin[..end]).expect("heads are text");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = length
        .map(|(_, value)| value.trim().parse().expect("a length is a number"))
        .next()
        .expect("a length");
    Some(end + body)
}

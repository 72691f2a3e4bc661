//! The minimum of HTTP/1.1 for a client: request heads, and the end of a response.

use std::net::SocketAddr;

/// The end of a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A request without a body.
pub fn get(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nUser-Agent: bench/1\r\n\r\n")
}

/// The head of a request with a body of `bytes` bytes.
pub fn post(address: SocketAddr, path: &str, bytes: u64) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {bytes}\r\n\r\n")
}

/// The size of the response that starts with `begin`. `None` if the head is incomplete.
///
/// # Panics
///
/// If it is not a 200 with a length.
pub fn length(begin: &[u8]) -> Option<usize> {
    let (head, _) = split(begin)?;
    Some(head.len() + declared(head).expect("a length"))
}

/// Whether the response is complete.
///
/// # Panics
///
/// If it is not a 200 with exactly this body, by length or in chunks. A failure is fast and would look like a
/// good result.
pub fn is_whole(got: &[u8], body: &[u8]) -> bool {
    let Some((head, rest)) = split(got) else { return false };
    let Some(length) = declared(head) else {
        let chunks = unchunked(rest);
        assert!(chunks.as_ref().is_none_or(|chunks| chunks == body), "another body: {}", text(got));
        return chunks.is_some();
    };
    assert!(length == body.len() && body.starts_with(rest), "another body: {}", text(got));
    rest.len() == length
}

/// The head with its final empty line, and the rest.
fn split(begin: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = begin.windows(HEAD_END.len()).position(|four| four == HEAD_END)?;
    let (head, rest) = begin.split_at(end + HEAD_END.len());
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", text(head));
    Some((head, rest))
}

/// The declared length of the body.
fn declared(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).expect("heads are text");
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(length.trim().parse().expect("a length is a number"))
}

/// The body in chunks (RFC 9112 §7.1, without extensions and trailers), if complete.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size =
            std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk has a size");
        let chunk = &rest[end + 2..];
        // Includes the line break after the chunk.
        if chunk.len() < size + 2 {
            return None;
        }
        if size == 0 {
            assert_eq!(chunk, b"\r\n", "nothing follows the last chunk");
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &chunk[size + 2..];
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const IN_CHUNKS: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for answer in [WITH_LENGTH, IN_CHUNKS] {
            for end in 0..answer.len() {
                assert!(!is_whole(&answer[..end], b"hello"), "{}", text(&answer[..end]));
            }
            assert!(is_whole(answer, b"hello"));
        }
        assert_eq!(length(&WITH_LENGTH[..40]), Some(WITH_LENGTH.len()));
    }

    #[test]
    fn another_answer_is_none() {
        for (answer, body) in [
            (WITH_LENGTH, b"hullo" as &[u8]),
            (WITH_LENGTH, b"hell"),
            (IN_CHUNKS, b"hullo"),
            (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world", b"hello"),
        ] {
            let read = std::panic::catch_unwind(|| is_whole(answer, body));
            assert!(read.is_err(), "{} passes for {}", text(answer), text(body));
        }
    }
}

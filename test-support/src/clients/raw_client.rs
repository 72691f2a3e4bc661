//! HTTP/1.1 as bytes: for requests that no library sends, and for the exact response.

mod response;

use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

use response::Framing;
pub use response::{RawHead, RawResponse};

/// More than any test reads; a longer response is a bug and must not exhaust memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// One connection, over TCP by default.
///
/// ```no_run
/// # use h8s_test_support::raw_client::RawClient;
/// # async fn example() {
/// let mut client = RawClient::connect("127.0.0.1:8080").await;
/// client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
/// let response = client.response().await;
/// assert_eq!((response.head.status, response.complete), (200, true));
/// # }
/// ```
#[derive(Debug)]
pub struct RawClient<S = TcpStream> {
    stream: S,
    /// Bytes that were read, but not yet returned.
    buffer: BytesMut,
    /// The peer has closed the connection.
    ended: bool,
}

impl RawClient {
    /// Connects to `127.0.0.1:8080` or `http://127.0.0.1:8080/whatever`.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    pub async fn connect(address: &str) -> Self {
        let authority = address.strip_prefix("http://").unwrap_or(address);
        let authority = authority.split('/').next().unwrap_or(authority);
        let connected = soon(TcpStream::connect(authority)).await;
        let stream = connected.unwrap_or_else(|error| panic!("cannot connect to {authority}: {error}"));
        // Sends writes at once; a failure only delays them.
        let _ = stream.set_nodelay(true);
        Self::over(stream)
    }

    /// Closes with a reset, as a client whose process dies with unread data.
    ///
    /// # Panics
    ///
    /// When the system does not allow it.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket can be closed at once");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RawClient<S> {
    /// A client over an existing connection, for example with TLS.
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), ended: false }
    }

    /// The connection, and the bytes that were read, but not returned.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.buffer)
    }

    /// Writes; returns whether the peer accepted it.
    ///
    /// # Panics
    ///
    /// When the peer accepts nothing within the deadline.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon(self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Half-closes the connection; reading continues.
    pub async fn finish(&mut self) {
        // The connection may have ended already.
        let _ = soon(self.stream.shutdown()).await;
    }

    /// Everything up to and with `end`.
    ///
    /// # Panics
    ///
    /// When the connection ends first, or nothing is received within the deadline.
    pub async fn read_until(&mut self, end: impl AsRef<[u8]>) -> Vec<u8> {
        let end = end.as_ref();
        self.until(end).await.unwrap_or_else(|| {
            panic!("the connection ended before {:?}, after {:?}", text(end), text(&self.buffer))
        })
    }

    /// The next response to a request other than `HEAD`. An interim response (100 to 199) counts.
    ///
    /// # Panics
    ///
    /// When there is none, or it is invalid.
    pub async fn response(&mut self) -> RawResponse {
        let head = self.head().await;
        self.body(head).await
    }

    /// The next response's head, which is all of a response to `HEAD`.
    ///
    /// # Panics
    ///
    /// As [`response`](Self::response).
    pub async fn head(&mut self) -> RawHead {
        RawHead::read(&self.read_until("\r\n\r\n").await)
    }

    /// The body after a head, complete or truncated.
    ///
    /// # Panics
    ///
    /// When a chunk is invalid, or nothing is received within the deadline.
    pub async fn body(&mut self, head: RawHead) -> RawResponse {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        let complete = match head.framing() {
            Framing::None => true,
            Framing::Length(length) => {
                let complete = self.fill(length).await;
                body = self.take(length);
                complete
            }
            Framing::UntilClose => {
                body = self.read_to_end().await;
                true
            }
            Framing::Chunked => loop {
                match self.chunk().await {
                    Some(chunk) if chunk.is_empty() => {
                        let lines = self.trailer_lines().await;
                        trailers = lines.clone().unwrap_or_default();
                        break lines.is_some();
                    }
                    Some(chunk) => body.extend(chunk),
                    None => break false,
                }
            },
        };
        RawResponse { head, body, trailers, complete }
    }

    /// The next chunk of a chunked body: an empty one is the last. `None` when the connection ended in it.
    ///
    /// # Panics
    ///
    /// When its size is invalid, or nothing is received within the deadline.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").await?;
        let size =
            text(&line).trim_end().split(';').next().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.unwrap_or_else(|| panic!("{:?} is not a valid chunk size", text(&line)));
        if size == 0 {
            return Some(Vec::new());
        }
        let whole = self.fill(size + 2).await;
        let chunk = self.take(size);
        assert!(!whole || self.take(2) == b"\r\n", "a chunk of {size} bytes does not end after them");
        whole.then_some(chunk)
    }

    /// Everything until the peer closes the connection.
    ///
    /// # Panics
    ///
    /// When it stays open, and nothing is received within the deadline.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        while self.more().await {}
        self.take(self.buffer.len())
    }

    async fn trailer_lines(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            if line == b"\r\n" {
                return Some(fields);
            }
            fields.push(response::field(&text(&line)));
        }
    }

    /// Everything up to and with `end`, or `None` when the connection ends first.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, end) {
                return Some(self.take(at + end.len()));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads until the buffer has this many bytes; `false` when the connection ends first.
    pub(crate) async fn fill(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes {
            if !self.more().await {
                return false;
            }
        }
        true
    }

    pub(crate) fn take(&mut self, most: usize) -> Vec<u8> {
        self.buffer.copy_to_bytes(most.min(self.buffer.len())).to_vec()
    }

    async fn more(&mut self) -> bool {
        assert!(self.buffer.len() < MOST_BYTES, "more than {MOST_BYTES} bytes");
        // A reset counts as the end.
        self.ended = self.ended || !matches!(soon(self.stream.read_buf(&mut self.buffer)).await, Ok(1..));
        !self.ended
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;

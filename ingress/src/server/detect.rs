//! Detects the protocol of a cleartext client from its first bytes, which are then read again by hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::server::protocol::Protocol;

/// RFC 9113 §3.4. No HTTP/1 request begins like this.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Holds most request heads whole, so that they cost one read.
const FIRST_READ_BYTES: usize = 4 << 10;

/// Reads until the protocol is known. The caller sets the deadline.
///
/// # Errors
/// The client left first, or the socket failed.
pub(crate) async fn detect<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Protocol, Rewound<S>)> {
    let mut first = BytesMut::with_capacity(FIRST_READ_BYTES);
    loop {
        if stream.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(protocol) = protocol(&first) {
            return Ok((protocol, Rewound { first, stream }));
        }
    }
}

/// `None` while undecided.
fn protocol(first: &[u8]) -> Option<Protocol> {
    if first.starts_with(HTTP2_PREFACE) {
        Some(Protocol::Http2)
    } else if HTTP2_PREFACE.starts_with(first) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// A stream that yields the bytes read during detection first.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    first: BytesMut,
    stream: S,
}

impl<S> Rewound<S> {
    /// The bytes not yet read again, and the stream.
    pub(crate) fn into_parts(self) -> (BytesMut, S) {
        (self.first, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let fits = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..fits]);
        self.first.advance(fits);
        if self.first.is_empty() {
            self.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn every_split_of_the_preface_waits_and_everything_else_is_http1() {
        for end in 1..HTTP2_PREFACE.len() {
            assert_eq!(protocol(&HTTP2_PREFACE[..end]), None);
            let mut other = HTTP2_PREFACE[..end].to_vec();
            other.push(b'!');
            assert_eq!(protocol(&other), Some(Protocol::Http1));
        }
        assert_eq!(protocol(HTTP2_PREFACE), Some(Protocol::Http2));
        assert_eq!(protocol(b"PUT / HTTP/1.1\r\n"), Some(Protocol::Http1));
    }

    #[tokio::test]
    async fn what_was_read_to_detect_is_read_again_first() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"GET /").await.unwrap();
        let (protocol, mut rewound) = detect(server).await.unwrap();
        client.write_all(b" HTTP/1.1").await.unwrap();
        drop(client);

        let mut all = String::new();
        rewound.read_to_string(&mut all).await.unwrap();

        assert_eq!((protocol, all.as_str()), (Protocol::Http1, "GET / HTTP/1.1"));
    }

    #[tokio::test]
    async fn a_client_that_leaves_in_mid_preface_is_an_error() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"PRI * HT").await.unwrap();
        drop(client);

        assert_eq!(detect(server).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

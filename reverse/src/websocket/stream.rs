//! The byte stream of a connection after its upgrade from HTTP to WebSocket.
//!
//! A failed write does not end it: after a backend has closed, its last messages, with the reason among them, may still be
//! in the receive buffer. They are read first; the write error follows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads the bytes behind the response head first, and reports write errors to the reader.
#[derive(Debug)]
pub(crate) struct Stream<T> {
    /// Bytes received with the response's head.
    first: Bytes,
    io: T,
    /// The write error, for the reader when no bytes are left.
    failed: Option<io::Error>,
}

impl<T> Stream<T> {
    pub(crate) fn new(first: Bytes, io: T) -> Self {
        Self { first, io, failed: None }
    }

    /// The number of bytes written, or discarded after an error.
    fn written(&mut self, offered: usize, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        result.map(|result| match result {
            Ok(0) if offered > 0 => self.lost(offered, io::ErrorKind::WriteZero.into()),
            Ok(written) => Ok(written),
            Err(error) => self.lost(offered, error),
        })
    }

    fn lost(&mut self, offered: usize, error: io::Error) -> io::Result<usize> {
        self.failed.get_or_insert(error);
        Ok(offered)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let length = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..length]);
            this.first.advance(length);
            return Poll::Ready(Ok(()));
        }
        match (Pin::new(&mut this.io).poll_read(cx, buffer), &this.failed) {
            (Poll::Pending, Some(error)) => Poll::Ready(Err(error.kind().into())),
            (read, _) => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.failed.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.written(bytes.len(), result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if this.failed.is_some() {
            return Poll::Ready(Ok(offered));
        }
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.written(offered, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_flush(cx).map(|result| {
            this.failed = result.err();
            Ok(())
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, join};

    use super::*;

    /// Refuses every write.
    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn bytes_received_before_a_write_error_are_read_before_the_error() {
        let (mut peer, reader) = duplex(64);
        let mut stream = Stream::new(Bytes::from_static(b"101 "), join(reader, Broken));
        peer.write_all(b"last words").await.unwrap();

        stream.write_all(b"too late").await.unwrap();
        stream.flush().await.unwrap();
        let mut words = [0; 14];
        stream.read_exact(&mut words).await.unwrap();

        assert_eq!(&words, b"101 last words");
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let (mut peer, io) = duplex(64);
        let mut stream = Stream::new(Bytes::new(), io);

        stream.write_all(b"ping").await.unwrap();
        peer.write_all(b"pong").await.unwrap();

        let (mut there, mut here) = ([0; 4], [0; 4]);
        peer.read_exact(&mut there).await.unwrap();
        stream.read_exact(&mut here).await.unwrap();
        assert_eq!((&there, &here), (b"ping", b"pong"));
    }
}

//! Closes client sockets.
//!
//! - Orderly: our side is shut down, then incoming bytes are read and discarded for a while. Without that
//!   the kernel answers them with a reset, which can destroy an early 413 before the client has read it (T6;
//!   RFC 9112 §9.6).
//! - Cut: reset, so that a body that is delimited by the end of the connection (HTTP/1.0) does not look whole (T16).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::protection::in_flight::ClientConnection;

/// A client that reads its response closes within a round trip or two; others must not hold a connection.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Enough for what is in flight when an upload is refused, on a fast and long path.
const LINGER_BYTES: usize = 16 << 20;
const OWNED: &str = "the socket is given away only together with what held it";

/// A client socket that closes lingeringly, or with a reset if cut.
#[derive(Debug)]
pub(crate) struct LingeringClose {
    /// `None` once taken by `into_stream`.
    stream: Option<TcpStream>,
    connection: Arc<ClientConnection>,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    Open,
    Draining { left_bytes: usize, timeout: Option<Pin<Box<Sleep>>> },
    Closed,
}

impl LingeringClose {
    pub(crate) fn new(stream: TcpStream, connection: Arc<ClientConnection>) -> Self {
        Self { stream: Some(stream), connection, closing: Closing::Open }
    }

    /// The socket itself; the caller is then responsible for closing it.
    pub(crate) fn into_stream(mut self) -> TcpStream {
        self.stream.take().expect(OWNED)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect(OWNED))
    }

    /// Reads and discards until the client closes, or the time or byte limit is reached.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [std::mem::MaybeUninit::uninit(); 8 << 10];
        let Closing::Draining { left_bytes, timeout } = &mut self.closing else { return Poll::Ready(()) };
        let stream = self.stream.as_mut().expect(OWNED);
        loop {
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(()))
                    if !buffer.filled().is_empty() && buffer.filled().len() <= *left_bytes =>
                {
                    *left_bytes -= buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let timeout = timeout.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_TIMEOUT)));
                    return timeout.as_mut().poll(cx);
                }
            }
        }
    }
}

impl Drop for LingeringClose {
    fn drop(&mut self) {
        let is_whole = matches!(self.closing, Closing::Closed) || !self.connection.is_cut();
        if let Some(stream) = &self.stream
            && !is_whole
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "failed to reset a client connection");
        }
    }
}

impl AsyncRead for LingeringClose {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for LingeringClose {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Closing::Open = self.closing {
            ready!(self.stream().poll_shutdown(cx))?;
            self.closing = Closing::Draining { left_bytes: LINGER_BYTES, timeout: None };
        }
        ready!(self.poll_drain(cx));
        self.closing = Closing::Closed;
        Poll::Ready(Ok(()))
    }
}

//! The stream under hyper, with timeouts for the rest of a request head (HTTP/1) and for a client that reads nothing.
//!
//! `connection` bounds the wait for the next request, and `request_body` the wait for a request's body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::observability::metrics::Limit;
use crate::protection::deadline::Deadline;
use crate::protection::in_flight::ClientConnection;
use crate::server::goaway::FrameEdges;

/// Longer than a lingering close takes (`lingering_close`).
pub(crate) const MOST_LINGER: Duration = Duration::from_secs(3);

/// The stream that hyper reads from and writes to.
#[derive(Debug)]
pub(crate) struct TimeoutIo<S> {
    stream: S,
    connection: Arc<ClientConnection>,
    /// Over HTTP/1.
    head: Option<Head>,
    /// Over HTTP/2.
    edges: Option<FrameEdges>,
    /// Since when pending writes make no progress.
    blocked: Option<Instant>,
    write_deadline: Deadline,
}

/// Progress of reading HTTP/1 heads.
#[derive(Debug, Default)]
struct Head {
    /// When the first byte of the next head arrived.
    first_byte: Option<Instant>,
    /// Exchanges started by then.
    exchanges: u64,
    deadline: Deadline,
    is_late: bool,
}

impl<S> TimeoutIo<S> {
    pub(crate) fn http1(stream: S, connection: Arc<ClientConnection>) -> Self {
        Self { head: Some(Head::default()), edges: None, ..Self::new(stream, connection) }
    }

    pub(crate) fn http2(stream: S, connection: Arc<ClientConnection>) -> Self {
        Self { head: None, edges: Some(FrameEdges::default()), ..Self::new(stream, connection) }
    }

    fn new(stream: S, connection: Arc<ClientConnection>) -> Self {
        let write_deadline = Deadline::default();
        Self { stream, connection, head: None, edges: None, blocked: None, write_deadline }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// The head timed out, and a response can still be written: no other write is pending.
    pub(crate) fn is_late(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.is_late) && self.blocked.is_none()
    }

    /// Passes the result of a write, flush or shutdown on, and times pending ones.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.watch_for(self.connection.limits.write_timeout, cx, outcome)
    }

    fn watch_for<T>(
        &mut self,
        time: Duration,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.blocked.take().is_some() {
                self.connection.activity.writing(false);
            }
            return outcome;
        }
        let since = *self.blocked.get_or_insert_with(Instant::now);
        self.connection.activity.writing(true);
        if self.write_deadline.poll(since + time, cx).is_pending() {
            return Poll::Pending;
        }
        self.connection.cut();
        self.connection.limited(Limit::Write);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Head {
    /// Bytes were received.
    fn received(&mut self, connection: &ClientConnection) {
        self.forget_begun(connection);
        if !connection.activity.is_busy() && self.first_byte.is_none() {
            self.first_byte = Some(Instant::now());
            connection.activity.in_head(true);
        }
    }

    /// An exchange that has started since received its whole head.
    fn forget_begun(&mut self, connection: &ClientConnection) {
        let exchanges = connection.activity.begun();
        if self.exchanges != exchanges || connection.activity.is_busy() {
            self.exchanges = exchanges;
            self.first_byte = None;
            connection.activity.in_head(false);
        }
    }

    /// Restarts the head timer.
    fn begin_anew(&mut self) {
        self.first_byte = self.first_byte.map(|_| Instant::now());
    }

    /// hyper waits for more of the head.
    fn waits(&mut self, connection: &ClientConnection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.forget_begun(connection);
        let Some(first_byte) = self.first_byte else { return Poll::Pending };
        if self.deadline.poll(first_byte + connection.limits.header_timeout, cx).is_pending() {
            return Poll::Pending;
        }
        self.is_late = true;
        connection.limited(Limit::Header);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Self { head: Some(head), connection, blocked, .. } = &mut *self else { return read };
        match read {
            // hyper does not read the next head before pending writes are done.
            Poll::Pending if blocked.is_some() => {
                head.begin_anew();
                Poll::Pending
            }
            Poll::Pending => head.waits(connection, cx),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                head.received(connection);
                read
            }
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> TimeoutIo<S> {
    /// Replaces further writes with a `GOAWAY` once the connection is closed for abuse.
    fn poll_goaway(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        let goaway = self.edges.as_ref().filter(|_| self.connection.is_closed_for_abuse())?.goaway()?;
        let written = Pin::new(&mut self.stream).poll_write(cx, &goaway);
        Some(match self.watch(cx, written) {
            Poll::Ready(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Poll::Pending => Poll::Pending,
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(goaway) = self.poll_goaway(cx) {
            return goaway;
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let (Some(edges), Poll::Ready(Ok(count))) = (&mut self.edges, &written) {
            edges.wrote(&bytes[..*count]);
        }
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(goaway) = self.poll_goaway(cx) {
            return goaway;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let (Some(edges), Poll::Ready(Ok(count))) = (&mut self.edges, &written) {
            let mut left = *count;
            for slice in slices {
                let part = slice.len().min(left);
                edges.wrote(&slice[..part]);
                left -= part;
            }
        }
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        // A lingering close is not the client's fault.
        let time = self.connection.limits.write_timeout.max(MOST_LINGER);
        self.watch_for(time, cx, ended)
    }
}

//! The client's connection after an upgrade: the socket itself where possible, else a stream.
//!
//! Reads go through a scratch buffer per thread, so that an idle connection holds no buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::protection::in_flight::ClientConnection;
use crate::server::detect::Rewound;
use crate::server::lingering_close::LingeringClose;
use crate::server::timeout_io::TimeoutIo;

/// Bytes per read: a part of a message (`PROTOCOL.md §5`).
const SCRATCH_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// The side of the socket that belongs to the connection's task.
#[derive(Debug)]
pub(crate) struct Stream {
    inner: Inner,
    /// The client connection, if the WebSocket takes all of it. `None` over HTTP/2, where it is one stream.
    client: Option<Arc<ClientConnection>>,
}

#[derive(Debug)]
enum Inner {
    /// Cleartext HTTP/1.1. The outbox has the other half.
    Direct(OwnedReadHalf),
    /// TLS or HTTP/2: one object for both directions.
    Layered(Box<TokioIo<Upgraded>>),
}

/// Takes a connection from hyper: its stream, the bytes already read, and the half that pushers may write to.
pub(crate) fn open(
    upgraded: Upgraded,
    client: Option<Arc<ClientConnection>>,
) -> (Stream, BytesMut, Option<OwnedWriteHalf>) {
    match upgraded.downcast::<TokioIo<TimeoutIo<Rewound<LingeringClose>>>>() {
        Ok(parts) => {
            let (first, linger) = parts.io.into_inner().into_inner().into_parts();
            let mut ahead = BytesMut::from(&parts.read_buf[..]);
            ahead.extend_from_slice(&first);
            let (read, write) = linger.into_stream().into_split();
            (Stream { inner: Inner::Direct(read), client }, ahead, Some(write))
        }
        Err(upgraded) => {
            let inner = Inner::Layered(Box::new(TokioIo::new(upgraded)));
            (Stream { inner, client }, BytesMut::new(), None)
        }
    }
}

impl Stream {
    /// Reads into `input`, which must be empty. 0: the client has shut its side down.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match &mut self.inner {
                Inner::Direct(read) => ready!(Pin::new(read).poll_read(cx, &mut buffer))?,
                Inner::Layered(stream) => ready!(Pin::new(stream).poll_read(cx, &mut buffer))?,
            }
            *input = BytesMut::from(buffer.filled());
            Poll::Ready(Ok(input.len()))
        })
    }

    /// Writes as much as fits the scratch buffer at once: layers cost by the call.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Inner::Layered(stream) = &mut self.inner else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut filled = 0;
            for slice in slices {
                let fits = slice.len().min(scratch.len() - filled);
                scratch[filled..filled + fits].copy_from_slice(&slice[..fits]);
                filled += fits;
            }
            Pin::new(stream).poll_write(cx, &scratch[..filled])
        })
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Direct(_) => Poll::Ready(Ok(())),
            Inner::Layered(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Direct(_) => Poll::Ready(Ok(())),
            Inner::Layered(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Makes the drop reset the socket, since the end is not orderly. Over HTTP/2 dropping the stream does so.
    pub(crate) fn reset_on_drop(&self) {
        if let Some(client) = &self.client {
            client.cut();
        }
        if let Inner::Direct(read) = &self.inner
            && let Err(error) = AsRef::<TcpStream>::as_ref(read).set_zero_linger()
        {
            tracing::debug!(%error, "failed to reset a WebSocket connection");
        }
    }
}

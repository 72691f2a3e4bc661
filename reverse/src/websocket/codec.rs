//! A backend's WebSocket as messages, shared by a reader and a writer in the same task.
//!
//! Pings are answered as they are read. At most one message, [`ROOM_BYTES`] and [`PONGS_BYTES`] wait to be written.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::{Sink as _, Stream as _};
use h8s_wire::{Close, Message, MessageKind};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::coop::consume_budget;
use tokio_websockets::proto::ProtocolError;
use tokio_websockets::{ClientBuilder, CloseCode, Config, Error, Limits, WebSocketStream};

/// Bytes that may wait to be written when another message is queued. Small messages share a system call.
const ROOM_BYTES: usize = 16 * 1024;
/// Bytes of pongs that may wait. Beyond it a backend is not read until it has taken them.
const PONGS_BYTES: usize = 16 * 1024;
/// Bytes of a pong beside its payload: RFC 6455 §5.2, with a mask.
const PONG_OVERHEAD_BYTES: usize = 6;
/// Larger messages are split into frames of this size: some servers limit frames, and masking copies a frame.
const FRAME_BYTES: usize = 1024 * 1024;

/// An event from the backend.
#[derive(Debug)]
pub(crate) enum BackendEvent {
    Message(Message),
    /// A close frame; 1005 without a code.
    Close(Close),
    /// The connection ended without a close frame.
    Vanished,
    /// A protocol error. Its close frame is sent with the next flush.
    Broken(Error),
    /// A message beyond the limit. Its close frame is sent with the next flush.
    TooLarge,
}

/// The codec of one connection.
#[derive(Debug)]
pub(crate) struct Codec<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    stream: WebSocketStream<T>,
    /// Bytes may wait to be written.
    is_dirty: bool,
    /// Bytes of pongs since the last flush.
    pongs_bytes: usize,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Codec<T> {
    pub(crate) fn new(io: T, max_message_bytes: usize) -> Self {
        let stream = ClientBuilder::new()
            .limits(Limits::default().max_payload_len(Some(max_message_bytes)))
            .config(Config::default().frame_size(FRAME_BYTES).flush_threshold(ROOM_BYTES))
            .take_over(io);
        Self(Mutex::new(State { stream, is_dirty: false, pongs_bytes: 0 }))
    }

    /// The next event. Do not read after the first one that is not a message.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&self) -> BackendEvent {
        // Otherwise a busy backend would occupy this thread.
        consume_budget().await;
        poll_fn(|cx| self.state().poll_next(cx)).await
    }

    /// Queues a message. Wait for [`room`](Self::room) before the next.
    pub(crate) fn queue(&self, message: Message) {
        self.state().queue(match message.kind {
            MessageKind::Text => tokio_websockets::Message::text(message.data),
            MessageKind::Binary => tokio_websockets::Message::binary(message.data),
        });
    }

    /// Waits until at most [`ROOM_BYTES`] wait to be written.
    pub(crate) async fn room(&self) {
        consume_budget().await;
        poll_fn(|cx| self.state().poll_room(cx)).await;
    }

    /// Writes the queued bytes each time it is polled. Never returns. Poll it after the writers: it is not woken by frames
    /// queued later.
    pub(crate) async fn keep_flushed(&self) -> Infallible {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.is_dirty {
                let _ = state.poll_flush(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// Queues the close frame, unless one was sent.
    pub(crate) fn close(&self, close: &Close) {
        let code = CloseCode::try_from(close.code).ok().filter(|_| close.is_sendable());
        self.state().queue(tokio_websockets::Message::close(code, &close.reason));
    }

    /// After a close frame of one side: flushes, waits for the close frame of the other side, and for the server to end the
    /// connection (RFC 6455 §7.1.1).
    pub(crate) async fn finish(self) {
        self.flush().await;
        while let BackendEvent::Message(_) = self.next().await {}
        self.flush().await;
        let mut io = self.into_io();
        read_to_end(&mut io).await;
        let _ = io.shutdown().await;
    }

    /// Ends the connection without a close frame, after a flush.
    pub(crate) async fn abandon(self) {
        self.flush().await;
        let mut io = self.into_io();
        let _ = io.shutdown().await;
        // Closing a socket with unread bytes resets it, which may lose written bytes.
        read_to_end(&mut io).await;
    }

    async fn flush(&self) {
        poll_fn(|cx| self.state().poll_flush(cx)).await;
    }

    fn into_io(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).stream.into_inner()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Never contended: reader and writer are in one task.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> State<T> {
    fn queue(&mut self, message: tokio_websockets::Message) {
        // Fails only after a close frame, when further frames are pointless.
        let _ = Pin::new(&mut self.stream).start_send(message);
        self.is_dirty = true;
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The reading side reports write errors.
        Pin::new(&mut self.stream).poll_ready(cx).map(drop)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.is_dirty = false;
        self.pongs_bytes = 0;
        Poll::Ready(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<BackendEvent> {
        loop {
            if self.pongs_bytes > PONGS_BYTES {
                ready!(self.poll_flush(cx));
            }
            let message = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(self.failed(error)),
                None => return Poll::Ready(BackendEvent::Vanished),
            };
            if message.is_ping() {
                self.is_dirty = true;
                self.pongs_bytes += message.as_payload().len() + PONG_OVERHEAD_BYTES;
            } else if let Some((code, reason)) = message.as_close() {
                self.is_dirty = true;
                return Poll::Ready(BackendEvent::Close(Close::new(code.into(), reason)));
            } else if !message.is_pong() {
                return Poll::Ready(self.check(message));
            }
        }
    }

    fn check(&mut self, message: tokio_websockets::Message) -> BackendEvent {
        let kind = if message.is_text() { MessageKind::Text } else { MessageKind::Binary };
        let message = Message { kind, data: message.into_payload().into() };
        // The library does not check a text whose last fragment is empty.
        if message.is_valid() {
            return BackendEvent::Message(message);
        }
        self.queue(tokio_websockets::Message::close(
            Some(CloseCode::INVALID_FRAME_PAYLOAD_DATA),
            "invalid utf-8",
        ));
        BackendEvent::Broken(Error::Protocol(ProtocolError::InvalidUtf8))
    }

    fn failed(&mut self, error: Error) -> BackendEvent {
        self.is_dirty = true;
        match error {
            Error::Io(_) | Error::AlreadyClosed => BackendEvent::Vanished,
            Error::PayloadTooLong { .. } => {
                // The library has sent it for one large frame, but not for many small ones.
                self.queue(tokio_websockets::Message::close(Some(CloseCode::MESSAGE_TOO_BIG), "too large"));
                BackendEvent::TooLarge
            }
            error => BackendEvent::Broken(error),
        }
    }
}

async fn read_to_end(io: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = [0; 1024];
    while let Ok(1..) = io.read(&mut ignored).await {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::io::{DuplexStream, duplex, join};
    use tokio::time::timeout;

    use super::super::stream::Stream;
    use super::*;

    const LIMIT_BYTES: usize = 1024;

    /// The codec, and the backend's end of its connection, which buffers `buffer_bytes` each way.
    fn connected(buffer_bytes: usize) -> (Codec<DuplexStream>, DuplexStream) {
        let (io, backend) = duplex(buffer_bytes);
        (Codec::new(io, LIMIT_BYTES), backend)
    }

    #[tokio::test]
    async fn there_is_room_until_the_backend_stops_reading() {
        let (codec, mut backend) = connected(64);
        let message = Message::binary(vec![7; LIMIT_BYTES]);
        let mut queued = 0;
        while poll_fn(|cx| Poll::Ready(codec.state().poll_room(cx).is_ready())).await {
            codec.queue(message.clone());
            queued += 1;
            assert!(queued < 100, "there is always room");
        }
        assert!(queued * LIMIT_BYTES >= ROOM_BYTES - LIMIT_BYTES, "{queued} messages fill it");

        // With their heads and masks.
        let mut taken = vec![0; queued * (LIMIT_BYTES + 8)];
        let took = async { tokio::join!(codec.flush(), backend.read_exact(&mut taken)).1 };
        timeout(Duration::from_secs(10), took).await.unwrap().unwrap();
        timeout(Duration::from_secs(10), codec.room()).await.unwrap();
    }

    #[tokio::test]
    async fn messages_sent_before_a_write_error_are_read() {
        let (mut backend, reader) = duplex(64);
        backend.write_all(b"\x81\x02no\x88\x02\x0f\xa1").await.unwrap();
        let (closed, writer) = duplex(64);
        drop(closed);
        let codec = Codec::new(Stream::new(Bytes::new(), join(reader, writer)), LIMIT_BYTES);

        codec.queue(Message::text("too late"));
        codec.flush().await;

        assert!(
            matches!(codec.next().await, BackendEvent::Message(message) if message == Message::text("no"))
        );
        assert!(matches!(codec.next().await, BackendEvent::Close(close) if close == Close::new(4001, "")));
    }

    #[tokio::test]
    async fn a_connection_without_a_close_frame_has_vanished() {
        for cut in [&b""[..], b"\x81", b"\x81\x05hell", b"\x01\x02no"] {
            let (codec, mut backend) = connected(64);
            backend.write_all(cut).await.unwrap();
            drop(backend);
            assert!(matches!(codec.next().await, BackendEvent::Vanished), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn closes_with_a_reserved_code_are_sent_without_a_code() {
        for (close, frame) in [
            (Close::new(4000, "a"), &b"\x88\x83"[..]),
            (Close::new(1005, "unsent"), b"\x88\x80"),
            (Close::new(1006, ""), b"\x88\x80"),
            (Close::new(2999, ""), b"\x88\x80"),
            (Close::new(0, ""), b"\x88\x80"),
        ] {
            let (codec, mut backend) = connected(64);
            codec.close(&close);
            codec.flush().await;
            let mut head = [0; 2];
            backend.read_exact(&mut head).await.unwrap();
            assert_eq!(head, frame, "{close:?}");
        }
    }
}

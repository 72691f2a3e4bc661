//! A backend's WebSocket as messages, for two who use it at once: one reads, one writes, both in the same task.
//!
//! Pings are answered as they are read. What waits to be written is at most one message, [`ROOM_BYTES`] and
//! [`PONGS_BYTES`].

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

/// How much may wait to be written when one more message is taken: enough that small ones share a system call.
const ROOM_BYTES: usize = 16 * 1024;
/// How much of pongs may wait. A backend that pings on without reading them is not read any further.
const PONGS_BYTES: usize = 16 * 1024;
/// What a pong takes beside its payload: RFC 6455 §5.2, with a mask.
const PONG_OVERHEAD_BYTES: usize = 6;
/// Larger messages go in frames of this size: some servers limit frames, and a frame is copied to be masked.
const FRAME_BYTES: usize = 1024 * 1024;

/// What a backend says.
#[derive(Debug)]
pub(crate) enum Said {
    Message(Message),
    /// Its close frame; 1005 without a code.
    Close(Close),
    /// Nothing more, and no close frame.
    Vanished,
    /// What is no WebSocket. It is told so, when the rest is flushed.
    Broken(Error),
    /// More than is taken. It is told so.
    TooLarge,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Codec<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    stream: WebSocketStream<T>,
    /// Something may wait to be written.
    is_dirty: bool,
    /// Pongs since nothing waited.
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

    /// The next that the backend says; what comes after the first that is no message means nothing.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&self) -> Said {
        // A backend that says much would otherwise have this thread for itself.
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

    /// Waits until the backend has taken nearly everything.
    pub(crate) async fn room(&self) {
        consume_budget().await;
        poll_fn(|cx| self.state().poll_room(cx)).await;
    }

    /// Writes whatever waits, each time it is polled. Never returns. Poll it after those who queue: it does not wake up
    /// for what is queued later.
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

    /// Queues the last frame of this direction, unless that has been said.
    pub(crate) fn close(&self, close: &Close) {
        let code = CloseCode::try_from(close.code).ok().filter(|_| close.is_sendable());
        self.state().queue(tokio_websockets::Message::close(code, &close.reason));
    }

    /// After a close frame of one side: writes what is left, waits for that of the other, and then for the end of the
    /// connection, which is the server's to make (RFC 6455 §7.1.1).
    pub(crate) async fn finish(self) {
        self.flush().await;
        while let Said::Message(_) = self.next().await {}
        self.flush().await;
        let mut io = self.into_io();
        read_to_end(&mut io).await;
        let _ = io.shutdown().await;
    }

    /// Without a close frame: writes what is left, and leaves.
    pub(crate) async fn abandon(self) {
        self.flush().await;
        let mut io = self.into_io();
        let _ = io.shutdown().await;
        // A socket that is closed with unread bytes is reset, and what was written may be lost with it.
        read_to_end(&mut io).await;
    }

    async fn flush(&self) {
        poll_fn(|cx| self.state().poll_flush(cx)).await;
    }

    fn into_io(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).stream.into_inner()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Both who use it are in one task: nobody waits here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> State<T> {
    fn queue(&mut self, message: tokio_websockets::Message) {
        // It fails only where one side has said its close: nobody is left to hear more.
        let _ = Pin::new(&mut self.stream).start_send(message);
        self.is_dirty = true;
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be written is told by the reading side.
        Pin::new(&mut self.stream).poll_ready(cx).map(drop)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.is_dirty = false;
        self.pongs_bytes = 0;
        Poll::Ready(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            if self.pongs_bytes > PONGS_BYTES {
                ready!(self.poll_flush(cx));
            }
            let message = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(self.failed(error)),
                None => return Poll::Ready(Said::Vanished),
            };
            if message.is_ping() {
                self.is_dirty = true;
                self.pongs_bytes += message.as_payload().len() + PONG_OVERHEAD_BYTES;
            } else if let Some((code, reason)) = message.as_close() {
                self.is_dirty = true;
                return Poll::Ready(Said::Close(Close::new(code.into(), reason)));
            } else if !message.is_pong() {
                return Poll::Ready(self.said(message));
            }
        }
    }

    fn said(&mut self, message: tokio_websockets::Message) -> Said {
        let kind = if message.is_text() { MessageKind::Text } else { MessageKind::Binary };
        let message = Message { kind, data: message.into_payload().into() };
        // The library takes a text whose last fragment is empty without looking at how the one before ended.
        if message.is_valid() {
            return Said::Message(message);
        }
        self.queue(tokio_websockets::Message::close(
            Some(CloseCode::INVALID_FRAME_PAYLOAD_DATA),
            "invalid utf-8",
        ));
        Said::Broken(Error::Protocol(ProtocolError::InvalidUtf8))
    }

    fn failed(&mut self, error: Error) -> Said {
        self.is_dirty = true;
        match error {
            Error::Io(_) | Error::AlreadyClosed => Said::Vanished,
            Error::PayloadTooLong { .. } => {
                // Said already where one frame is too large, and not where many are.
                self.queue(tokio_websockets::Message::close(Some(CloseCode::MESSAGE_TOO_BIG), "too large"));
                Said::TooLarge
            }
            error => Said::Broken(error),
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

    /// The codec, and the backend's end of its connection, which holds so many bytes each way.
    fn connected(buffer_bytes: usize) -> (Codec<DuplexStream>, DuplexStream) {
        let (io, backend) = duplex(buffer_bytes);
        (Codec::new(io, LIMIT_BYTES), backend)
    }

    #[tokio::test]
    async fn there_is_room_until_nothing_is_taken() {
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
    async fn what_was_said_before_writing_failed_is_heard() {
        let (mut backend, reader) = duplex(64);
        backend.write_all(b"\x81\x02no\x88\x02\x0f\xa1").await.unwrap();
        let (closed, writer) = duplex(64);
        drop(closed);
        let codec = Codec::new(Stream::new(Bytes::new(), join(reader, writer)), LIMIT_BYTES);

        codec.queue(Message::text("too late"));
        codec.flush().await;

        assert!(matches!(codec.next().await, Said::Message(said) if said == Message::text("no")));
        assert!(matches!(codec.next().await, Said::Close(close) if close == Close::new(4001, "")));
    }

    #[tokio::test]
    async fn a_connection_that_just_ends_has_vanished() {
        for cut in [&b""[..], b"\x81", b"\x81\x05hell", b"\x01\x02no"] {
            let (codec, mut backend) = connected(64);
            backend.write_all(cut).await.unwrap();
            drop(backend);
            assert!(matches!(codec.next().await, Said::Vanished), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn closes_that_no_frame_may_say_are_said_without_a_code() {
        for (close, frame) in [
            (Close::new(4000, "a"), &b"\x88\x83"[..]),
            (Close::new(1005, "unsaid"), b"\x88\x80"),
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

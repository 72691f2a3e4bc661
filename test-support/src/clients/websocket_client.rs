//! The client's side of RFC 6455, written for the tests: it can violate every rule, and detects violations by the server.

mod frame;
mod upgrade;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, WriteHalf, join, split};
use tokio::net::TcpStream;

use crate::{soon, within};

pub use frame::{Frame, Opcode};
pub use upgrade::Upgrade;

/// More than any test reads; a longer response is a bug and must not exhaust memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// The read size, on the stack: an idle client holds no buffer.
const READ_BYTES: usize = 16 * 1024;

/// What a client receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A complete text message.
    Text(String),
    /// A complete binary message.
    Binary(Vec<u8>),
    /// A ping. It has been answered, except after `without_pongs`.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame: code (1005 if it has none) and reason. Not answered yet: use [`close`].
    ///
    /// [`close`]: WebSocketClient::close
    Close(u16, String),
    /// The server has closed the TCP connection, or the HTTP/2 stream, in an orderly way.
    End,
    /// It was reset.
    Reset,
}

/// One client WebSocket.
///
/// ```no_run
/// # use h8s_test_support::websocket_client::{Event, WebSocketClient};
/// # async fn example() {
/// let mut client = WebSocketClient::connect("http://127.0.0.1:8080/chat").await;
/// client.text("hello").await;
/// assert_eq!(client.next().await, Event::Text("hello".into()));
/// client.close(1000, "bye").await;
/// assert_eq!(client.rest().await, [Event::Close(1000, "bye".into()), Event::End]);
///
/// let refused = WebSocketClient::upgrade("http://127.0.0.1:8080/").origin("http://evil.example").send().await;
/// assert_eq!(refused.unwrap_err().head.status, 403);
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocketClient<S = TcpStream> {
    stream: S,
    headers: Vec<(String, String)>,
    /// Bytes that were read, but not decoded. Unallocated while empty.
    incoming: BytesMut,
    /// Bytes to write first: a cancelled write does not truncate a frame.
    outgoing: BytesMut,
    /// The message whose fragments are being received.
    message: Option<(Opcode, Vec<u8>)>,
    answers_pings: bool,
}

impl WebSocketClient {
    /// Opens a WebSocket at `http://127.0.0.1:8080/path?query`.
    ///
    /// # Panics
    ///
    /// When the connection is refused, or the response is not 101.
    pub async fn connect(url: &str) -> Self {
        Self::upgrade(url)
            .send()
            .await
            .unwrap_or_else(|refusal| panic!("{url} refuses: {:?} {}", refusal.head, refusal.text()))
    }

    /// A request to be completed before it is sent.
    ///
    /// # Panics
    ///
    /// When it is not a valid URL.
    pub fn upgrade(url: &str) -> Upgrade {
        Upgrade::to(url)
    }

    /// Closes with a reset and without a close frame, as a client whose process dies with unread data.
    ///
    /// # Panics
    ///
    /// When the system does not allow it.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket can be closed at once");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketClient<S> {
    /// A WebSocket over an upgraded stream, with the headers of the response.
    pub fn over(stream: S, headers: Vec<(String, String)>) -> Self {
        Self::with_bytes(stream, headers, BytesMut::new())
    }

    /// [`over`](Self::over), with the first bytes already received.
    fn with_bytes(stream: S, headers: Vec<(String, String)>, incoming: BytesMut) -> Self {
        let outgoing = BytesMut::new();
        Self { stream, headers, incoming, outgoing, message: None, answers_pings: true }
    }

    /// Leaves pings unanswered from now on.
    pub fn without_pongs(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// The first value of a header of the response, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// The subprotocol that the server chose.
    pub fn protocol(&self) -> Option<&str> {
        self.header("sec-websocket-protocol")
    }

    /// Sends a text message; returns whether the peer accepted it, as all sending methods do.
    ///
    /// # Panics
    ///
    /// When the peer accepts nothing within the deadline, as all sending methods do.
    pub async fn text(&mut self, text: &str) -> bool {
        self.frame(Frame::new(Opcode::Text, text)).await
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, data: impl AsRef<[u8]>) -> bool {
        self.frame(Frame::new(Opcode::Binary, data)).await
    }

    /// Sends one message, one frame per part.
    pub async fn fragments<P: AsRef<[u8]>>(&mut self, kind: Opcode, parts: &[P]) -> bool {
        let last = parts.len().saturating_sub(1);
        for (number, part) in parts.iter().enumerate() {
            let opcode = if number == 0 { kind } else { Opcode::Continuation };
            let frame = Frame::new(opcode, part);
            if !self.frame(if number == last { frame } else { frame.unfinished() }).await {
                return false;
            }
        }
        true
    }

    /// Sends a ping.
    pub async fn ping(&mut self, data: impl AsRef<[u8]>) -> bool {
        self.frame(Frame::new(Opcode::Ping, data)).await
    }

    /// Sends a pong.
    pub async fn pong(&mut self, data: impl AsRef<[u8]>) -> bool {
        self.frame(Frame::new(Opcode::Pong, data)).await
    }

    /// Sends a close frame, to begin or to answer the close handshake. Reading continues.
    pub async fn close(&mut self, code: u16, reason: &str) -> bool {
        self.frame(Frame::new(Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())).await
    }

    /// Sends one frame, valid or not.
    pub async fn frame(&mut self, frame: Frame) -> bool {
        self.raw(frame.encode()).await
    }

    /// Sends raw bytes.
    pub async fn raw(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.outgoing.extend_from_slice(bytes.as_ref());
        soon(poll_fn(|context| self.poll_send(context))).await.is_ok()
    }

    /// Half-closes the connection (TCP's FIN); reading continues.
    pub async fn finish(&mut self) {
        // The connection may have ended already.
        let _ = soon(self.stream.shutdown()).await;
    }

    /// The next event. Cancel safe.
    ///
    /// # Panics
    ///
    /// When nothing is received within the deadline, or it violates RFC 6455.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "iterators are not async")]
    pub fn next(&mut self) -> impl Future<Output = Event> {
        soon(self.event())
    }

    /// [`next`](Self::next) with another deadline.
    ///
    /// # Panics
    ///
    /// As [`next`](Self::next).
    #[track_caller]
    pub fn next_within(&mut self, limit: Duration) -> impl Future<Output = Event> {
        within(limit, self.event())
    }

    /// The next message, skipping pings and pongs; or the end of the connection.
    ///
    /// # Panics
    ///
    /// As [`next`](Self::next).
    #[track_caller]
    pub fn message(&mut self) -> impl Future<Output = Event> {
        soon(async {
            loop {
                match self.event().await {
                    Event::Ping(_) | Event::Pong(_) => {}
                    event => return event,
                }
            }
        })
    }

    /// All events up to and including the end of the connection, without pings and pongs.
    ///
    /// # Panics
    ///
    /// When it does not end within the deadline, or received data violates RFC 6455.
    #[track_caller]
    pub fn rest(&mut self) -> impl Future<Output = Vec<Event>> {
        soon(async {
            let mut events = Vec::new();
            loop {
                match self.event().await {
                    Event::Ping(_) | Event::Pong(_) => {}
                    end @ (Event::End | Event::Reset) => {
                        events.push(end);
                        return events;
                    }
                    event => events.push(event),
                }
            }
        })
    }

    /// Everything that the server sent before it answers a ping sent now.
    ///
    /// # Panics
    ///
    /// When the connection ends first; and as [`next`](Self::next).
    pub async fn until_pong(&mut self) -> Vec<Event> {
        let mark = rand::random::<[u8; 8]>().to_vec();
        self.ping(&mark).await;
        let mut events = Vec::new();
        loop {
            match self.next().await {
                Event::Pong(data) if data == mark => return events,
                end @ (Event::End | Event::Reset) => panic!("{end:?} instead of a pong, after {events:?}"),
                event => events.push(event),
            }
        }
    }

    /// The TCP connection or HTTP/2 stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// A client that only reads, and one that only sends: for a flood in one direction while the other is observed.
    /// Neither answers pings.
    pub fn split(self) -> (WebSocketClient<impl AsyncRead + AsyncWrite + Unpin>, Writer<S>) {
        let (reader, writer) = split(self.stream);
        let reader = WebSocketClient {
            stream: join(reader, tokio::io::sink()),
            headers: self.headers,
            incoming: self.incoming,
            outgoing: BytesMut::new(),
            message: self.message,
            answers_pings: false,
        };
        (reader, writer)
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.buffered() {
                // Sends a pong if possible, but never delays the event.
                poll_fn(|context| Poll::Ready(self.poll_send(context).is_ready())).await;
                return event;
            }
            match poll_fn(|context| self.poll_more(context)).await {
                Ok(0) => return Event::End,
                Ok(_) => {}
                Err(_) => return Event::Reset,
            }
        }
    }

    /// The next event that has been received already.
    fn buffered(&mut self) -> Option<Event> {
        while let Some(frame) = frame::decode(&mut self.incoming) {
            if let Some(event) = self.seen(frame) {
                return Some(event);
            }
        }
        if self.incoming.is_empty() {
            self.incoming = BytesMut::new();
        }
        None
    }

    /// The event of a frame: `None` while its message is incomplete.
    fn seen(&mut self, frame: Frame) -> Option<Event> {
        let Frame { fin, opcode, payload, .. } = frame;
        match opcode {
            Opcode::Ping => {
                if self.answers_pings {
                    self.outgoing.extend_from_slice(&Frame::new(Opcode::Pong, &payload).encode());
                }
                return Some(Event::Ping(payload));
            }
            Opcode::Pong => return Some(Event::Pong(payload)),
            Opcode::Close => return Some(close(&payload)),
            Opcode::Continuation => {
                let (_, message) =
                    self.message.as_mut().expect("a continuation follows an unfinished message");
                message.extend_from_slice(&payload);
                assert!(message.len() < MOST_BYTES, "more than {MOST_BYTES} bytes");
            }
            kind => {
                assert!(self.message.is_none(), "a message begins before the previous one has ended");
                self.message = Some((kind, payload));
            }
        }
        let (kind, message) = self.message.take_if(|_| fin)?;
        Some(match kind {
            Opcode::Text => Event::Text(String::from_utf8(message).expect("text is UTF-8")),
            _ => Event::Binary(message),
        })
    }

    /// Reads, and writes pending bytes meanwhile.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // A peer that does not accept a pong may still send.
        let _ = self.poll_send(context);
        assert!(self.incoming.len() < MOST_BYTES, "more than {MOST_BYTES} bytes");
        let mut space = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        self.incoming.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Writes pending bytes.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.has_remaining() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.outgoing)) {
                Ok(written @ 1..) => self.outgoing.advance(written),
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.outgoing = BytesMut::new();
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

/// The sending side of a client that was [split](WebSocketClient::split).
pub type Writer<S> = WriteHalf<S>;

fn close(payload: &[u8]) -> Event {
    let Some((code, reason)) = payload.split_first_chunk() else {
        assert!(payload.is_empty(), "a close frame has an incomplete code");
        return Event::Close(1005, String::new());
    };
    let reason = std::str::from_utf8(reason).expect("the reason of a close is UTF-8");
    Event::Close(u16::from_be_bytes(*code), reason.to_owned())
}

#[cfg(test)]
mod tests;

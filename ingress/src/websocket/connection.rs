//! One client's WebSocket from its 101 on: reads and hears, writes, pings, ends.
//!
//! A single task per connection. It reads from the client only while the responder has room, and takes the responder's
//! next message only while little waits for the client: each side's pace holds the other, and nobody else.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use h8s_nats::{UpstreamEvent, UpstreamSession};
use tokio::time::{Instant, sleep_until, timeout};

use super::WebSocketConfig;
use super::clock::{Clock, Due};
use super::codec::{Decoder, Event};
use super::ending::Ending;
use super::outbox::Outbox;
use super::socket::Stream;
use crate::metrics::Metrics;
use crate::shutdown::{Phase, ShutdownWatch};

/// A client that has said its last word closes within a round trip or two.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// A client's side of a WebSocket.
pub(crate) struct Connection {
    stream: Stream,
    outbox: Arc<Outbox>,
    /// Read, and not looked at yet: while the responder has no room.
    input: BytesMut,
    decoder: Decoder,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The close handshake has been had.
    is_orderly: bool,
}

/// What the socket's side of the loop has come to.
enum Step {
    /// There is input.
    Read,
    /// There is room for the responder's next message, or the timer has to be set anew.
    Moved,
    Ended(Ending),
}

impl Connection {
    /// `input`: what was read ahead of the first frame.
    pub(crate) fn new(
        stream: Stream,
        outbox: Arc<Outbox>,
        input: BytesMut,
        config: &WebSocketConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        let decoder = Decoder::new(config.max_message_bytes);
        let clock = Clock::new(config.ping_interval, config.write_timeout, Instant::now());
        Self { stream, outbox, input, decoder, clock, metrics, is_orderly: false }
    }

    /// Passes messages in both directions until something ends it. When the gateway drains, that is after a part of
    /// `drain_window` which differs from connection to connection, so that clients do not come back all at once (T22).
    pub(crate) async fn converse(
        &mut self,
        leg: &mut UpstreamSession,
        mut shutdown: ShutdownWatch,
        drain_window: Duration,
    ) -> Ending {
        let mut timer = pin!(sleep_until(self.clock.next()));
        let mut draining = pin!(shutdown.reached(Phase::Draining));
        let mut is_draining = false;
        loop {
            if let Some(ending) = self.receive(leg).await {
                return ending;
            }
            let reads = self.input.is_empty() && leg.has_room();
            let takes = self.outbox.is_low();
            // One that is too early finds nothing due and is set anew: cheaper than setting it with every message.
            if timer.is_elapsed() || timer.deadline() > self.clock.next() {
                timer.as_mut().reset(self.clock.next());
            }
            tokio::select! {
                step = poll_fn(|cx| self.poll_step(cx, reads, takes)) => match step {
                    Step::Read | Step::Moved => {}
                    Step::Ended(ending) => return ending,
                },
                event = heard(leg, takes) => match event {
                    UpstreamEvent::Message(message) => self.outbox.send(&message),
                    UpstreamEvent::Close(close) => return Ending::Responder(close),
                    UpstreamEvent::Room => {}
                },
                () = &mut timer => {
                    if let Some(ending) = self.look_at_clock(reads) {
                        return ending;
                    }
                }
                () = &mut draining, if !is_draining => {
                    is_draining = true;
                    self.clock.leave_at(Instant::now() + drain_window.mul_f64(rand::random()));
                }
            }
        }
    }

    /// Takes what was read apart, and passes it on as far as there is room.
    async fn receive(&mut self, leg: &mut UpstreamSession) -> Option<Ending> {
        while !self.input.is_empty() && leg.has_room() {
            // Pings and the smallest of fragments cost a client nothing, and there is no credit for them.
            tokio::task::consume_budget().await;
            match self.decoder.next(&mut self.input) {
                Ok(Some(Event::Part { kind, data, more })) => {
                    if !more {
                        self.metrics.websockets.received.inc();
                    }
                    // Boxed for as long as it takes: otherwise every quiet connection keeps 1.5 KiB of room for it.
                    Box::pin(leg.send(kind, data, more)).await;
                }
                Ok(Some(Event::Ping(payload))) => self.outbox.pong(&payload),
                Ok(Some(Event::Pong) | None) => {}
                Ok(Some(Event::Close(close))) => return Some(Ending::Client(close)),
                Err(violation) => return Some(Ending::Violation(violation)),
            }
        }
        if self.input.is_empty() {
            // Empty, it would still keep alive what was read.
            self.input = BytesMut::new();
        }
        None
    }

    /// Writes what waits; then reads, if `reads`.
    fn poll_step(&mut self, cx: &mut Context<'_>, reads: bool, was_low: bool) -> Poll<Step> {
        let Ok(waiting) = self.outbox.poll(cx, &mut self.stream) else {
            return Poll::Ready(Step::Ended(Ending::Vanished));
        };
        if let Some(ending) = waiting.ending {
            return Poll::Ready(Step::Ended(ending));
        }
        let is_news = if waiting.is_flushed {
            self.clock.flushed();
            false
        } else {
            self.clock.waits(waiting.written_bytes, Instant::now())
        };
        if is_news || (waiting.is_low && !was_low) {
            return Poll::Ready(Step::Moved);
        }
        if !reads {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(self.stream.poll_read(cx, &mut self.input)) {
            Ok(1..) => {
                self.clock.heard(Instant::now());
                Step::Read
            }
            Ok(0) | Err(_) => Step::Ended(Ending::Vanished),
        })
    }

    fn look_at_clock(&mut self, reads: bool) -> Option<Ending> {
        let now = Instant::now();
        let due = self.clock.due(now)?;
        if !reads && matches!(due, Due::Ping | Due::Silent) {
            // Nobody listens: silence says nothing about the client. What is between must see something pass, and a
            // client that is gone is found out by what it does not take.
            self.clock.heard(now);
            self.outbox.ping();
            return None;
        }
        match due {
            Due::Ping => {
                self.outbox.ping();
                None
            }
            Due::Silent => Some(Ending::Silent),
            Due::Stalled => Some(Ending::Stalled),
            Due::Leave => Some(Ending::Draining),
        }
    }

    /// Closes the socket: with a close handshake where there is a client to have it with, within `close_timeout`. What the
    /// client sends meanwhile is not passed on.
    pub(crate) async fn finish(&mut self, ending: &Ending, close_timeout: Duration) {
        /// As long as a client may take nothing at all while the connection is open.
        const TURNS: usize = 12;
        if !ending.is_said() {
            return;
        }
        self.outbox.finish(&ending.close(), ending.is_at_once());
        for _ in 0..TURNS {
            let before = self.outbox.written_bytes();
            let handshake = self.close_handshake(ending.awaits_answer());
            if let Ok(had) = timeout(close_timeout, handshake).await {
                self.is_orderly = had.is_ok();
                return;
            }
            // Whoever still takes what was sent before is to have the close as well.
            if self.outbox.is_flushed() || self.outbox.written_bytes() == before {
                break;
            }
        }
        // All is said, and only the answer is missing: a reset would take back what is on its way.
        self.is_orderly = self.outbox.is_flushed();
        if self.is_orderly {
            let ended = poll_fn(|cx| self.outbox.poll_shutdown(cx, &mut self.stream));
            let _ = timeout(close_timeout, ended).await;
        }
    }

    /// Both close frames, then the end of our side of the socket (RFC 6455 §7.1.1).
    async fn close_handshake(&mut self, mut awaits_answer: bool) -> io::Result<()> {
        poll_fn(|cx| self.poll_close_frames(cx, &mut awaits_answer)).await?;
        poll_fn(|cx| self.outbox.poll_shutdown(cx, &mut self.stream)).await
    }

    /// After an orderly end: reads what the client still sends, to its end. The system answers unread bytes with a reset,
    /// which can destroy the close frame on its way.
    pub(crate) async fn linger(mut self) {
        if self.is_orderly {
            let rest = async { while matches!(self.read().await, Ok(1..)) {} };
            // Who goes on longer does so against the rules, and may have its reset.
            let _ = timeout(LINGER_TIMEOUT, rest).await;
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.stream.poll_read(cx, &mut self.input)).await
    }

    fn poll_close_frames(&mut self, cx: &mut Context<'_>, awaits_answer: &mut bool) -> Poll<io::Result<()>> {
        let is_flushed = self.outbox.poll(cx, &mut self.stream)?.is_flushed;
        while *awaits_answer || !is_flushed {
            match self.decoder.next(&mut self.input) {
                Ok(Some(Event::Close(_))) | Err(_) => *awaits_answer = false,
                Ok(Some(_)) => {}
                Ok(None) => {
                    if ready!(self.stream.poll_read(cx, &mut self.input))? == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The leg's next, without messages while too much waits for the client.
async fn heard(leg: &mut UpstreamSession, takes: bool) -> UpstreamEvent {
    if takes { leg.next().await } else { leg.next_but_messages().await }
}

/// The socket ends with the connection, whoever still holds the outbox.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_orderly {
            self.stream.reset_on_drop();
        }
        self.outbox.end();
    }
}

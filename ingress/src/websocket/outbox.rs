//! The way out to one client, shared by the connection's own task and by whoever pushes to it.
//!
//! A push must cost no more than its write: while nothing waits on a cleartext HTTP/1.1 connection, whoever delivers writes
//! to the socket at once, under the outbox's lock, and wakes nobody. What the socket does not take is queued, bounded in
//! bytes, and written by the connection's task, as is everything over TLS and HTTP/2.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h8s_nats::{ClientSink, Push};
use h8s_wire::{Close, Message};
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::codec;
use super::ending::Ending;
use super::queue::{Queue, Source};
use super::socket::Stream;
use crate::metrics::Metrics;

/// The responder's next message is taken on while less than this waits: enough to keep a socket busy, and little beside
/// what the socket itself buffers.
const LOW_WATER_BYTES: usize = 64 << 10;

/// One client's outgoing side.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    limit_bytes: usize,
    /// A full queue loses its oldest pushes, instead of the connection.
    drops_oldest: bool,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// `None`: only the connection's task can write.
    direct: Option<OwnedWriteHalf>,
    stage: Stage,
    /// The connection is to end so; its task has not seen it yet.
    ending: Option<Ending>,
    /// The connection's task.
    waker: Option<Waker>,
}

/// What is left after writing.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Nothing.
    pub(super) is_flushed: bool,
    /// What the socket has taken by now, ever.
    pub(super) written_bytes: u64,
    /// There is room for the responder's next message.
    pub(super) is_low: bool,
    /// Somebody else wants the connection to end so. Said once.
    pub(super) ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The close frame is queued: nothing comes after it.
    Closing,
    /// The socket is gone.
    Over,
}

impl Outbox {
    /// `direct`: the socket itself, where whoever delivers may write to it.
    pub(crate) fn new(
        direct: Option<OwnedWriteHalf>,
        limit_bytes: usize,
        drops_oldest: bool,
        metrics: Arc<Metrics>,
    ) -> Self {
        let state = State { queue: Queue::default(), direct, stage: Stage::Open, ending: None, waker: None };
        Self { state: Mutex::new(state), limit_bytes, drops_oldest, metrics }
    }

    /// Is there room for the responder's next message?
    pub(crate) fn is_low(&self) -> bool {
        self.lock().queue.owner_bytes() < LOW_WATER_BYTES
    }

    /// What the socket has taken by now, ever.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.lock().queue.written_bytes()
    }

    /// Nothing waits.
    pub(crate) fn is_flushed(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Sends the responder's message. For the connection's task, which then writes.
    pub(crate) fn send(&self, message: &Message) {
        self.metrics.websockets.sent.inc();
        self.lock().offer(Source::Owner, codec::message(message));
    }

    /// Asks whether the client is there. For the connection's task.
    pub(crate) fn ping(&self) {
        self.lock().offer(Source::Owner, codec::ping());
    }

    /// Answers a ping. For the connection's task.
    pub(crate) fn pong(&self, payload: &[u8]) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.queue.push_pong(payload);
        }
    }

    /// Queues the close frame as the last one. `at_once`: what waits before it is dropped.
    pub(crate) fn finish(&self, close: &Close, at_once: bool) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            if at_once {
                state.queue.clear();
            }
            state.queue.push(Source::Owner, codec::close(close));
            state.stage = Stage::Closing;
        }
    }

    /// Writes what waits, and has the task woken when there is something new that it has to write, or to end for.
    ///
    /// # Errors
    /// The socket failed, here or under somebody who delivered.
    pub(super) fn poll(&self, cx: &mut Context<'_>, stream: &mut Stream) -> io::Result<Waiting> {
        let mut state = self.lock();
        let State { queue, direct, stage, ending, waker } = &mut *state;
        if *stage == Stage::Over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        let written = match direct {
            Some(socket) => queue.poll_write(|slices| poll_direct(socket, cx, slices)),
            None => match queue.poll_write(|slices| stream.poll_write(cx, slices)) {
                Poll::Ready(Ok(())) => stream.poll_flush(cx),
                other => other,
            },
        };
        Ok(Waiting {
            is_flushed: match written {
                Poll::Ready(written) => written.map(|()| true)?,
                Poll::Pending => false,
            },
            written_bytes: queue.written_bytes(),
            is_low: queue.owner_bytes() < LOW_WATER_BYTES,
            ending: ending.take(),
        })
    }

    /// Ends our side of the socket.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        match &mut self.lock().direct {
            Some(socket) => Pin::new(socket).poll_shutdown(cx),
            None => stream.poll_shutdown(cx),
        }
    }

    /// Lets go of the socket, whoever still holds the outbox.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.stage = Stage::Over;
        state.queue = Queue::default();
        state.waker = None;
        if let Some(socket) = state.direct.take() {
            // Dropped whole, and not half: how the socket ends is decided elsewhere.
            socket.forget();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a push, or says how the connection ends.
    fn make_room(&self, state: &mut State, frame: &Bytes) -> Result<(), Ending> {
        while !state.queue.has_room(frame, self.limit_bytes) {
            if !self.drops_oldest {
                self.metrics.websockets.slow_closed.inc();
                return Err(Ending::Slow);
            }
            if !state.queue.drop_oldest_push() {
                break;
            }
            self.metrics.websockets.slow_dropped.inc();
        }
        Ok(())
    }
}

impl State {
    /// Writes the frame if that can be done here and now, or queues it. Says whether the task has to go on with it.
    fn offer(&mut self, source: Source, frame: Bytes) -> bool {
        if self.stage != Stage::Open {
            return false;
        }
        let was_empty = self.queue.is_empty();
        let Some(socket) = self.direct.as_ref().filter(|_| was_empty) else {
            self.queue.push(source, frame);
            // If something waited already, the task waits for the socket.
            return was_empty;
        };
        match socket.try_write(&frame) {
            Ok(written) if written == frame.len() => return false,
            Ok(written) => self.queue.push_rest(source, frame.slice(written..)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.queue.push(source, frame),
            // The task finds out by itself.
            Err(_) => self.stage = Stage::Over,
        }
        true
    }

    /// The first who wants the end decides how.
    fn ends(&mut self, ending: Ending) {
        if self.stage == Stage::Open && self.ending.is_none() {
            self.ending = Some(ending);
        }
    }
}

impl ClientSink for Outbox {
    fn deliver(&self, delivery: &Push) {
        let frame = delivery.framed(codec::message);
        let mut state = self.lock();
        if state.stage != Stage::Open || state.ending.is_some() {
            return;
        }
        self.metrics.websockets.pushes.inc();
        let is_tasks = match self.make_room(&mut state, &frame) {
            Ok(()) => state.offer(Source::Push, frame),
            Err(ending) => {
                state.ends(ending);
                true
            }
        };
        let waker = if is_tasks { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self, close: Close) {
        let mut state = self.lock();
        state.ends(Ending::Pushed(close));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Writes, or waits until the socket takes more.
fn poll_direct(
    socket: &OwnedWriteHalf,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        match socket.try_write_vectored(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(socket.as_ref().poll_write_ready(cx))?;
            }
            written => return Poll::Ready(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connected() -> (TcpStream, OwnedWriteHalf) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, write) = listener.accept().await.unwrap().0.into_split();
        // As after the 101: it was written to.
        write.writable().await.unwrap();
        (client, write)
    }

    fn outbox(direct: Option<OwnedWriteHalf>, limit_bytes: usize, drops_oldest: bool) -> Outbox {
        Outbox::new(direct, limit_bytes, drops_oldest, Arc::new(Metrics::new()))
    }

    fn delivery(bytes: usize) -> Push {
        Push::new(Message::binary(vec![0; bytes]))
    }

    #[tokio::test]
    async fn a_push_is_written_by_whoever_delivers_it() {
        let (mut client, write) = connected().await;
        let outbox = outbox(Some(write), 1000, false);

        outbox.deliver(&Push::new(Message::text("now")));

        // Nobody polls the outbox.
        let mut frame = [0; 5];
        client.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x03now");
        assert!(outbox.lock().queue.is_empty());
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_waits_within_the_limit() {
        let (_client, write) = connected().await;
        let outbox = outbox(Some(write), 200_000, false);
        let big = delivery(100_000);

        while outbox.metrics.websockets.slow_closed.get() == 0 {
            outbox.deliver(&big);
        }

        let state = outbox.lock();
        assert_eq!(state.ending, Some(Ending::Slow));
        assert!(state.queue.bytes() <= 200_000 + 100_010, "{}", state.queue.bytes());
    }

    #[test]
    fn or_the_oldest_make_room() {
        let outbox = outbox(None, 1000, true);

        for _ in 0..100 {
            outbox.deliver(&delivery(100));
        }

        let metrics = &outbox.metrics.websockets;
        assert_eq!((metrics.pushes.get(), metrics.slow_closed.get()), (100, 0));
        assert_eq!(metrics.slow_dropped.get(), 100 - 6);
        assert!(outbox.lock().queue.bytes() <= 1000 && outbox.lock().ending.is_none());
    }

    #[test]
    fn nothing_comes_after_the_close_frame() {
        let outbox = outbox(None, 1000, false);
        outbox.finish(&Close::new(1000, ""), false);
        let closed_bytes = outbox.lock().queue.bytes();

        outbox.deliver(&delivery(10));
        outbox.send(&Message::text("late"));
        outbox.pong(b"late");

        assert_eq!(outbox.lock().queue.bytes(), closed_bytes);
    }
}

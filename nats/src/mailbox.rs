//! One exchange's incoming side: what the inbox subscription delivers, until the reader and the writer take it.
//!
//! Delivery never blocks and never allocates beyond what credit allows, so that one slow exchange delays no other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_nats::Subject;
use bytes::Bytes;
use h8s_wire::{AbortCode, Frame, FrameError, Kind, Peek, RefusedCode, Replies, SyncEntry, frame_cost};

use crate::error::BoxError;
use crate::window;

/// Why an exchange is over before it is complete.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody subscribes to where the last frame went: before the first answer nobody serves, later the peer died.
    NoResponders,
    Refused(RefusedCode),
    /// The peer says so.
    Aborted(AbortCode, String),
    /// The peer's client has gone.
    Cancelled,
    /// Frames were lost, repeated or reordered.
    Lost,
    /// The peer sent more than it was allowed.
    OverLimit,
    Malformed(FrameError),
    /// Nothing heard for three beats.
    Silent,
    /// NATS was away before anybody answered; it may or may not have been executed.
    Disturbed,
    /// Our own side gave up.
    Closed,
    /// The body that we send failed at its source.
    Body(std::sync::Arc<BoxError>),
}

impl Failure {
    /// What the peer should hear of a failure that was found here.
    fn abort_code(&self) -> Option<AbortCode> {
        match self {
            Self::Lost => Some(AbortCode::Lost),
            Self::OverLimit => Some(AbortCode::OverLimit),
            Self::Malformed(FrameError::UnknownKind(_) | FrameError::UnknownVersion(_)) => {
                Some(AbortCode::Unsupported)
            }
            Self::Malformed(_) => Some(AbortCode::Malformed),
            _ => None,
        }
    }
}

/// Why the writer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The reader of our direction has gone; the other direction may go on.
    Unread,
    /// The exchange is over; the reader of the other direction finds out why.
    Failed,
}

/// What an exchange starts with.
pub(crate) struct Terms {
    /// What the peer may send, as a sum of frame costs.
    pub(crate) granted: u64,
    /// What we may send.
    pub(crate) limit: u64,
    /// A responder knows its peer from the start; a gateway pins whoever answers first.
    pub(crate) peer: Option<Subject>,
}

/// Who has something to do after a delivery. A writer is not woken for every piece that the reader gets.
enum Wake {
    Reader,
    Both,
}

#[derive(Default)]
struct State {
    /// Sequenced frames not yet taken, in order.
    queue: VecDeque<Bytes>,
    /// Sequenced frames accepted so far: the number that the next one has.
    received: u64,
    /// Sequenced frames that the reader has taken.
    handled: u64,
    /// What accepted frames cost, against what we granted.
    cost: u64,
    granted: u64,
    /// What the peer granted us.
    limit: u64,
    /// Where the peer's frames come from; pinned by the first.
    peer: Option<Subject>,
    /// `END` was accepted.
    ended: bool,
    unread: bool,
    failure: Option<Failure>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// See the module.
pub(crate) struct Mailbox {
    /// Where this exchange's frames come in.
    pub(crate) own: Subject,
    /// Who may send them.
    replies: Replies,
    state: Mutex<State>,
    /// Sequenced frames sent so far, for `SYNC`.
    sent: AtomicU64,
    /// The beat at which the peer was last heard.
    heard: AtomicU64,
}

impl Mailbox {
    pub(crate) fn new(own: Subject, replies: Replies, terms: Terms, beat: u64) -> Self {
        let Terms { granted, limit, peer } = terms;
        // A known peer is one whose HEAD has been taken already.
        let received = u64::from(peer.is_some());
        let mut state = State::default();
        (state.granted, state.limit, state.peer) = (granted, limit, peer);
        (state.received, state.handled) = (received, received);
        Self { own, replies, state: Mutex::new(state), sent: AtomicU64::new(0), heard: AtomicU64::new(beat) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one message. Says what the peer should be told when it is not acceptable.
    pub(crate) fn deliver(&self, reply: Option<&Subject>, message: Bytes, beat: u64) -> Option<AbortCode> {
        self.heard.store(beat, Ordering::Relaxed);
        let mut state = self.lock();
        if !state.is_from_peer(reply, self) || state.failure.is_some() {
            return None;
        }
        let result = match Peek::of(&message) {
            Ok(Peek { kind, sequence: Some(sequence) }) => state.accept(kind, sequence, message),
            Ok(_) => {
                Frame::decode(message).map_err(Failure::Malformed).and_then(|frame| state.control(frame))
            }
            Err(error) => Err(Failure::Malformed(error)),
        };
        match result {
            Ok(Wake::Reader) => {
                state.wake_reader();
                None
            }
            Ok(Wake::Both) => {
                state.wake();
                None
            }
            Err(failure) => {
                let code = failure.abort_code();
                state.fail(failure);
                state.wake();
                code
            }
        }
    }

    /// The server says that nobody subscribes to where our last frame went.
    pub(crate) fn no_responders(&self) {
        self.fail(Failure::NoResponders);
    }

    /// Ends both directions. What was accepted before is still read.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.fail(failure);
        state.wake();
    }

    /// What a `SYNC` says of this exchange.
    pub(crate) fn sync(&self, entry: &SyncEntry, beat: u64) -> Option<AbortCode> {
        self.heard.store(beat, Ordering::Relaxed);
        let mut state = self.lock();
        state.limit = state.limit.max(entry.limit);
        let lost = entry.sent > state.received && !state.ended && state.failure.is_none();
        if lost {
            state.fail(Failure::Lost);
        }
        state.wake();
        lost.then_some(AbortCode::Lost)
    }

    /// How far this exchange has come, and whether the peer has been silent too long.
    pub(crate) fn beat(
        &self,
        exchange: h8s_wire::ExchangeId,
        beat: u64,
        silent_beats: u64,
    ) -> Option<SyncEntry> {
        let heard = self.heard.load(Ordering::Relaxed);
        if beat.saturating_sub(heard) > silent_beats {
            self.fail(Failure::Silent);
            return None;
        }
        let state = self.lock();
        let sent = self.sent.load(Ordering::Acquire);
        Some(SyncEntry { exchange, sent, received: state.received, limit: state.granted })
    }

    /// Waits for the first sign of the peer: a frame, or a failure.
    pub(crate) fn poll_opened(&self, cx: &Context<'_>) -> Poll<Result<(), Failure>> {
        let mut state = self.lock();
        if state.peer.is_some() && !state.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match (&state.failure, &state.peer) {
            (Some(failure), _) => Poll::Ready(Err(failure.clone())),
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next sequenced frame.
    pub(crate) fn poll_frame(&self, cx: &Context<'_>) -> Poll<Result<Bytes, Failure>> {
        let mut state = self.lock();
        if let Some(frame) = state.queue.pop_front() {
            state.handled += 1;
            window::note_read(frame.len());
            return Poll::Ready(Ok(frame));
        }
        if let Some(failure) = &state.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The peer lets us send up to `limit`, says its head.
    pub(crate) fn allow(&self, limit: u64) {
        let mut state = self.lock();
        state.limit = state.limit.max(limit);
        state.wake();
    }

    /// Raises what the peer may send to `limit`. The numbers for a `CREDIT` frame.
    pub(crate) fn grant(&self, limit: u64) -> (u64, u64) {
        let mut state = self.lock();
        state.granted = state.granted.max(limit);
        (state.granted, state.handled)
    }

    /// Waits until more than `spent` may be sent. The limit, or why sending is over.
    pub(crate) fn poll_credit(&self, cx: &Context<'_>, spent: u64) -> Poll<Result<u64, Stop>> {
        let mut state = self.lock();
        if let Some(stop) = state.stop() {
            return Poll::Ready(Err(stop));
        }
        if state.limit > spent {
            return Poll::Ready(Ok(state.limit));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until sending is over.
    pub(crate) fn poll_stop(&self, cx: &Context<'_>) -> Poll<Stop> {
        let mut state = self.lock();
        match state.stop() {
            Some(stop) => Poll::Ready(stop),
            None => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// One more sequenced frame has been handed to NATS.
    pub(crate) fn note_sent(&self) {
        self.sent.fetch_add(1, Ordering::Release);
    }

    /// Where the peer's frames come from, once it is known.
    pub(crate) fn peer(&self) -> Option<Subject> {
        self.lock().peer.clone()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }
}

/// Both ends of an exchange are named by its id.
fn is_same_exchange(one: &str, other: &str) -> bool {
    one.rsplit_once('.').map(|(_, id)| id) == other.rsplit_once('.').map(|(_, id)| id)
}

impl Drop for State {
    fn drop(&mut self) {
        window::note_read(self.queue.iter().map(Bytes::len).sum());
    }
}

impl State {
    /// The first frame pins the peer; frames from elsewhere are nobody's.
    fn is_from_peer(&mut self, reply: Option<&Subject>, mailbox: &Mailbox) -> bool {
        match (&self.peer, reply) {
            (Some(peer), Some(reply)) => peer == reply,
            (None, Some(reply)) if mailbox.replies.cover(reply) && is_same_exchange(reply, &mailbox.own) => {
                self.peer = Some(reply.clone());
                true
            }
            (None, _) | (_, None) => false,
        }
    }

    fn accept(&mut self, kind: Kind, sequence: u64, message: Bytes) -> Result<Wake, Failure> {
        if self.ended {
            return Ok(Wake::Reader);
        }
        if sequence != self.received {
            return Err(Failure::Lost);
        }
        if kind != Kind::Head {
            self.cost += frame_cost(message.len());
            if self.cost > self.granted {
                return Err(Failure::OverLimit);
            }
        }
        self.received += 1;
        self.ended = matches!(kind, Kind::End | Kind::Close);
        window::note_waiting(message.len());
        self.queue.push_back(message);
        Ok(Wake::Reader)
    }

    fn control(&mut self, frame: Frame) -> Result<Wake, Failure> {
        match frame {
            Frame::Credit { limit, .. } => self.limit = self.limit.max(limit),
            Frame::Cancel => self.unread = true,
            Frame::Abort { code, reason } => return Err(Failure::Aborted(code, reason)),
            Frame::Refused(code) => return Err(Failure::Refused(code)),
            // The rest is sequenced, or goes to an inbox's own subject.
            _ => {}
        }
        Ok(Wake::Both)
    }

    fn stop(&self) -> Option<Stop> {
        match &self.failure {
            Some(_) => Some(Stop::Failed),
            None => self.unread.then_some(Stop::Unread),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake(&mut self) {
        self.wake_reader();
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

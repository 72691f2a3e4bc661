//! One exchange's incoming side: what the inbox subscription delivers, until the reader and the writer take it.
//!
//! Push never blocks and never allocates beyond what credit allows, so that one slow exchange delays no other.

// With its path, so that a model can include this file from elsewhere.
#[path = "mailbox/state.rs"]
mod state;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use async_nats::Subject;
use bytes::Bytes;
use h8s_wire::{AbortCode, Frame, Kind, Peek, Replies, SyncEntry};

use self::state::{State, Wake};
use crate::exchange::endpoint::Side;
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::flow_control;
use crate::exchange::response_timeout::Progress;
use crate::exchange::retransmit_buffer::RetransmitBuffer;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// What an exchange starts with.
pub(crate) struct Terms {
    /// What the peer may send, as a sum of frame costs.
    pub(crate) granted: u64,
    /// What we may send.
    pub(crate) limit: u64,
    /// A responder knows its peer from the start; a gateway pins whoever answers first.
    pub(crate) peer: Option<Subject>,
    /// Whether the bodies are messages: then what is lost on the way is sent again.
    pub(crate) carries: Carries,
    /// Who wants to know when our body moves on.
    pub(crate) progress: Option<Arc<Progress>>,
}

/// What the bodies of an exchange are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    Bytes,
    Messages,
}

/// What the peer is told about a message of its that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The exchange is over.
    Abort(AbortCode),
    /// Frames of messages were lost on the way, from this one on.
    Resend(u64),
    /// It asks for frames again, and gets them.
    Again,
    /// It said nothing new: it wants to know how far we are.
    Credit,
}

/// See the module.
pub(crate) struct Mailbox {
    /// Where this exchange's frames come in.
    pub(crate) own: Subject,
    /// Who may send them.
    replies: Replies,
    state: Mutex<State>,
    /// Which end this is.
    side: Side,
    /// Sequenced frames sent so far, for `SYNC`.
    sent: AtomicU64,
    /// The beat at which the peer was last heard.
    heard: AtomicU64,
    /// Told when our body moves on, where somebody wants to know.
    progress: Option<Arc<Progress>>,
}

impl Mailbox {
    pub(crate) fn new(own: Subject, replies: Replies, side: Side, terms: Terms, beat: u64) -> Self {
        let Terms { granted, limit, peer, carries, progress } = terms;
        // A known peer is one whose HEAD has been taken already.
        let received = u64::from(peer.is_some());
        let mut state = State::default();
        (state.granted, state.limit, state.peer) = (granted, limit, peer);
        (state.received, state.handled) = (received, received);
        // A gateway's HEAD is repeated by opening again, not by sending again.
        let first_kept = u64::from(side == Side::Gateway);
        state.retained = (carries == Carries::Messages).then(|| RetransmitBuffer::starting_at(first_kept));
        let (sent, heard) = (AtomicU64::new(0), AtomicU64::new(beat));
        Self { own, replies, state: Mutex::new(state), side, sent, heard, progress }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one message. Says what the peer should be told about it, if anything.
    pub(crate) fn deliver(&self, reply: Option<Subject>, message: Bytes, beat: u64) -> Option<Answer> {
        let mut state = self.lock();
        if !state.is_from_peer(reply, self) {
            return None;
        }
        self.heard.store(beat, Ordering::Relaxed);
        if state.failure.is_some() {
            return state.is_over(&message);
        }
        state.resume();
        let handled = state.peer_handled;
        let result = match Peek::of(&message) {
            Ok(Peek { sequence: Some(sequence), .. }) if state.is_out_of_order(sequence) => {
                return state.ask_for_lost(sequence).map(Answer::Resend);
            }
            Ok(Peek { kind, sequence: Some(sequence) }) => state.accept(kind, sequence, message),
            Ok(Peek { kind: Kind::Resend, .. }) => return state.again(message),
            Ok(Peek { kind: Kind::Credit, .. })
                if self.side == Side::Responder && state.is_probe(&message) =>
            {
                return Some(Answer::Credit);
            }
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
                // More than was sent is made up, and gains no time.
                if state.peer_handled > handled && state.peer_handled <= self.sent.load(Ordering::Acquire) {
                    self.note_moved();
                }
                state.wake();
                None
            }
            Err(failure) => {
                let code = failure.abort_code();
                state.fail(failure);
                state.wake();
                code.map(Answer::Abort)
            }
        }
    }

    /// The server says that nobody subscribes to where our last frame went.
    ///
    /// Where messages are carried, a gateway is waited for: its clients are there as long as it beats. `is_settled`: we
    /// have not just come back ourselves, maybe before the peer.
    pub(crate) fn no_responders(&self, is_settled: bool) {
        let mut state = self.lock();
        let carries_messages = state.retained.is_some();
        if carries_messages && state.peer.is_some() && (self.side == Side::Responder || !is_settled) {
            return;
        }
        state.fail(Failure::NoResponders);
        state.wake();
    }

    /// Ends both directions. What was accepted before is still read.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.fail(failure);
        state.wake();
    }

    /// What a `SYNC` says of this exchange.
    pub(crate) fn sync(&self, entry: &SyncEntry, beat: u64) -> Option<Answer> {
        self.heard.store(beat, Ordering::Relaxed);
        let mut state = self.lock();
        state.limit = state.limit.max(entry.limit);
        state.resume();
        // A gateway that is lost takes its connections with it: what it has, it need not get again.
        if let (Side::Responder, Some(retained)) = (self.side, &mut state.retained) {
            retained.release(entry.received);
        }
        if state.failure.is_some() && state.retained.is_some() {
            return Some(Answer::Abort(AbortCode::Unknown));
        }
        let is_lost = entry.sent > state.received && !state.ended && state.failure.is_none();
        let answer = match (is_lost, &state.retained) {
            (false, _) => None,
            (true, None) => {
                state.fail(Failure::Lost);
                Some(Answer::Abort(AbortCode::Lost))
            }
            (true, Some(_)) => {
                state.is_asked = true;
                Some(Answer::Resend(state.received))
            }
        };
        state.wake();
        answer
    }

    /// NATS is away. An owner waits with what it has until it has heard that it is still the owner.
    pub(crate) fn suspend(&self) {
        let mut state = self.lock();
        state.is_suspended = self.side == Side::Responder && state.retained.is_some();
    }

    /// Keeps a frame of a message, in case it is lost. Whether it is to be published now.
    pub(crate) fn retain(&self, frame: Bytes) -> bool {
        let mut state = self.lock();
        let publish = state.retained.as_mut().is_some_and(|retained| retained.push(frame));
        self.note_sent();
        publish && state.failure.is_none()
    }

    /// Frames from this one on have not reached NATS, or not the peer. Whether somebody must see to it.
    pub(crate) fn retransmit(&self, from: u64) -> bool {
        self.lock().retained.as_mut().is_some_and(|retained| retained.retransmit(from))
    }

    /// The next frame to be sent again, and to whom.
    pub(crate) fn next_retransmit(&self) -> Option<(Subject, Bytes)> {
        let mut state = self.lock();
        let peer = state.peer.clone()?;
        state.retained.as_mut()?.next_retransmit().map(|frame| (peer, frame))
    }

    /// Whether something is still to be sent again.
    pub(crate) fn has_retransmit(&self) -> bool {
        self.lock().retained.as_ref().is_some_and(RetransmitBuffer::has_retransmit)
    }

    /// How many frames the peer has not named as handled.
    pub(crate) fn unacknowledged_frames(&self) -> u64 {
        self.lock().retained.as_ref().map_or(0, RetransmitBuffer::len)
    }

    /// Whether a frame may be sent that brings our costs to `cost`: within credit, and while not more than `most_bytes`
    /// are kept for the case that they are lost.
    pub(crate) fn has_room(&self, cost: u64, most_bytes: usize) -> bool {
        self.lock().has_room(cost, most_bytes)
    }

    /// Waits for that, or until sending is over.
    pub(crate) fn poll_room(&self, cx: &Context<'_>, cost: u64, most_bytes: usize) -> Poll<Result<(), Stop>> {
        self.poll_sending(cx, |state| state.has_room(cost, most_bytes).then_some(()))
    }

    /// Waits until there is what the writer looks for, or sending is over.
    fn poll_sending<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&State) -> Option<T>,
    ) -> Poll<Result<T, Stop>> {
        let mut state = self.lock();
        if let Some(stop) = state.stop() {
            return Poll::Ready(Err(stop));
        }
        if let Some(found) = look(&state) {
            return Poll::Ready(Ok(found));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Every frame that the peer has not named as handled; nothing is kept any more.
    pub(crate) fn take_retained(&self) -> VecDeque<Bytes> {
        self.lock().retained.take().map(|mut retained| retained.take()).unwrap_or_default()
    }

    /// Whether the peer owes us word about something, and nothing has moved since the last look.
    pub(crate) fn is_stuck(&self) -> bool {
        let mut state = self.lock();
        state.failure.is_none() && state.retained.as_mut().is_some_and(RetransmitBuffer::is_stuck)
    }

    /// Whether everything that we sent has been handled.
    pub(crate) fn poll_all_handled(&self, cx: &Context<'_>) -> Poll<Result<(), Stop>> {
        self.poll_sending(cx, |state| {
            let next = state.retained.as_ref().map_or(0, RetransmitBuffer::next);
            (state.peer_handled >= next).then_some(())
        })
    }

    /// The exchange turned out to carry bytes: a WebSocket was refused.
    pub(crate) fn carries_bytes(&self) {
        self.lock().retained = None;
    }

    /// Frames up to this many are done with. The numbers for a `CREDIT` frame.
    pub(crate) fn note_handled(&self, handled: u64) -> (u64, u64) {
        let mut state = self.lock();
        state.handled = state.handled.max(handled);
        state.credit()
    }

    /// What a `CREDIT` frame says now: the limit, and how much has been handled.
    pub(crate) fn credit(&self) -> (u64, u64) {
        self.lock().credit()
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
        // What is over here is not kept alive there.
        if state.failure.is_some() {
            return None;
        }
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

    /// Waits until the peer has use for our body, or has answered without: `true`. `false`: it is over, and nothing has
    /// been said.
    pub(crate) fn poll_use_for_body(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        // CANCEL alone decides nothing: who refuses lets go of the body first.
        if state.limit > 0 || !state.queue.is_empty() {
            return Poll::Ready(true);
        }
        if state.failure.is_some() {
            return Poll::Ready(false);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until nothing more is to be had from here: it has failed, and what came before has been taken.
    pub(crate) fn poll_failed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.failure.is_some() && state.queue.is_empty() {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next sequenced frame.
    pub(crate) fn poll_frame(&self, cx: &Context<'_>) -> Poll<Result<Bytes, Failure>> {
        let mut state = self.lock();
        // Whoever has lost a connection to another owner does not go on with what it has of it.
        if let (Side::Responder, Some(failure)) = (self.side, &state.failure)
            && state.retained.is_some()
            && !state.ended
        {
            return Poll::Ready(Err(failure.clone()));
        }
        if state.is_suspended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(frame) = state.queue.pop_front() {
            // At a responder messages are handled when their reader says so. A gateway has nothing to do with a frame
            // but to have it: the rest of a long message must not wait until all of it is there.
            if state.retained.is_none() || self.side == Side::Gateway {
                state.handled += 1;
            }
            flow_control::note_read(frame.len());
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
        state.credit()
    }

    /// Waits until more than `spent` may be sent. The limit, or why sending is over.
    pub(crate) fn poll_credit(&self, cx: &Context<'_>, spent: u64) -> Poll<Result<u64, Stop>> {
        self.poll_sending(cx, |state| (state.limit > spent).then_some(state.limit))
    }

    /// Waits until sending is over.
    pub(crate) fn poll_stop(&self, cx: &Context<'_>) -> Poll<Stop> {
        let mut state = self.lock();
        match state.stop() {
            Some(stop) => Poll::Ready(stop),
            None => {
                state.stop_watcher = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// One more sequenced frame has been handed to NATS.
    pub(crate) fn note_sent(&self) {
        self.sent.fetch_add(1, Ordering::Release);
    }

    /// Some of our body has left, or has been taken by its reader.
    pub(crate) fn note_moved(&self) {
        if let Some(progress) = &self.progress {
            progress.moved();
        }
    }

    /// Where the peer's frames come from, once it is known.
    pub(crate) fn peer(&self) -> Option<Subject> {
        self.lock().peer.clone()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use h8s_wire::{ExchangeId, GatewayId, Subjects};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Waker, Arc<Woken>) {
        let woken = Arc::<Woken>::default();
        (woken.clone().into(), woken)
    }

    #[test]
    fn a_sender_and_a_watcher_in_two_tasks_are_both_woken() {
        let subjects = Subjects::default();
        let inbox = subjects.gateway_inbox(GatewayId::from_bytes([1; 16]));
        let id = ExchangeId::from_bytes([2; 16]);
        let peer = crate::exchange::endpoint::subject(inbox.exchange(id));
        let terms = Terms {
            granted: 0,
            limit: 0,
            peer: Some(peer.clone()),
            carries: Carries::Messages,
            progress: None,
        };
        let mailbox = Mailbox::new(peer, subjects.gateway_replies(), Side::Responder, terms, 0);
        let ((sender, sender_woken), (watcher, watcher_woken)) = (waker(), waker());
        let count = |woken: &Woken| woken.0.load(Ordering::Relaxed);

        assert!(mailbox.poll_credit(&Context::from_waker(&sender), 0).is_pending());
        assert!(mailbox.poll_stop(&Context::from_waker(&watcher)).is_pending());
        mailbox.allow(1);
        assert_eq!((count(&sender_woken), count(&watcher_woken)), (1, 0));

        assert!(mailbox.poll_credit(&Context::from_waker(&sender), 1).is_pending());
        mailbox.fail(Failure::Closed);
        assert_eq!((count(&sender_woken), count(&watcher_woken)), (2, 1));
    }
}

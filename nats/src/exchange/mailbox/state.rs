//! What a mailbox holds under its lock, and what each frame that comes in does to it.

use std::collections::VecDeque;
use std::task::Waker;

use async_nats::Subject;
use bytes::Bytes;
use h8s_wire::{AbortCode, Frame, Kind, Peek, frame_cost};

use super::{Answer, Mailbox};
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::flow_control;
use crate::exchange::retransmit_buffer::RetransmitBuffer;

/// Who has something to do after a delivery. A writer is not woken for every piece that the reader gets.
pub(super) enum Wake {
    Reader,
    Both,
}

#[derive(Default)]
pub(super) struct State {
    /// Sequenced frames not yet taken, in order.
    pub(super) queue: VecDeque<Bytes>,
    /// Sequenced frames accepted so far: the number that the next one has.
    pub(super) received: u64,
    /// Sequenced frames that the reader has taken.
    pub(super) handled: u64,
    /// What accepted frames cost, against what we granted.
    cost: u64,
    pub(super) granted: u64,
    /// What the peer granted us.
    pub(super) limit: u64,
    /// Frames of ours that the peer has handled.
    pub(super) peer_handled: u64,
    /// Where the peer's frames come from; pinned by the first.
    pub(super) peer: Option<Subject>,
    /// `END` or `CLOSE` was accepted.
    pub(super) ended: bool,
    /// What we sent, where it may have to be sent again: the exchange carries messages.
    pub(super) retained: Option<RetransmitBuffer>,
    /// The peer has been asked for lost frames, and none has come yet.
    pub(super) is_asked: bool,
    /// NATS was away, and the peer has not been heard since: a WebSocket may have another owner by now.
    pub(super) is_suspended: bool,
    pub(super) unread: bool,
    pub(super) failure: Option<Failure>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Apart from the writer's: its owner may wait in another task.
    pub(super) stop_watcher: Option<Waker>,
}

/// Both ends of an exchange are named by its id.
fn is_same_exchange(one: &str, other: &str) -> bool {
    one.rsplit_once('.').map(|(_, id)| id) == other.rsplit_once('.').map(|(_, id)| id)
}

impl Drop for State {
    fn drop(&mut self) {
        flow_control::note_read(self.queue.iter().map(Bytes::len).sum());
    }
}

impl State {
    /// The first frame pins the peer; frames from elsewhere are nobody's.
    pub(super) fn is_from_peer(&mut self, reply: Option<Subject>, mailbox: &Mailbox) -> bool {
        let Some(reply) = reply else { return false };
        if let Some(peer) = &self.peer {
            return *peer == reply;
        }
        let is_peer = mailbox.replies.cover(&reply) && is_same_exchange(&reply, &mailbox.own);
        self.peer = is_peer.then_some(reply);
        is_peer
    }

    pub(super) fn credit(&self) -> (u64, u64) {
        (self.granted, self.handled)
    }

    /// The peer is there, and shares this exchange.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.is_suspended) {
            self.wake_reader();
        }
    }

    pub(super) fn has_room(&self, cost: u64, most_bytes: usize) -> bool {
        let kept = self.retained.as_ref().map_or(0, RetransmitBuffer::bytes);
        self.limit >= cost && kept <= most_bytes
    }

    /// What the peer of a WebSocket is told that is over here, and maybe not there.
    pub(super) fn is_over(&self, message: &[u8]) -> Option<Answer> {
        let kind = Peek::of(message).map(|peek| peek.kind);
        let is_said = matches!(kind, Ok(Kind::Abort | Kind::Cancel | Kind::Refused) | Err(_));
        (self.retained.is_some() && !is_said).then_some(Answer::Abort(AbortCode::Unknown))
    }

    /// Only where what is lost can be had again; elsewhere it ends the exchange.
    pub(super) fn is_out_of_order(&self, sequence: u64) -> bool {
        self.retained.is_some() && sequence != self.received && !self.ended
    }

    /// What the peer must send again because `sequence` came too early; nothing when it came before, or when that has
    /// been said already.
    pub(super) fn ask_for_lost(&mut self, sequence: u64) -> Option<u64> {
        let is_gap = sequence > self.received;
        let is_news = is_gap && !self.is_asked;
        self.is_asked |= is_gap;
        is_news.then_some(self.received)
    }

    /// A gateway that waits for word about a message repeats itself: what it waits for may have been lost.
    pub(super) fn is_probe(&self, message: &Bytes) -> bool {
        let Ok(Frame::Credit { limit, handled }) = Frame::decode(message.clone()) else { return false };
        self.retained.is_some() && limit <= self.limit && handled <= self.peer_handled
    }

    pub(super) fn again(&mut self, message: Bytes) -> Option<Answer> {
        let Ok(Frame::Resend { from }) = Frame::decode(message) else { return None };
        let is_news = self.retained.as_mut().is_some_and(|retained| retained.retransmit(from));
        is_news.then_some(Answer::Again)
    }

    pub(super) fn accept(&mut self, kind: Kind, sequence: u64, message: Bytes) -> Result<Wake, Failure> {
        if self.ended {
            return Ok(Wake::Reader);
        }
        if sequence != self.received {
            return Err(Failure::Lost);
        }
        // What begins and what ends a direction is one frame each.
        if !matches!(kind, Kind::Head | Kind::End) {
            self.cost += frame_cost(message.len());
            if self.cost > self.granted {
                return Err(Failure::OverLimit);
            }
        }
        self.received += 1;
        self.is_asked = false;
        self.ended = matches!(kind, Kind::End | Kind::Close);
        flow_control::note_waiting(message.len());
        self.queue.push_back(message);
        Ok(Wake::Reader)
    }

    pub(super) fn control(&mut self, frame: Frame) -> Result<Wake, Failure> {
        match frame {
            Frame::Credit { limit, handled } => {
                self.limit = self.limit.max(limit);
                self.peer_handled = self.peer_handled.max(handled);
                if let Some(retained) = &mut self.retained {
                    retained.release(handled);
                }
            }
            // Messages go both ways or not at all.
            Frame::Cancel if self.retained.is_some() => return Err(Failure::Cancelled),
            Frame::Cancel => self.unread = true,
            Frame::Abort { code, reason } => return Err(Failure::Aborted(code, reason)),
            Frame::Refused(code) => return Err(Failure::Refused(code)),
            // The rest is sequenced, or goes to an inbox's own subject.
            _ => {}
        }
        Ok(Wake::Both)
    }

    pub(super) fn stop(&self) -> Option<Stop> {
        match &self.failure {
            Some(_) => Some(Stop::Failed),
            None => self.unread.then_some(Stop::Unread),
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wake(&mut self) {
        self.wake_reader();
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
        if self.stop().is_some()
            && let Some(waker) = self.stop_watcher.take()
        {
            waker.wake();
        }
    }
}

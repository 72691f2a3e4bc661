//! What was sent of a WebSocket and may have to be sent again (`PROTOCOL.md §6`).

use std::collections::VecDeque;

use bytes::Bytes;

/// Sequenced frames that the peer has not named as handled, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct RetransmitBuffer {
    frames: VecDeque<Bytes>,
    /// The number of the first that is kept.
    first: u64,
    /// The number from which on they are being sent again; then new frames only queue up behind.
    again: Option<u64>,
    /// What was handled when somebody last looked.
    looked: u64,
    bytes: usize,
}

impl RetransmitBuffer {
    /// The first to be kept will have this number.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// The number that the next frame has.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Keeps one more. Whether it may be published now: not while older ones are on their way again.
    pub(crate) fn push(&mut self, frame: Bytes) -> bool {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.again.is_none()
    }

    /// The peer will never ask for what came before `handled`.
    pub(crate) fn release(&mut self, handled: u64) {
        while self.first < handled
            && let Some(frame) = self.frames.pop_front()
        {
            self.bytes -= frame.len();
            self.first += 1;
        }
        if self.frames.is_empty() {
            // An idle connection holds no memory for what it once sent.
            self.frames = VecDeque::new();
        }
    }

    /// Everything from this number on is to be sent again. Whether that is news, so that somebody must see to it.
    pub(crate) fn retransmit(&mut self, from: u64) -> bool {
        let is_news = self.again.is_none();
        let from = from.max(self.first);
        self.again = Some(self.again.map_or(from, |again| again.min(from)));
        is_news
    }

    /// The next frame to send again; `None` when there is none left.
    pub(crate) fn next_retransmit(&mut self) -> Option<Bytes> {
        let at = self.again?.max(self.first);
        let frame = self.frames.get(usize::try_from(at - self.first).ok()?).cloned();
        self.again = frame.is_some().then_some(at + 1);
        frame
    }

    /// Whether something is still to be sent again.
    pub(crate) fn has_retransmit(&self) -> bool {
        self.again.is_some()
    }

    /// What is kept, in frames.
    pub(crate) fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    /// What is kept, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something is waiting to be handled, and nothing has been since the last look.
    pub(crate) fn is_stuck(&mut self) -> bool {
        let before = std::mem::replace(&mut self.looked, self.first);
        !self.frames.is_empty() && before == self.first
    }

    /// All that is kept, in order.
    pub(crate) fn take(&mut self) -> VecDeque<Bytes> {
        self.first = self.next();
        self.again = None;
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(frames: &[&'static str]) -> RetransmitBuffer {
        let mut retained = RetransmitBuffer::default();
        for frame in frames {
            retained.push(Bytes::from_static(frame.as_bytes()));
        }
        retained
    }

    #[test]
    fn what_is_handled_is_forgotten_and_the_rest_can_be_sent_again() {
        let mut retained = retained(&["0", "1", "2", "3"]);
        retained.release(2);
        assert!(retained.retransmit(0), "from the first that is kept");
        assert!(!retained.push(Bytes::from_static(b"4")), "it would overtake");
        let again: Vec<_> = std::iter::from_fn(|| retained.next_retransmit()).collect();
        assert_eq!(again, ["2", "3", "4"]);
        assert!(retained.push(Bytes::from_static(b"5")));
        assert_eq!(retained.next(), 6);
        retained.release(100);
        assert_eq!((retained.next(), retained.next_retransmit()), (6, None));
    }

    #[test]
    fn a_second_wish_while_the_first_is_under_way_goes_back() {
        let mut retained = retained(&["0", "1", "2"]);
        assert!(retained.retransmit(1));
        assert_eq!(retained.next_retransmit().as_deref(), Some(&b"1"[..]));
        assert!(!retained.retransmit(0), "somebody is at it already");
        assert_eq!(retained.next_retransmit().as_deref(), Some(&b"0"[..]));
    }

    #[test]
    fn stuck_is_what_has_not_moved_between_two_looks() {
        let mut retained = retained(&["0", "1"]);
        retained.release(1);
        assert!(!retained.is_stuck());
        assert!(retained.is_stuck());
        retained.release(2);
        assert!(!retained.is_stuck());
    }
}

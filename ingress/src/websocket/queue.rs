//! Queue of frames for one client.
//!
//! Order: the rest of a partly written frame, then pongs, then messages in order of arrival. An empty queue holds no
//! memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use bytes::{Buf, Bytes};

use super::codec;

/// Overhead of a queued message beyond its bytes: its entry here, and its share of an allocation. It bounds a queue of
/// empty messages, too.
const ENTRY_BYTES: usize = 64;
/// Maximum queued pongs, in bytes. Beyond it only the latest is kept (RFC 6455 §5.5.3).
const MAX_PONG_BYTES: usize = 1 << 10;
/// Frames per write. The system accepts up to 1,024; a slow client mostly has few.
const MAX_SLICES: usize = 32;

/// Origin of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The responder that owns the connection: it waits for room; its messages are never dropped.
    Owner,
    /// A pusher, which does not wait for room.
    Push,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The rest of a partly written frame.
    writing: Bytes,
    is_writing_push: bool,
    pongs: Vec<u8>,
    latest_pong: usize,
    frames: VecDeque<(Source, Bytes)>,
    frames_bytes: usize,
    pushed_bytes: usize,
    written_bytes: u64,
}

fn cost(frame: &Bytes) -> usize {
    frame.len() + ENTRY_BYTES
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.pongs.is_empty() && self.frames.is_empty()
    }

    /// Total cost of the queue.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.writing.len() + self.pongs.len() + self.frames_bytes
    }

    /// Queued bytes of the owner: pushes must not delay it.
    pub(super) fn owner_bytes(&self) -> usize {
        let writing = if self.is_writing_push { 0 } else { self.writing.len() };
        writing + self.frames_bytes - self.pushed_bytes
    }

    /// Total bytes written, which shows progress.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Whether a push fits within the limit. A single one always does.
    pub(super) fn has_room(&self, frame: &Bytes, limit_bytes: usize) -> bool {
        self.pushed_bytes == 0 || self.pushed_bytes + cost(frame) <= limit_bytes
    }

    pub(super) fn push(&mut self, source: Source, frame: Bytes) {
        self.frames_bytes += cost(&frame);
        if source == Source::Push {
            self.pushed_bytes += cost(&frame);
        }
        self.frames.push_back((source, frame));
    }

    /// Queues the rest of a partly written frame. The queue must be empty.
    pub(super) fn push_rest(&mut self, source: Source, rest: Bytes) {
        debug_assert!(self.is_empty(), "a frame was begun in the middle of another");
        self.writing = rest;
        self.is_writing_push = source == Source::Push;
    }

    /// Queues a pong.
    pub(super) fn push_pong(&mut self, payload: &[u8]) {
        if self.pongs.len() > MAX_PONG_BYTES {
            self.pongs.truncate(self.latest_pong);
        }
        self.latest_pong = self.pongs.len();
        codec::push_pong(payload, &mut self.pongs);
    }

    /// Drops the oldest push that is not partly written. `false`: none is queued.
    pub(super) fn drop_oldest_push(&mut self) -> bool {
        let oldest = self.frames.iter().position(|(source, _)| *source == Source::Push);
        let dropped = oldest.and_then(|at| self.frames.remove(at));
        if let Some((source, frame)) = &dropped {
            self.forget(*source, frame);
        }
        dropped.is_some()
    }

    /// Drops everything except a partly written frame, which must be completed.
    pub(super) fn clear(&mut self) {
        let (is_writing_push, written_bytes) = (self.is_writing_push, self.written_bytes);
        let writing = std::mem::take(&mut self.writing);
        *self = Self { writing, is_writing_push, written_bytes, ..Self::default() };
    }

    /// Writes until the queue is empty, or the socket accepts no more.
    pub(super) fn poll_write(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let waiting = [&self.writing[..], &self.pongs[..]];
            let waiting = waiting.into_iter().chain(self.frames.iter().map(|(_, frame)| &frame[..]));
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(waiting.filter(|bytes| !bytes.is_empty())) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match ready!(write(&slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        // Releases the memory that a burst needed.
        self.frames = VecDeque::new();
        Poll::Ready(Ok(()))
    }

    /// Removes written bytes.
    fn advance(&mut self, mut bytes: usize) {
        self.written_bytes += bytes as u64;
        loop {
            let here = bytes.min(self.writing.len());
            self.writing.advance(here);
            bytes -= here;
            if bytes == 0 {
                break;
            }
            self.writing = self.take_next();
        }
        if self.writing.is_empty() {
            // Releases the allocation that it was a part of.
            self.writing = Bytes::new();
        }
    }

    fn take_next(&mut self) -> Bytes {
        if !self.pongs.is_empty() {
            self.latest_pong = 0;
            self.is_writing_push = false;
            return std::mem::take(&mut self.pongs).into();
        }
        let Some((source, frame)) = self.frames.pop_front() else { return Bytes::new() };
        self.forget(source, &frame);
        self.is_writing_push = source == Source::Push;
        frame
    }

    fn forget(&mut self, source: Source, frame: &Bytes) {
        self.frames_bytes -= cost(frame);
        if source == Source::Push {
            self.pushed_bytes -= cost(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: &[(Source, &'static str)]) -> Queue {
        let mut queue = Queue::default();
        for (source, frame) in entries {
            queue.push(*source, Bytes::from(*frame));
        }
        queue
    }

    /// The bytes that a socket gets that accepts `bytes_each` per write, and at most `writes` writes.
    fn written(queue: &mut Queue, bytes_each: usize, mut writes: usize) -> String {
        let mut out = Vec::new();
        let result = queue.poll_write(|slices| {
            if writes == 0 {
                return Poll::Pending;
            }
            writes -= 1;
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = all.len().min(bytes_each);
            out.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        });
        assert!(!matches!(result, Poll::Ready(Err(_))));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn any_amount_per_write_gives_the_same_bytes_and_leaves_nothing() {
        for bytes_each in 1..12 {
            let mut queue = Queue::default();
            queue.push_rest(Source::Owner, Bytes::from("rest"));
            queue.push(Source::Owner, Bytes::from("own"));
            queue.push(Source::Push, Bytes::from("pushed"));
            assert_eq!(written(&mut queue, bytes_each, usize::MAX), "restownpushed");
            assert_eq!((queue.bytes(), queue.pushed_bytes, queue.is_empty()), (0, 0, true));
        }
    }

    #[test]
    fn a_pong_waits_for_the_frame_that_is_begun_and_for_no_other() {
        let mut queue = filled(&[(Source::Owner, "first"), (Source::Owner, "second")]);
        let begun = written(&mut queue, 2, 1);

        queue.push_pong(b"!");

        assert_eq!((begun.as_str(), queue.pongs.len()), ("fi", 3));
        assert_eq!(queue.writing, "rst");
        let mut first = None;
        let _ = queue.poll_write(|slices| {
            first.get_or_insert_with(|| slices.iter().map(|slice| slice.to_vec()).collect::<Vec<_>>());
            Poll::Pending
        });
        assert_eq!(first.unwrap(), [&b"rst"[..], b"\x8A\x01!", b"second"]);
    }

    /// T9: a flood of pings is answered by its last.
    #[test]
    fn pongs_beyond_a_kibibyte_are_the_latest_only() {
        let mut queue = Queue::default();
        for ping in 0..1_000_000 {
            queue.push_pong(format!("{ping:07}").as_bytes());
        }
        assert!(queue.bytes() <= MAX_PONG_BYTES + 127 && queue.pongs.capacity() <= 4 * MAX_PONG_BYTES);
        assert!(queue.pongs.ends_with(b"0999999"));
    }

    #[test]
    fn the_oldest_push_goes_but_never_what_is_begun_or_the_owners() {
        let mut queue = filled(&[(Source::Push, "begun"), (Source::Owner, "own"), (Source::Push, "p")]);
        written(&mut queue, 1, 1);

        assert!(queue.drop_oldest_push());
        assert!(!queue.drop_oldest_push());

        assert_eq!(written(&mut queue, usize::MAX, usize::MAX), "egunown");
    }

    #[test]
    fn only_pushes_count_against_the_limit_and_one_alone_fits_always() {
        let big = Bytes::from(vec![0; 1000]);
        let mut queue = filled(&[(Source::Owner, "own")]);
        assert!(queue.has_room(&big, 10));
        queue.push(Source::Push, big.clone());
        assert!(!queue.has_room(&big, 2000) && queue.has_room(&big, 3000));
    }

    #[test]
    fn pushes_do_not_keep_the_owner_waiting() {
        let mut queue = filled(&[(Source::Push, "pushed"), (Source::Owner, "own"), (Source::Push, "more")]);
        assert_eq!(queue.owner_bytes(), 3 + ENTRY_BYTES);
        written(&mut queue, 2, 1);
        assert_eq!(queue.owner_bytes(), 3 + ENTRY_BYTES, "a push is half out");
        written(&mut queue, 5, 1);
        assert_eq!(queue.owner_bytes(), 2, "the owner's is");
    }

    #[test]
    fn clearing_leaves_what_is_begun() {
        let mut queue = filled(&[(Source::Push, "begun"), (Source::Push, "not")]);
        written(&mut queue, 1, 1);
        queue.push_pong(b"");
        queue.clear();
        assert_eq!(written(&mut queue, usize::MAX, usize::MAX), "egun");
    }
}

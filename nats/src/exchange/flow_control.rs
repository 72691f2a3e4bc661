//! How much may be under way towards a reader (`PROTOCOL.md §5`).

use std::sync::atomic::{AtomicU64, Ordering};

use h8s_wire::{MAX_FRAME_BYTES, frame_cost};

use crate::exchange::mailbox::Carries;

/// Under way in one direction of one exchange: at 128 KiB a frame enough to keep a link of this machine busy (17 MB/s where
/// an answer takes 30 ms), and little enough that small requests beside it do not wait long; at 256 bytes' overhead a
/// frame 2,048 messages at most, far below what a subscription buffers.
const WINDOW: u64 = 512 * 1024;
/// The same while memory is short, for messages: two full frames, so that one can be read while the next is under way.
const SMALL_WINDOW: u64 = 2 * frame_cost(MAX_FRAME_BYTES);
/// The same for other bodies, whose frames are cut as credit allows: thousands of clients that do not read cost little,
/// and who reads has some hundred megabytes a second still.
const SMALL_BODY_WINDOW: u64 = 64 * 1024;
/// Body bytes of all exchanges together that may wait here before windows become small: as many as 128 readers have
/// under way at full speed.
const BUDGET_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes that wait in mailboxes, of all exchanges of the process.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// The window that a new or refilled direction gets.
pub(crate) fn window(carries: Carries) -> u64 {
    match carries {
        _ if !is_tight() => WINDOW,
        Carries::Messages => SMALL_WINDOW,
        Carries::Bytes => SMALL_BODY_WINDOW,
    }
}

/// Whether as much waits here as should.
pub(crate) fn is_tight() -> bool {
    WAITING.load(Ordering::Relaxed) >= BUDGET_BYTES
}

/// Accounts for one frame that waits for its reader.
pub(crate) fn note_waiting(bytes: usize) {
    WAITING.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// One frame has been read, or dropped unread.
pub(crate) fn note_read(bytes: usize) {
    WAITING.fetch_sub(bytes as u64, Ordering::Relaxed);
}

/// Times that a body waited for its reader's credit, over all exchanges of the process.
static STALLS: AtomicU64 = AtomicU64::new(0);

/// How often a body on its way out has waited for credit.
pub(crate) fn credit_stalls() -> u64 {
    STALLS.load(Ordering::Relaxed)
}

/// One wait for credit, which counts from the first time that there is none.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    is_counted: bool,
}

impl Stall {
    pub(crate) fn note(&mut self, is_pending: bool) {
        if is_pending && !std::mem::replace(&mut self.is_counted, true) {
            STALLS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A reader's account: what it has taken, and what the sender may send.
#[derive(Debug)]
pub(crate) struct Reading {
    carries: Carries,
    taken: u64,
    granted: u64,
}

impl Reading {
    pub(crate) fn new(carries: Carries, granted: u64) -> Self {
        Self { carries, taken: 0, granted }
    }

    /// The reader begins. The first limit, where none was granted: the sender waits for this.
    pub(crate) fn begin(&mut self) -> Option<u64> {
        (self.granted == 0).then(|| {
            self.granted = window(self.carries);
            self.granted
        })
    }

    /// A frame was taken. The new limit, once half a window or a message's full frame could not follow any more.
    pub(crate) fn take(&mut self, frame_bytes: usize) -> Option<u64> {
        self.taken += frame_cost(frame_bytes);
        let window = window(self.carries);
        let left = self.granted.saturating_sub(self.taken);
        let uncut = match self.carries {
            Carries::Messages => frame_cost(MAX_FRAME_BYTES),
            Carries::Bytes => 0,
        };
        let refill = left <= (window / 2).max(uncut);
        if !refill || self.taken + window <= self.granted {
            return None;
        }
        self.granted = self.taken + window;
        Some(self.granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_comes_at_half_a_window_and_never_too_late_for_a_frame() {
        for (window, frame) in
            [(WINDOW, 1), (WINDOW, MAX_FRAME_BYTES), (SMALL_WINDOW, MAX_FRAME_BYTES), (0, 1)]
        {
            let mut reading = Reading::new(Carries::Messages, window);
            let (mut sent, mut limit, mut grants) = (0, window, 0);
            for _ in 0..10_000 {
                if sent + frame_cost(frame) <= limit {
                    sent += frame_cost(frame);
                }
                if let Some(more) = reading.take(frame) {
                    assert!(more > limit);
                    limit = more;
                    grants += 1;
                }
                assert!(
                    limit - sent.min(limit) >= frame_cost(frame) || sent == 0,
                    "no room for the next frame"
                );
            }
            assert!(grants > 0);
        }
    }
}

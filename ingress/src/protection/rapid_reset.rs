//! Counts stream resets, so that the limit on exchanges in flight also holds against rapid reset (CVE-2023-44487).
//!
//! A client that resets each stream at once has none in flight, while each cost a NATS publication, a start at the
//! responder, and a cancellation. So an exchange that the client resets counts for another [`WINDOW`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a reset exchange still counts, at least (at most twice that). It covers the time in which a cancellation
/// reaches the responder and stops its work. With the default limit of 400, one connection can cause at most 400 vain
/// exchanges a second, a small part of the gateway's capacity. A browser that leaves a page resets a few dozen, once.
const WINDOW: Duration = Duration::from_secs(1);
/// A connection is closed once resets plus refusals within [`WINDOW`] exceed this multiple of its limit.
const EXCESS: u32 = 10;
/// A connection is closed after this many resets of exchanges that had not started. They cost little each, so an attacker
/// could send them by the hundred thousand; a regular client sends few.
const MAX_UNSTARTED: u32 = 100;

/// The resets of one connection within the last one to two windows.
#[derive(Debug)]
pub(crate) struct Resets {
    /// A reset has happened. Most connections never have one.
    any: AtomicBool,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    since: Instant,
    before: Counted,
    now: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Reset exchanges that still count.
    places: u32,
    /// The same, plus refused exchanges.
    all: u32,
    /// Resets of exchanges that had not started.
    unstarted: u32,
}

impl Resets {
    pub(crate) fn new() -> Self {
        Self { any: AtomicBool::new(false), counts: Mutex::new(Counts::since(Instant::now())) }
    }

    /// Reset exchanges that still count.
    pub(crate) fn places(&self) -> u32 {
        if self.any.load(Ordering::Relaxed) { self.counts(|counts| counts.places()) } else { 0 }
    }

    /// Records that the client reset an exchange, started or not. Returns whether the connection must be closed. `places`
    /// is its limit of exchanges.
    pub(crate) fn reset_by_client(&self, places: u32, is_started: bool) -> bool {
        self.counts(|counts| {
            counts.now.places = counts.now.places.saturating_add(1);
            counts.now.unstarted = counts.now.unstarted.saturating_add(u32::from(!is_started));
            counts.one_more(places) || counts.unstarted() >= MAX_UNSTARTED
        })
    }

    /// Records a refused exchange. Returns whether the connection must be closed.
    pub(crate) fn refused(&self, places: u32) -> bool {
        self.counts(|counts| counts.one_more(places))
    }

    fn counts<T>(&self, read: impl FnOnce(&mut Counts) -> T) -> T {
        self.any.store(true, Ordering::Relaxed);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.roll(Instant::now());
        read(&mut counts)
    }
}

impl Counts {
    fn since(since: Instant) -> Self {
        Self { since, before: Counted::default(), now: Counted::default() }
    }

    fn places(&self) -> u32 {
        self.before.places.saturating_add(self.now.places)
    }

    fn unstarted(&self) -> u32 {
        self.before.unstarted.saturating_add(self.now.unstarted)
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.duration_since(self.since);
        if passed >= WINDOW {
            self.before = if passed < 2 * WINDOW { self.now } else { Counted::default() };
            self.now = Counted::default();
            self.since = if passed < 2 * WINDOW { self.since + WINDOW } else { now };
        }
    }

    fn one_more(&mut self, places: u32) -> bool {
        self.now.all = self.now.all.saturating_add(1);
        self.before.all.saturating_add(self.now.all) >= places.saturating_mul(EXCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_stops_counting_between_one_and_two_windows_later() {
        let start = Instant::now();
        let mut counts = Counts::since(start);
        counts.now.places += 1;

        for (after, places) in [(0.0, 1), (0.9, 1), (1.0, 1), (1.9, 1), (2.0, 0)] {
            counts.roll(start + WINDOW.mul_f64(after));
            assert_eq!(counts.places(), places, "{after}");
        }
    }

    #[test]
    fn ten_times_the_limit_is_too_many() {
        let resets = Resets::new();

        let excess: Vec<bool> = (0..20)
            .map(|n| if n % 2 == 0 { resets.reset_by_client(2, true) } else { resets.refused(2) })
            .collect();

        assert_eq!(excess.iter().position(|is_excess| *is_excess), Some(19));
    }

    #[test]
    fn a_hundred_resets_before_the_start_are_too_many() {
        let resets = Resets::new();

        let excess: Vec<bool> = (0..100).map(|_| resets.reset_by_client(400, false)).collect();

        assert_eq!(excess.iter().position(|is_excess| *is_excess), Some(99));
    }
}

//! How many exchanges a client takes back: what makes a limit on exchanges under way survive stream resets.
//!
//! A client that resets a stream at once has none under way, however many it begins (CVE-2023-44487), while each has
//! cost a publication to NATS, a responder's start, and a cancellation. So a place is not given back with the reset but
//! [`WINDOW`] later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a place stays taken after a reset, at the least (twice that at the most). As long as it takes for a
/// cancellation to reach the responder and stop the work there, on a slow day: what is paid for is then over. With the
/// default of 400 places, one connection can make the gateway begin at most 400 exchanges a second in vain, which is a
/// small part of what it serves. A browser that leaves a page takes a few dozen back, once.
const WINDOW: Duration = Duration::from_secs(1);
/// So many times its places a connection may take back, or be refused, in that time before it is closed.
const EXCESS: u32 = 10;
/// And so many that nobody had begun to serve when their reset came: as many streams as it may have open. They cost little,
/// which is why somebody could send them by the hundred thousand; and a client that has a use for any answer sends few.
const MOST_UNBEGUN: u32 = 100;

/// The resets of one connection within the last one to two windows.
#[derive(Debug)]
pub(crate) struct Resets {
    /// There was one. Most connections never have any.
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
    /// Places that are not given back yet.
    places: u32,
    /// The same, and those that found no place.
    all: u32,
    /// Of the places, those that nobody had begun to serve.
    unbegun: u32,
}

impl Resets {
    pub(crate) fn new() -> Self {
        Self { any: AtomicBool::new(false), counts: Mutex::new(Counts::since(Instant::now())) }
    }

    /// Places that are still taken.
    pub(crate) fn places(&self) -> u32 {
        if self.any.load(Ordering::Relaxed) { self.counts(|counts| counts.places()) } else { 0 }
    }

    /// The client took an exchange back, which somebody had begun to serve or not. Whether it does that far too often for
    /// one with so many places.
    pub(crate) fn reset_by_client(&self, places: u32, is_begun: bool) -> bool {
        self.counts(|counts| {
            counts.now.places = counts.now.places.saturating_add(1);
            counts.now.unbegun = counts.now.unbegun.saturating_add(u32::from(!is_begun));
            counts.one_more(places) || counts.unbegun() >= MOST_UNBEGUN
        })
    }

    /// There was no place for an exchange. Whether that happens far too often.
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

    fn unbegun(&self) -> u32 {
        self.before.unbegun.saturating_add(self.now.unbegun)
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
    fn a_place_comes_back_between_one_and_two_windows_later() {
        let start = Instant::now();
        let mut counts = Counts::since(start);
        counts.now.places += 1;

        for (after, places) in [(0.0, 1), (0.9, 1), (1.0, 1), (1.9, 1), (2.0, 0)] {
            counts.roll(start + WINDOW.mul_f64(after));
            assert_eq!(counts.places(), places, "{after}");
        }
    }

    #[test]
    fn ten_times_the_places_are_too_many() {
        let resets = Resets::new();

        let told: Vec<bool> = (0..20)
            .map(|n| if n % 2 == 0 { resets.reset_by_client(2, true) } else { resets.refused(2) })
            .collect();

        assert_eq!(told.iter().position(|is_excess| *is_excess), Some(19));
    }

    #[test]
    fn a_hundred_that_nobody_had_begun_are_too_many() {
        let resets = Resets::new();

        let told: Vec<bool> = (0..100).map(|_| resets.reset_by_client(400, false)).collect();

        assert_eq!(told.iter().position(|is_excess| *is_excess), Some(99));
    }
}

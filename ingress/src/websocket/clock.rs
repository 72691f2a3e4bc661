//! Timers of a connection: pings, idle clients, stalled writes, and the close when the gateway drains.

use std::time::Duration;

use tokio::time::Instant;

/// A timer that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    Silent,
    Stalled,
    Leave,
}

#[derive(Debug)]
pub(super) struct Clock {
    ping_interval: Duration,
    write_timeout: Duration,
    /// When the client last sent something, or reading was paused.
    last_received: Instant,
    is_pinged: bool,
    /// Since when pending writes make no progress, and the bytes written by then.
    stalled: Option<(Instant, u64)>,
    leave: Option<Instant>,
}

impl Clock {
    pub(super) fn new(ping_interval: Duration, write_timeout: Duration, now: Instant) -> Self {
        Self {
            ping_interval,
            write_timeout,
            last_received: now,
            is_pinged: false,
            stalled: None,
            leave: None,
        }
    }

    /// The client has sent something, or reading is paused.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.is_pinged = false;
    }

    /// Writes are pending, with this many bytes written so far. Returns whether they have just become pending.
    pub(super) fn waits(&mut self, written_bytes: u64, now: Instant) -> bool {
        let is_news = self.stalled.is_none();
        if self.stalled.is_none_or(|(_, before)| before != written_bytes) {
            self.stalled = Some((now, written_bytes));
        }
        is_news
    }

    /// No write is pending.
    pub(super) fn flushed(&mut self) {
        self.stalled = None;
    }

    pub(super) fn leave_at(&mut self, instant: Instant) {
        self.leave = Some(instant);
    }

    /// The next timer.
    pub(super) fn next(&self) -> Instant {
        let silence = self.last_received + self.ping_interval * if self.is_pinged { 2 } else { 1 };
        let stalled = self.stalled.map(|(since, _)| since + self.write_timeout);
        [stalled, self.leave].into_iter().flatten().fold(silence, Instant::min)
    }

    /// The timer that is due now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let has_passed = |instant: Instant| instant <= now;
        if self.leave.is_some_and(has_passed) {
            Some(Due::Leave)
        } else if self.stalled.is_some_and(|(since, _)| has_passed(since + self.write_timeout)) {
            Some(Due::Stalled)
        } else if self.is_pinged && has_passed(self.last_received + self.ping_interval * 2) {
            Some(Due::Silent)
        } else if !self.is_pinged && has_passed(self.last_received + self.ping_interval) {
            self.is_pinged = true;
            Some(Due::Ping)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> (Clock, Instant) {
        let now = Instant::now();
        (Clock::new(30 * SECOND, 60 * SECOND, now), now)
    }

    #[test]
    fn silence_is_answered_by_one_ping_and_then_by_the_end() {
        let (mut clock, now) = clock();
        assert_eq!((clock.next(), clock.due(now + 29 * SECOND)), (now + 30 * SECOND, None));
        assert_eq!(clock.due(now + 30 * SECOND), Some(Due::Ping));
        assert_eq!((clock.next(), clock.due(now + 31 * SECOND)), (now + 60 * SECOND, None));
        assert_eq!(clock.due(now + 60 * SECOND), Some(Due::Silent));
    }

    #[test]
    fn anything_received_restarts_the_timer() {
        let (mut clock, now) = clock();
        clock.due(now + 30 * SECOND);
        clock.received(now + 59 * SECOND);
        assert_eq!(clock.due(now + 60 * SECOND), None);
        assert_eq!(clock.due(now + 89 * SECOND), Some(Due::Ping));
    }

    #[test]
    fn a_write_stalls_only_while_nothing_of_it_goes_out() {
        let (mut clock, now) = clock();
        clock.waits(100, now);
        clock.waits(110, now + 50 * SECOND);
        clock.received(now + 70 * SECOND);
        clock.waits(110, now + 70 * SECOND);
        assert_eq!(clock.due(now + 80 * SECOND), None);
        assert_eq!(clock.due(now + 110 * SECOND), Some(Due::Stalled));
        clock.flushed();
        assert_eq!(clock.due(now + 99 * SECOND), None);
    }

    #[test]
    fn the_moment_to_leave_comes_first() {
        let (mut clock, now) = clock();
        clock.leave_at(now + SECOND);
        assert_eq!((clock.next(), clock.due(now + SECOND)), (now + SECOND, Some(Due::Leave)));
    }
}

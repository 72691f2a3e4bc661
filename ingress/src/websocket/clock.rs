//! What a connection's timer is set for: pings, silence, writes that stall, and the moment to leave when the gateway
//! drains.

use std::time::Duration;

use tokio::time::Instant;

/// What it is time for.
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
    /// When the client was last heard, or could not be because nobody listened.
    heard: Instant,
    is_pinged: bool,
    /// Since when the socket has taken nothing of what waits, and how much it had taken then.
    stalled: Option<(Instant, u64)>,
    leave: Option<Instant>,
}

impl Clock {
    pub(super) fn new(ping_interval: Duration, write_timeout: Duration, now: Instant) -> Self {
        Self { ping_interval, write_timeout, heard: now, is_pinged: false, stalled: None, leave: None }
    }

    /// The client has sent something, whatever it was; or what it sends is not being read now.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.is_pinged = false;
    }

    /// Something waits for the socket, which has taken so many bytes until now. Whether that is news.
    pub(super) fn waits(&mut self, written_bytes: u64, now: Instant) -> bool {
        let is_news = self.stalled.is_none();
        if self.stalled.is_none_or(|(_, before)| before != written_bytes) {
            self.stalled = Some((now, written_bytes));
        }
        is_news
    }

    /// Nothing waits.
    pub(super) fn flushed(&mut self) {
        self.stalled = None;
    }

    pub(super) fn leave_at(&mut self, instant: Instant) {
        self.leave = Some(instant);
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        let silence = self.heard + self.ping_interval * if self.is_pinged { 2 } else { 1 };
        let stalled = self.stalled.map(|(since, _)| since + self.write_timeout);
        [stalled, self.leave].into_iter().flatten().fold(silence, Instant::min)
    }

    /// What it is time for now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let has_passed = |instant: Instant| instant <= now;
        if self.leave.is_some_and(has_passed) {
            Some(Due::Leave)
        } else if self.stalled.is_some_and(|(since, _)| has_passed(since + self.write_timeout)) {
            Some(Due::Stalled)
        } else if self.is_pinged && has_passed(self.heard + self.ping_interval * 2) {
            Some(Due::Silent)
        } else if !self.is_pinged && has_passed(self.heard + self.ping_interval) {
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
    fn anything_heard_starts_anew() {
        let (mut clock, now) = clock();
        clock.due(now + 30 * SECOND);
        clock.heard(now + 59 * SECOND);
        assert_eq!(clock.due(now + 60 * SECOND), None);
        assert_eq!(clock.due(now + 89 * SECOND), Some(Due::Ping));
    }

    #[test]
    fn a_write_stalls_only_while_nothing_of_it_goes_out() {
        let (mut clock, now) = clock();
        clock.waits(100, now);
        clock.waits(110, now + 50 * SECOND);
        clock.heard(now + 70 * SECOND);
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

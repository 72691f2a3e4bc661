//! Whether a backend can be reached, learned from dialling it. After a failure dialling pauses (circuit breaker).

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failure. A restart takes a second or two.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: the delay in noticing that a backend accepts connections again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The state of one backend.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Consecutive failures.
    failures: u32,
    /// No dialling before this time.
    retry_at: Option<Instant>,
}

/// The effect of a dial on the health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HealthChange {
    /// As before.
    Unchanged,
    /// Reachable now and unreachable before, or the reverse.
    Changed,
}

/// Permission to dial, until its result is reported.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    health: &'a Health,
    is_settled: bool,
}

impl Health {
    /// Permission to dial, if the backend is reachable or a pause is over. After a pause one caller gets it; the next one
    /// gets it after `timeout`.
    pub(crate) fn attempt(&self, now: Instant, timeout: Duration) -> Option<Attempt<'_>> {
        let mut state = self.state();
        if let Some(retry_at) = state.retry_at {
            if now < retry_at {
                return None;
            }
            state.retry_at = Some(now + timeout);
        }
        Some(Attempt { health: self, is_settled: false })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Reports success.
    pub(crate) fn succeeded(mut self) -> HealthChange {
        self.is_settled = true;
        let before = std::mem::take(&mut *self.health.state());
        if before.failures > 0 { HealthChange::Changed } else { HealthChange::Unchanged }
    }

    /// Reports a failure.
    pub(crate) fn failed(mut self, now: Instant) -> HealthChange {
        self.is_settled = true;
        let mut state = self.health.state();
        let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
        state.retry_at = Some(now + pause);
        state.failures = state.failures.saturating_add(1);
        if state.failures == 1 { HealthChange::Changed } else { HealthChange::Unchanged }
    }
}

/// Without a result, the next caller may dial at once.
impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let mut state = self.health.state();
            if state.retry_at.is_some() {
                state.retry_at = Some(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(health: &Health, now: Instant) -> Option<Attempt<'_>> {
        health.attempt(now, LONGEST_PAUSE)
    }

    #[test]
    fn after_a_failure_one_caller_at_a_time_may_dial() {
        let (health, now) = (Health::default(), Instant::now());

        assert_eq!(attempt(&health, now).unwrap().failed(now), HealthChange::Changed);

        assert!(attempt(&health, now).is_none());
        let later = now + FIRST_PAUSE;
        let second = attempt(&health, later).unwrap();
        assert!(attempt(&health, later).is_none());
        assert_eq!(second.failed(now), HealthChange::Unchanged);
        let third = attempt(&health, now + LONGEST_PAUSE).unwrap();
        assert_eq!(third.succeeded(), HealthChange::Changed);
        assert_eq!(attempt(&health, now).unwrap().succeeded(), HealthChange::Unchanged);
    }

    #[test]
    fn a_cancelled_attempt_lets_the_next_caller_dial() {
        let (health, now) = (Health::default(), Instant::now());
        attempt(&health, now).unwrap().failed(now);

        drop(attempt(&health, now + FIRST_PAUSE).unwrap());

        assert!(attempt(&health, now + FIRST_PAUSE).is_some());
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let (health, mut now) = (Health::default(), Instant::now());
        for _ in 0..100 {
            attempt(&health, now).unwrap().failed(now);
            now += LONGEST_PAUSE;
        }
        attempt(&health, now).unwrap().failed(now);

        assert!(attempt(&health, now + LONGEST_PAUSE / 2).is_none());
        assert!(attempt(&health, now + LONGEST_PAUSE).is_some());
    }
}

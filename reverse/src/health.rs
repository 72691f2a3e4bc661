//! Whether a backend can be reached, learned from dialling it: after a failure nobody dials for a moment.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failure. A service that restarts is back in a second or two.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest one: how much later than it could we may notice that a backend is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is known of one backend.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Nobody dials before.
    again_at: Option<Instant>,
}

/// What a dial has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// As before.
    None,
    /// It could be reached, and cannot now; or the other way round.
    Changed,
}

/// The right to dial, until it is said how that went.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    health: &'a Health,
    is_settled: bool,
}

impl Health {
    /// May somebody dial now? Of those who ask while it is away, one at each pause's end may, and has `patience` to do
    /// it before the next.
    pub(crate) fn attempt(&self, now: Instant, patience: Duration) -> Option<Attempt<'_>> {
        let mut state = self.state();
        if let Some(again_at) = state.again_at {
            if now < again_at {
                return None;
            }
            state.again_at = Some(now + patience);
        }
        Some(Attempt { health: self, is_settled: false })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing in here panics while it is held.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It has succeeded.
    pub(crate) fn reached(mut self) -> News {
        self.is_settled = true;
        let before = std::mem::take(&mut *self.health.state());
        if before.failures > 0 { News::Changed } else { News::None }
    }

    /// It has failed.
    pub(crate) fn missed(mut self, now: Instant) -> News {
        self.is_settled = true;
        let mut state = self.health.state();
        let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
        state.again_at = Some(now + pause);
        state.failures = state.failures.saturating_add(1);
        if state.failures == 1 { News::Changed } else { News::None }
    }
}

/// Who leaves while dialling has found out nothing: the next may try at once.
impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let mut state = self.health.state();
            if state.again_at.is_some() {
                state.again_at = Some(Instant::now());
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
    fn after_a_failure_one_at_a_time_may_try_again() {
        let (health, now) = (Health::default(), Instant::now());

        assert_eq!(attempt(&health, now).unwrap().missed(now), News::Changed);

        assert!(attempt(&health, now).is_none());
        let later = now + FIRST_PAUSE;
        let second = attempt(&health, later).unwrap();
        assert!(attempt(&health, later).is_none());
        assert_eq!(second.missed(now), News::None);
        let third = attempt(&health, now + LONGEST_PAUSE).unwrap();
        assert_eq!(third.reached(), News::Changed);
        assert_eq!(attempt(&health, now).unwrap().reached(), News::None);
    }

    #[test]
    fn who_gives_up_lets_the_next_try() {
        let (health, now) = (Health::default(), Instant::now());
        attempt(&health, now).unwrap().missed(now);

        drop(attempt(&health, now + FIRST_PAUSE).unwrap());

        assert!(attempt(&health, now + FIRST_PAUSE).is_some());
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let (health, mut now) = (Health::default(), Instant::now());
        for _ in 0..100 {
            attempt(&health, now).unwrap().missed(now);
            now += LONGEST_PAUSE;
        }
        attempt(&health, now).unwrap().missed(now);

        assert!(attempt(&health, now + LONGEST_PAUSE / 2).is_none());
        assert!(attempt(&health, now + LONGEST_PAUSE).is_some());
    }
}

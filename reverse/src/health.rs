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

impl Health {
    /// May somebody dial now? Of those who ask while it is away, one at each pause's end may, and has `patience` to do
    /// it before the next.
    pub(crate) fn may_dial(&self, now: Instant, patience: Duration) -> bool {
        let mut state = self.state();
        let Some(again_at) = state.again_at else { return true };
        if now < again_at {
            return false;
        }
        state.again_at = Some(now + patience);
        true
    }

    /// A dial has succeeded.
    pub(crate) fn reached(&self) -> News {
        let before = std::mem::take(&mut *self.state());
        if before.failures > 0 { News::Changed } else { News::None }
    }

    /// A dial has failed.
    pub(crate) fn missed(&self, now: Instant) -> News {
        let mut state = self.state();
        let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
        state.again_at = Some(now + pause);
        state.failures = state.failures.saturating_add(1);
        if state.failures == 1 { News::Changed } else { News::None }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing in here panics while it is held.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_at_a_time_may_try_again() {
        let (health, now) = (Health::default(), Instant::now());
        assert!(health.may_dial(now, LONGEST_PAUSE));

        assert_eq!(health.missed(now), News::Changed);

        assert!(!health.may_dial(now, LONGEST_PAUSE));
        assert!(health.may_dial(now + FIRST_PAUSE, LONGEST_PAUSE));
        assert!(!health.may_dial(now + FIRST_PAUSE, LONGEST_PAUSE));
        assert_eq!(
            (health.missed(now), health.reached(), health.reached()),
            (News::None, News::Changed, News::None)
        );
        assert!(health.may_dial(now, LONGEST_PAUSE));
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let (health, now) = (Health::default(), Instant::now());
        (0..100).for_each(|_| {
            health.missed(now);
        });

        assert!(!health.may_dial(now + LONGEST_PAUSE / 2, LONGEST_PAUSE));
        assert!(health.may_dial(now + LONGEST_PAUSE, LONGEST_PAUSE));
    }
}

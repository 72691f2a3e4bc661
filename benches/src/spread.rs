//! Durations of the same thing, done again and again.

use std::time::Duration;

/// Sorted.
#[derive(Debug)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// Of some times, in any order.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// Half of them took less.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// The time that so many percent did not take.
    pub fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

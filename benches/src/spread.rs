//! The distribution of repeated measurements.

use std::time::Duration;

/// Sorted durations.
#[derive(Debug)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// The distribution of `times`, in any order.
    ///
    /// # Panics
    ///
    /// If `times` is empty.
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// A percentile.
    pub fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

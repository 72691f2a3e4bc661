//! The time and the processor time of rounds.

use std::time::{Duration, Instant};

use crate::usage::processor_time;

/// Measures one round of some processes, by id.
#[derive(Debug)]
pub struct Meter<'a> {
    processes: &'a [u32],
    begin: Instant,
    cpu: Duration,
}

/// The sum of rounds.
#[derive(Debug, Default)]
pub struct Cost {
    walls: Vec<Duration>,
    cpu: Duration,
}

impl<'a> Meter<'a> {
    /// Starts measuring.
    pub fn start(processes: &'a [u32]) -> Self {
        Self { processes, cpu: processor_time(processes), begin: Instant::now() }
    }

    /// Adds the round to `cost`.
    pub fn stop(self, cost: &mut Cost) {
        cost.walls.push(self.begin.elapsed());
        cost.cpu += processor_time(self.processes).saturating_sub(self.cpu);
    }
}

impl Cost {
    /// The median time of a round.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// A percentile of the times of rounds.
    pub fn at(&self, percent: usize) -> Duration {
        let mut walls = self.walls.clone();
        walls.sort_unstable();
        walls[(walls.len() - 1) * percent / 100]
    }

    /// Operations per second, with `count` per round.
    pub fn rate(&self, count: usize) -> f64 {
        count as f64 / self.median().as_secs_f64()
    }

    /// Processor time per operation, with `count` per round.
    pub fn each(&self, count: usize) -> Duration {
        self.cpu / u32::try_from(count * self.walls.len()).expect("some millions at most")
    }
}

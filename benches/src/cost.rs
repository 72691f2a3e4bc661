//! What a round took, and what it cost those who send: clients have a machine of their own in life.

use std::time::{Duration, Instant};

use crate::usage::processor_time;

/// Processes, by id, from a moment on.
#[derive(Debug)]
pub struct Meter<'a> {
    processes: &'a [u32],
    begin: Instant,
    cpu: Duration,
}

/// Rounds, added up.
#[derive(Debug, Default)]
pub struct Cost {
    walls: Vec<Duration>,
    cpu: Duration,
}

impl<'a> Meter<'a> {
    /// From now on.
    pub fn start(processes: &'a [u32]) -> Self {
        Self { processes, cpu: processor_time(processes), begin: Instant::now() }
    }

    /// Until now: one more round of `cost`.
    pub fn stop(self, cost: &mut Cost) {
        cost.walls.push(self.begin.elapsed());
        cost.cpu += processor_time(self.processes).saturating_sub(self.cpu);
    }
}

impl Cost {
    /// The median of the rounds.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// The time that so many percent of the rounds did not take.
    pub fn at(&self, percent: usize) -> Duration {
        let mut walls = self.walls.clone();
        walls.sort_unstable();
        walls[(walls.len() - 1) * percent / 100]
    }

    /// Things a second, if each round is of `count`.
    pub fn rate(&self, count: usize) -> f64 {
        count as f64 / self.median().as_secs_f64()
    }

    /// Processor time of one thing.
    pub fn each(&self, count: usize) -> Duration {
        self.cpu / u32::try_from(count * self.walls.len()).expect("some millions at most")
    }
}

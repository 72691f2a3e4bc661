//! Scenarios measured in turns, so that other activity on the machine affects all alike.

use std::time::{Duration, Instant};

use crate::load::Load;
use crate::processes::{Clock, TrackedProcess, Used};
use crate::spread::Spread;

/// The requests of one scenario, and the processes of their chain.
#[derive(Debug)]
pub struct Scenario {
    name: &'static str,
    load: Load,
    processes: Vec<TrackedProcess>,
    times: Vec<Duration>,
    wall: Duration,
    used: Used,
}

/// The result of a scenario.
#[derive(Debug)]
pub struct Measured {
    /// The name of the scenario.
    pub name: &'static str,
    /// Requests per second.
    pub rate: f64,
    /// The times of requests.
    pub times: Spread,
    /// The number of requests.
    pub count: usize,
    /// Processor time of all requests.
    pub used: Used,
}

impl Scenario {
    /// A scenario without measurements.
    pub fn new(name: &'static str, load: Load, processes: Vec<TrackedProcess>) -> Self {
        Self { name, load, processes, times: Vec::new(), wall: Duration::ZERO, used: Used::default() }
    }

    /// Runs a warm-up round of each scenario, then `rounds` measured rounds in turns.
    ///
    /// # Panics
    ///
    /// If a response differs from the expected one.
    pub fn take_turns(scenarios: &mut [Self], rounds: u32, round: Duration) {
        scenarios.iter_mut().for_each(|scenario| drop(scenario.load.round(round)));
        for _ in 0..rounds {
            scenarios.iter_mut().for_each(|scenario| scenario.round(round));
        }
    }

    fn round(&mut self, time: Duration) {
        let (clock, begin) = (Clock::start(&self.processes), Instant::now());
        self.times.extend(self.load.round(time));
        self.wall += begin.elapsed();
        clock.stop(&mut self.used);
    }

    /// Closes the connections and returns the result.
    ///
    /// # Panics
    ///
    /// If nothing was measured.
    pub fn measured(self) -> Measured {
        let count = self.times.len();
        let rate = count as f64 / self.wall.as_secs_f64();
        Measured { name: self.name, rate, times: Spread::of(self.times), count, used: self.used }
    }
}

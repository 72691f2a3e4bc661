//! What a round took, and what it cost those who send: clients have a machine of their own in life.

use std::fs;
use std::time::{Duration, Instant};

/// Processes, by id, from a moment on.
pub(crate) struct Meter<'a> {
    processes: &'a [u32],
    begin: Instant,
    cpu: Duration,
}

/// Rounds, added up.
#[derive(Default)]
pub(crate) struct Cost {
    walls: Vec<Duration>,
    cpu: Duration,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(processes: &'a [u32]) -> Self {
        Self { processes, cpu: cpu(processes), begin: Instant::now() }
    }

    pub(crate) fn stop(self, cost: &mut Cost) {
        cost.walls.push(self.begin.elapsed());
        cost.cpu += cpu(self.processes).saturating_sub(self.cpu);
    }
}

impl Cost {
    pub(crate) fn median(&self) -> Duration {
        self.at(50)
    }

    /// The time that so many percent of the rounds did not take.
    pub(crate) fn at(&self, percent: usize) -> Duration {
        let mut walls = self.walls.clone();
        walls.sort_unstable();
        walls[(walls.len() - 1) * percent / 100]
    }

    /// Things a second, if each round is of `count`.
    pub(crate) fn rate(&self, count: usize) -> f64 {
        count as f64 / self.median().as_secs_f64()
    }

    /// Processor time of one thing.
    pub(crate) fn each(&self, count: usize) -> Duration {
        self.cpu / u32::try_from(count * self.walls.len()).expect("some millions at most")
    }
}

/// User and system time (proc(5)), which Linux counts in hundredths of a second: enough for the sum of some rounds.
fn cpu(processes: &[u32]) -> Duration {
    let ticks = processes.iter().map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("Linux tells of processes");
        // The name, in parentheses, may have spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let times = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        times.sum::<u64>()
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

//! Tracked processes, and their processor time.

use std::time::Duration;

use h8s_test_support::Process;

use crate::usage::processor_time;

/// A process with its displayed name.
#[derive(Clone, Copy, Debug)]
pub struct TrackedProcess {
    /// The name in tables.
    pub name: &'static str,
    /// Its process id.
    pub id: u32,
}

impl TrackedProcess {
    /// Tracks a running process.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn of(name: &'static str, process: &Process) -> Self {
        Self { name, id: process.id().expect("it runs") }
    }
}

/// Measures the processor time of each process.
#[derive(Debug)]
pub struct Clock(Vec<(TrackedProcess, Duration)>);

impl Clock {
    /// Starts measuring.
    pub fn start(processes: &[TrackedProcess]) -> Self {
        Self(processes.iter().map(|process| (*process, processor_time(&[process.id]))).collect())
    }

    /// Adds the processor time of each process to `used`, which has the same processes.
    pub fn stop(self, used: &mut Used) {
        used.0.resize(self.0.len(), ("", Duration::ZERO));
        for ((process, before), (name, sum)) in self.0.iter().zip(&mut used.0) {
            *name = process.name;
            *sum += processor_time(&[process.id]).saturating_sub(*before);
        }
    }
}

/// Processor time by process, over all rounds.
#[derive(Clone, Debug, Default)]
pub struct Used(Vec<(&'static str, Duration)>);

impl Used {
    /// Names, and microseconds per operation of `count` operations.
    pub fn micros(&self, count: usize) -> Vec<(&'static str, f64)> {
        self.0.iter().map(|(name, sum)| (*name, sum.as_secs_f64() * 1e6 / count as f64)).collect()
    }

    /// `h8sd 10.1 µs, nats-server 5.2 µs` per operation of `count` operations.
    pub fn each(&self, count: usize) -> String {
        let one = |(name, micros): (&str, f64)| format!("{name} {micros:.1} µs");
        self.micros(count).into_iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

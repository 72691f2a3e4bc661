//! The processes that take part in something, and what each of them uses.

use std::time::Duration;

use h8s_test_support::Process;

use crate::usage::processor_time;

/// One of the processes, by the name that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// What it is called in tables.
    pub name: &'static str,
    /// Its process id.
    pub id: u32,
}

impl Member {
    /// A process that runs.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn of(name: &'static str, process: &Process) -> Self {
        Self { name, id: process.id().expect("it runs") }
    }
}

/// Processor time of each, from a moment on.
#[derive(Debug)]
pub struct Clock(Vec<(Member, Duration)>);

impl Clock {
    /// From now on.
    pub fn start(members: &[Member]) -> Self {
        Self(members.iter().map(|member| (*member, processor_time(&[member.id]))).collect())
    }

    /// Adds what each has used until now to `used`, which has the same members.
    pub fn stop(self, used: &mut Used) {
        used.0.resize(self.0.len(), ("", Duration::ZERO));
        for ((member, before), (name, sum)) in self.0.iter().zip(&mut used.0) {
            *name = member.name;
            *sum += processor_time(&[member.id]).saturating_sub(*before);
        }
    }
}

/// Processor time by process, of all rounds.
#[derive(Clone, Debug, Default)]
pub struct Used(Vec<(&'static str, Duration)>);

impl Used {
    /// Names, and microseconds of each of so many.
    pub fn micros(&self, count: usize) -> Vec<(&'static str, f64)> {
        self.0.iter().map(|(name, sum)| (*name, sum.as_secs_f64() * 1e6 / count as f64)).collect()
    }

    /// `h8sd 10.1 µs, nats-server 5.2 µs` for each of so many.
    pub fn each(&self, count: usize) -> String {
        let one = |(name, micros): (&str, f64)| format!("{name} {micros:.1} µs");
        self.micros(count).into_iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

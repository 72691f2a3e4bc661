//! Requests of several kinds, measured in turns, so that whatever else the machine does touches all alike.

use std::time::{Duration, Instant};

use crate::load::Load;
use crate::members::{Clock, Member, Used};
use crate::spread::Spread;

/// Requests of one kind, and who is on their way.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    load: Load,
    members: Vec<Member>,
    times: Vec<Duration>,
    wall: Duration,
    used: Used,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// The kind's.
    pub name: &'static str,
    /// Requests a second.
    pub rate: f64,
    /// What a request took.
    pub times: Spread,
    /// Requests in all.
    pub count: usize,
    /// Processor time of all of them.
    pub used: Used,
}

impl Kind {
    /// Nothing is measured yet.
    pub fn new(name: &'static str, load: Load, members: Vec<Member>) -> Self {
        Self { name, load, members, times: Vec::new(), wall: Duration::ZERO, used: Used::default() }
    }

    /// A round of each that does not count, and then so many that do, in turns.
    ///
    /// # Panics
    ///
    /// When an answer is not the one that is expected.
    pub fn take_turns(kinds: &mut [Self], rounds: u32, round: Duration) {
        kinds.iter_mut().for_each(|kind| drop(kind.load.round(round)));
        for _ in 0..rounds {
            kinds.iter_mut().for_each(|kind| kind.round(round));
        }
    }

    fn round(&mut self, time: Duration) {
        let (clock, begin) = (Clock::start(&self.members), Instant::now());
        self.times.extend(self.load.round(time));
        self.wall += begin.elapsed();
        clock.stop(&mut self.used);
    }

    /// Ends the connections.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    pub fn measured(self) -> Measured {
        let count = self.times.len();
        let rate = count as f64 / self.wall.as_secs_f64();
        Measured { name: self.name, rate, times: Spread::of(self.times), count, used: self.used }
    }
}

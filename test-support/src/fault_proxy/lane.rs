//! One direction of one connection: applies the faults to each message.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use super::faults::{Direction, Fate, Faults};
use super::message_reader::Stretch;

/// How long a message waits to be overtaken: longer than the gap between messages of a stream, and shorter than any
/// timeout.
const OVERTAKING: Duration = Duration::from_millis(50);

/// What a proxy has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Client connections that were forwarded.
    pub connections: u64,
    /// Selected messages, with or without a fault.
    pub concerned: u64,
    /// Messages that were dropped.
    pub dropped: u64,
    /// Messages that were forwarded twice.
    pub duplicated: u64,
    /// Messages that were overtaken by the next one to the same subject.
    pub swapped: u64,
}

#[derive(Debug)]
pub(super) struct Lane {
    connection: u64,
    direction: Direction,
    faults: Arc<Faults>,
    chance: StdRng,
    held: Option<Held>,
    counts: Arc<Mutex<Counts>>,
}

/// A message that waits to be overtaken.
#[derive(Debug)]
struct Held {
    subject: String,
    bytes: Bytes,
    until: Instant,
}

impl Lane {
    pub(super) fn new(
        connection: u64,
        direction: Direction,
        faults: Arc<Faults>,
        counts: Arc<Mutex<Counts>>,
    ) -> Self {
        let chance = StdRng::seed_from_u64(faults.chance_seed(connection, direction));
        Self { connection, direction, faults, chance, held: None, counts }
    }

    /// Replaces the faults, if they differ.
    pub(super) fn set_faults(&mut self, faults: &Arc<Faults>) {
        if !Arc::ptr_eq(&self.faults, faults) {
            self.chance = StdRng::seed_from_u64(faults.chance_seed(self.connection, self.direction));
            self.faults = Arc::clone(faults);
        }
    }

    pub(super) fn delay(&self) -> Duration {
        self.faults.delay(self.direction)
    }

    /// Applies the faults to a received stretch; returns what to forward.
    pub(super) fn pass(&mut self, stretch: Stretch) -> Vec<Bytes> {
        let (subject, bytes) = match stretch {
            Stretch::Message { subject, bytes } if self.faults.concern(&subject, self.direction) => {
                (subject, bytes)
            }
            Stretch::Message { bytes, .. } | Stretch::Other(bytes) => return vec![bytes],
        };
        let fate = self.faults.fate(self.chance.random());
        self.count(|counts| counts.concerned += 1);
        match fate {
            Fate::IsDropped => {
                self.count(|counts| counts.dropped += 1);
                vec![]
            }
            Fate::IsSwapped if self.held.is_none() => {
                self.held = Some(Held { subject, bytes, until: Instant::now() + OVERTAKING });
                vec![]
            }
            Fate::IsDuplicated => {
                self.count(|counts| counts.duplicated += 1);
                self.overtaking(&subject, vec![bytes.clone(), bytes])
            }
            Fate::IsSwapped | Fate::Passes => self.overtaking(&subject, vec![bytes]),
        }
    }

    /// Waits until the held message is due; forever if there is none.
    pub(super) async fn overdue(&self) {
        match &self.held {
            Some(held) => tokio::time::sleep_until(held.until).await,
            None => std::future::pending().await,
        }
    }

    /// Releases the held message.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        self.held.take().map(|held| held.bytes)
    }

    fn overtaking(&mut self, subject: &str, mut sent: Vec<Bytes>) -> Vec<Bytes> {
        if let Some(held) = self.held.take_if(|held| held.subject == subject) {
            self.count(|counts| counts.swapped += 1);
            sent.push(held.bytes);
        }
        sent
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.counts.lock().expect("counting does not panic"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(faults: Faults) -> Lane {
        Lane::new(0, Direction::ToServer, Arc::new(faults), Arc::default())
    }

    fn message(subject: &str, text: &str) -> Stretch {
        Stretch::Message { subject: subject.into(), bytes: text.to_owned().into() }
    }

    fn counts(lane: &Lane) -> Counts {
        *lane.counts.lock().unwrap()
    }

    #[test]
    fn a_swapped_message_follows_the_next_one_of_its_subject() {
        let mut lane = lane(Faults::none().swapping(1.0).on_prefix("x"));

        assert_eq!(lane.pass(message("x.1", "first")), [""; 0]);
        assert_eq!(lane.pass(Stretch::Other("PING".into())), ["PING"]);
        assert_eq!(lane.pass(message("x.2", "another's")), ["another's"]);
        assert_eq!(lane.pass(message("x.1", "second")), ["second", "first"]);
        assert_eq!(counts(&lane), Counts { concerned: 3, swapped: 1, ..Counts::default() });
    }

    #[test]
    fn a_dropped_message_is_lost_and_a_duplicated_one_arrives_twice() {
        let mut dropping = lane(Faults::none().dropping(1.0));
        assert_eq!(dropping.pass(message("x", "m")), [""; 0]);
        assert_eq!(counts(&dropping).dropped, 1);

        let mut duplicating = lane(Faults::none().duplicating(1.0));
        assert_eq!(duplicating.pass(message("x", "m")), ["m", "m"]);
        assert_eq!(counts(&duplicating).duplicated, 1);
    }

    #[test]
    fn a_seed_determines_the_faults() {
        let run = |seed| {
            let mut lane = lane(Faults::none().dropping(0.5).seed(seed));
            (0..64).map(|_| lane.pass(message("x", "m")).len()).collect::<Vec<_>>()
        };

        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn shares_are_met_approximately() {
        let mut lane = lane(Faults::none().dropping(0.01).duplicating(0.01));

        for _ in 0..10_000 {
            lane.pass(message("x", "m"));
        }

        assert!((50..200).contains(&counts(&lane).dropped), "{:?}", counts(&lane));
        assert!((50..200).contains(&counts(&lane).duplicated), "{:?}", counts(&lane));
    }
}

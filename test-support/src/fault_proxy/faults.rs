//! The faults, and their shares.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client: a publication.
    ToServer,
    /// To a client: a delivery.
    ToClient,
}

/// The fault of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    IsDropped,
    IsDuplicated,
    IsSwapped,
}

/// What a [`FaultProxy`](super::FaultProxy) does to messages. Nothing by default.
///
/// A message gets at most one fault, and only if its subject and direction are selected. A message passes the proxy twice
/// if both its publisher and its subscriber are behind it: select one direction then.
#[derive(Clone)]
pub struct Faults {
    drop: f64,
    duplicate: f64,
    swap: f64,
    seed: u64,
    subjects: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    only: Option<Direction>,
    delay_to_server: Duration,
    delay_to_client: Duration,
}

impl Faults {
    /// Forwards everything.
    pub fn none() -> Self {
        Self {
            drop: 0.0,
            duplicate: 0.0,
            swap: 0.0,
            seed: 0,
            subjects: Arc::new(|_| true),
            only: None,
            delay_to_server: Duration::ZERO,
            delay_to_client: Duration::ZERO,
        }
    }

    /// Drops this share of the messages: `0.01` is one in a hundred.
    ///
    /// # Panics
    ///
    /// When the sum of all shares is not between 0 and 1. So do the next two.
    #[must_use]
    pub fn dropping(self, share: f64) -> Self {
        Self { drop: share, ..self }.checked()
    }

    /// Sends this share of the messages twice.
    #[must_use]
    pub fn duplicating(self, share: f64) -> Self {
        Self { duplicate: share, ..self }.checked()
    }

    /// Lets the next selected message of the same connection and direction overtake this share of the messages. If none
    /// follows soon, the message is forwarded in its order.
    #[must_use]
    pub fn swapping(self, share: f64) -> Self {
        Self { swap: share, ..self }.checked()
    }

    /// The seed of the random numbers, so that a run can be repeated. Default 0. Each direction of each connection has
    /// its own generator, seeded with this and the connection's number.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Selects messages by a prefix of their subject.
    #[must_use]
    pub fn on_prefix(self, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        self.on_subjects(move |subject| subject.starts_with(&prefix))
    }

    /// Selects messages by subject. `chosen` is called once for each message, so it may count.
    #[must_use]
    pub fn on_subjects(self, chosen: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { subjects: Arc::new(chosen), ..self }
    }

    /// Selects messages of this direction. Default: both.
    #[must_use]
    pub fn only(self, direction: Direction) -> Self {
        Self { only: Some(direction), ..self }
    }

    /// Delays everything in this direction, in order, selected or not. Default: no delay.
    #[must_use]
    pub fn delayed(mut self, direction: Direction, delay: Duration) -> Self {
        match direction {
            Direction::ToServer => self.delay_to_server = delay,
            Direction::ToClient => self.delay_to_client = delay,
        }
        self
    }

    pub(super) fn delay(&self, direction: Direction) -> Duration {
        match direction {
            Direction::ToServer => self.delay_to_server,
            Direction::ToClient => self.delay_to_client,
        }
    }

    pub(super) fn chance_seed(&self, connection: u64, direction: Direction) -> u64 {
        self.seed
            .wrapping_mul(1_000_003)
            .wrapping_add(connection * 2 + u64::from(direction == Direction::ToClient))
    }

    pub(super) fn concern(&self, subject: &str, direction: Direction) -> bool {
        self.only.is_none_or(|only| only == direction) && (self.subjects)(subject)
    }

    /// The fault of a selected message, for a random number in `0.0..1.0`.
    pub(super) fn fate(&self, drawn: f64) -> Fate {
        if drawn < self.drop {
            Fate::IsDropped
        } else if drawn < self.drop + self.duplicate {
            Fate::IsDuplicated
        } else if drawn < self.drop + self.duplicate + self.swap {
            Fate::IsSwapped
        } else {
            Fate::Passes
        }
    }

    fn checked(self) -> Self {
        let shares = [self.drop, self.duplicate, self.swap];
        let possible = shares.iter().all(|share| *share >= 0.0) && shares.iter().sum::<f64>() <= 1.0;
        assert!(possible, "the sum of all shares must be between 0 and 1: {self:?}");
        self
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("drop", &self.drop)
            .field("duplicate", &self.duplicate)
            .field("swap", &self.swap)
            .field("seed", &self.seed)
            .field("only", &self.only)
            .field("delay_to_server", &self.delay_to_server)
            .field("delay_to_client", &self.delay_to_client)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_share() {
        let faults = Faults::none().dropping(0.1).duplicating(0.2).swapping(0.3);

        assert_eq!(
            [0.05, 0.25, 0.55, 0.65].map(|drawn| faults.fate(drawn)),
            [Fate::IsDropped, Fate::IsDuplicated, Fate::IsSwapped, Fate::Passes]
        );
        assert_eq!(Faults::none().fate(0.0), Fate::Passes);
        assert_eq!(Faults::none().dropping(1.0).fate(0.999), Fate::IsDropped);
    }

    #[test]
    fn only_selected_messages_get_faults() {
        let faults = Faults::none().on_prefix("h8s.x.").only(Direction::ToServer);

        assert!(faults.concern("h8s.x.GET", Direction::ToServer));
        assert!(!faults.concern("h8s.http.GET", Direction::ToServer));
        assert!(!faults.concern("h8s.x.GET", Direction::ToClient));
    }

    #[test]
    #[should_panic(expected = "must be between 0 and 1")]
    fn shares_above_1_are_refused() {
        let _ = Faults::none().dropping(0.6).swapping(0.6);
    }
}

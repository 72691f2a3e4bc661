//! What is to go wrong, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where a message is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client: what it publishes.
    ToServer,
    /// To a client: what it subscribed to.
    ToClient,
}

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    IsDropped,
    IsDuplicated,
    IsSwapped,
}

/// What a [`FaultProxy`](super::FaultProxy) does to the messages it sees. Without further words: nothing.
///
/// Each message meets one fault at most, and only messages whose subject is chosen, in the chosen direction. A message
/// has two chances when both its publisher and its subscriber are behind the proxy: choose a direction then.
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
    /// Everything goes through unharmed.
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
    /// When the shares of all faults are not between 0 and 1 together. So do the next two.
    #[must_use]
    pub fn dropping(self, share: f64) -> Self {
        Self { drop: share, ..self }.checked()
    }

    /// Sends this share of the messages twice.
    #[must_use]
    pub fn duplicating(self, share: f64) -> Self {
        Self { duplicate: share, ..self }.checked()
    }

    /// Lets the next chosen message of the same connection and direction overtake this share of the messages. If none
    /// comes soon, the message goes on where it was.
    #[must_use]
    pub fn swapping(self, share: f64) -> Self {
        Self { swap: share, ..self }.checked()
    }

    /// What chance begins with, so that a run can be repeated. Default 0. Each connection's directions have a chance of
    /// their own, made from this and the number of the connection.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Harms only messages to subjects that begin so.
    #[must_use]
    pub fn on_prefix(self, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        self.on_subjects(move |subject| subject.starts_with(&prefix))
    }

    /// Harms only messages to subjects that `chosen` says yes to. It is asked once for each message, so it may count.
    #[must_use]
    pub fn on_subjects(self, chosen: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { subjects: Arc::new(chosen), ..self }
    }

    /// Harms only messages that go this way. Default: both ways.
    #[must_use]
    pub fn only(self, direction: Direction) -> Self {
        Self { only: Some(direction), ..self }
    }

    /// Delivers everything that goes this way so much later, in order, chosen or not. Default: at once.
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

    /// What happens to a message that is concerned, for a number drawn from `0.0..1.0`.
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
        assert!(possible, "the shares of all faults are between 0 and 1 together: {self:?}");
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
    fn only_what_is_chosen_is_concerned() {
        let faults = Faults::none().on_prefix("h8s.x.").only(Direction::ToServer);

        assert!(faults.concern("h8s.x.GET", Direction::ToServer));
        assert!(!faults.concern("h8s.http.GET", Direction::ToServer));
        assert!(!faults.concern("h8s.x.GET", Direction::ToClient));
    }

    #[test]
    #[should_panic(expected = "between 0 and 1 together")]
    fn more_than_all_is_refused() {
        let _ = Faults::none().dropping(0.6).swapping(0.6);
    }
}

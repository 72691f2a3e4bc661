//! How an exchange ends early, as its two ends know it. What callers see of it is in `error`.

use h8s_wire::{AbortCode, FrameError, RefusedCode};

use crate::error::BoxError;

/// Why an exchange is over before it is complete.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody subscribes to where the last frame went: before the first answer nobody serves, later the peer died.
    NoResponders,
    Refused(RefusedCode),
    /// The peer says so.
    Aborted(AbortCode, String),
    /// The peer's client has gone.
    Cancelled,
    /// Frames were lost, repeated or reordered.
    Lost,
    /// The peer sent more than it was allowed.
    OverLimit,
    Malformed(FrameError),
    /// Nothing heard for three beats.
    Silent,
    /// NATS was away before anybody answered; it may or may not have been executed.
    Disturbed,
    /// Our own side gave up.
    Closed,
    /// The body that we send failed at its source.
    Body(std::sync::Arc<BoxError>),
}

impl Failure {
    /// What the peer should hear of a failure that was found here.
    pub(crate) fn abort_code(&self) -> Option<AbortCode> {
        match self {
            Self::Lost => Some(AbortCode::Lost),
            Self::OverLimit => Some(AbortCode::OverLimit),
            Self::Malformed(FrameError::UnknownKind(_) | FrameError::UnknownVersion(_)) => {
                Some(AbortCode::Unsupported)
            }
            Self::Malformed(_) => Some(AbortCode::Malformed),
            _ => None,
        }
    }
}

/// Why the writer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The reader of our direction has gone; the other direction may go on.
    Unread,
    /// The exchange is over; the reader of the other direction finds out why.
    Failed,
}

//! How a connection ends, and what each side is told of it.

use h8s_wire::Close;

use super::codec::Violation;

/// The first of these that happens decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client closed.
    Client(Close),
    /// The client's socket ended without a close frame, or failed.
    Vanished,
    /// Not a byte for two intervals, although it was pinged.
    Silent,
    /// Nothing was read for the whole write timeout.
    Stalled,
    /// The client broke the protocol, or went over a limit.
    Violation(Violation),
    /// The responder closes, or is not to be had any more.
    Responder(Close),
    /// Somebody who may push closes.
    Pushed(Close),
    /// More pushes wait than may.
    Slow,
    /// The gateway drains.
    Draining,
    /// The gateway ends now.
    Cut,
}

/// RFC 6455 §7.4.1 and its registry.
const RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

impl Ending {
    /// What everybody is told: the client where it can be, the responder, and whoever follows the registry.
    pub(crate) fn close(&self) -> Close {
        match self {
            Self::Client(close) | Self::Responder(close) | Self::Pushed(close) => close.clone(),
            Self::Vanished => Close::new(Close::ABNORMAL, ""),
            Self::Silent => Close::new(Close::ABNORMAL, "no answer to a ping"),
            Self::Stalled => Close::new(Close::ABNORMAL, "nothing was read"),
            Self::Cut => Close::new(Close::ABNORMAL, "cut off by the gateway's shutdown"),
            Self::Violation(violation) => Close::new(violation.close_code(), violation.to_string()),
            Self::Slow => Close::new(TRY_AGAIN_LATER, "slow"),
            Self::Draining => Close::new(RESTART, "restarting"),
        }
    }

    /// Is there a client to say it to?
    pub(crate) fn is_said(&self) -> bool {
        !matches!(self, Self::Vanished | Self::Silent | Self::Stalled | Self::Cut)
    }

    /// Does what was queued before still go out? A client that closed does not want it, and one that is slow would not
    /// get to the close frame behind it.
    pub(crate) fn is_at_once(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Slow)
    }

    /// Is the client expected to answer with a close frame of its own? Not if it has said its own, and what it says after
    /// a violation is not understood.
    pub(crate) fn awaits_answer(&self) -> bool {
        !matches!(self, Self::Client(_) | Self::Violation(_))
    }

    /// One word for the metrics.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Vanished => "vanished",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Violation(_) => "violation",
            Self::Responder(_) => "responder",
            Self::Pushed(_) => "pushed",
            Self::Slow => "slow",
            Self::Draining => "draining",
            Self::Cut => "cut",
        }
    }
}

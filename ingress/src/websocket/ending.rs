//! Why a connection ends, and the close that each side gets.

use h8s_wire::Close;

use super::codec::Violation;

/// Why a connection ends. The first cause decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client closed.
    Client(Close),
    /// The client's socket ended without a close frame, or failed.
    Vanished,
    /// No byte for two ping intervals.
    Silent,
    /// The client read nothing for the write timeout.
    Stalled,
    /// The client violated the protocol, or exceeded a limit.
    Violation(Violation),
    /// The responder closed, or is gone.
    Responder(Close),
    /// Closed by a push.
    Pushed(Close),
    /// The push queue is full.
    Slow,
    /// The gateway drains.
    Draining,
    /// The gateway shuts down at once.
    Cut,
}

/// RFC 6455 §7.4.1 and its registry.
const RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

impl Ending {
    /// The close for the client, the responder and the connection registry.
    pub(crate) fn close(&self) -> Close {
        match self {
            Self::Client(close) | Self::Responder(close) | Self::Pushed(close) => close.clone(),
            Self::Vanished => Close::new(Close::ABNORMAL, ""),
            Self::Silent => Close::new(Close::ABNORMAL, "ping timeout"),
            Self::Stalled => Close::new(Close::ABNORMAL, "write timeout"),
            Self::Cut => Close::new(Close::ABNORMAL, "cut off by the gateway's shutdown"),
            Self::Violation(violation) => Close::new(violation.close_code(), violation.to_string()),
            Self::Slow => Close::new(TRY_AGAIN_LATER, "slow"),
            Self::Draining => Close::new(RESTART, "restarting"),
        }
    }

    /// Whether a close frame can reach the client.
    pub(crate) fn reaches_client(&self) -> bool {
        !matches!(self, Self::Vanished | Self::Silent | Self::Stalled | Self::Cut)
    }

    /// Whether queued messages are dropped: a client that closed does not want them, and a slow one would not reach the close
    /// frame behind them.
    pub(crate) fn is_at_once(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Slow)
    }

    /// Whether the client must still send a close frame. Not if it has sent one; after a violation its bytes cannot be
    /// decoded.
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

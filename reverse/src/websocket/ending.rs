//! The ending of a WebSocket, and the close for each side.

use h8s_nats::Incoming;
use h8s_wire::Close;

use super::codec::BackendEvent;

/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
const TOO_LARGE: u16 = 1009;
/// Not 1014, which is more specific, because Chromium treats it as an invalid frame.
const FAILED: u16 = 1011;

/// The first of these to happen.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Closed by the client, or by the gateway for it; 1006 without a close frame.
    Client(Close),
    /// The client's message exceeds the limit.
    ClientTooLarge,
    /// This daemon drains, or lost the gateway: the client has another close already.
    Gone,
    /// Closed by the backend.
    Backend(Close),
    /// The backend's connection ended without a close frame.
    Vanished,
    /// The backend violated the protocol.
    Broken(tokio_websockets::Error),
    /// The backend's message exceeds the limit.
    BackendTooLarge,
}

impl Ending {
    /// By the last event from the client.
    pub(crate) fn of_client(last: Incoming) -> Self {
        match last {
            Incoming::Close(close) => Self::Client(close),
            Incoming::Disconnected { .. } | Incoming::Moved | Incoming::Message { .. } => Self::Gone,
        }
    }

    /// The close for the client, unless it has one.
    pub(crate) fn for_client(&self) -> Option<Close> {
        match self {
            Self::Client(_) | Self::Gone => None,
            Self::Backend(close) => Some(close.clone()),
            Self::ClientTooLarge | Self::BackendTooLarge => {
                Some(Close::new(TOO_LARGE, "the message is too large"))
            }
            Self::Vanished => Some(Close::new(FAILED, "the backend is gone")),
            Self::Broken(_) => Some(Close::new(FAILED, "the backend failed")),
        }
    }

    /// The close for the backend.
    pub(crate) fn for_backend(&self) -> BackendClose {
        match self {
            Self::Client(close) if close.code == Close::ABNORMAL => BackendClose::None,
            Self::Client(close) => BackendClose::Send(close.clone()),
            Self::ClientTooLarge => BackendClose::Send(Close::new(TOO_LARGE, "the message is too large")),
            Self::Gone => BackendClose::Send(Close::new(GOING_AWAY, "going away")),
            Self::Backend(_) | Self::Broken(_) | Self::BackendTooLarge => BackendClose::AlreadySent,
            Self::Vanished => BackendClose::None,
        }
    }
}

impl From<BackendEvent> for Ending {
    fn from(last: BackendEvent) -> Self {
        match last {
            BackendEvent::Close(close) => Self::Backend(close),
            BackendEvent::Broken(error) => Self::Broken(error),
            BackendEvent::TooLarge => Self::BackendTooLarge,
            BackendEvent::Vanished | BackendEvent::Message(_) => Self::Vanished,
        }
    }
}

/// The last frame for a backend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BackendClose {
    /// Send this close.
    Send(Close),
    /// Sent already: the reply to the backend's close, or to its protocol error.
    AlreadySent,
    /// End the connection without a close frame, as on the other side.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_is_forwarded_unchanged() {
        let close = Close::new(4321, "enough");
        let ending = Ending::of_client(Incoming::Close(close.clone()));
        assert_eq!((ending.for_client(), ending.for_backend()), (None, BackendClose::Send(close.clone())));

        let ending = Ending::from(BackendEvent::Close(close.clone()));
        assert_eq!((ending.for_client(), ending.for_backend()), (Some(close), BackendClose::AlreadySent));
    }

    #[test]
    fn a_side_without_a_close_frame_gets_none() {
        let ending = Ending::of_client(Incoming::Close(Close::new(Close::ABNORMAL, "")));
        assert_eq!((ending.for_client(), ending.for_backend()), (None, BackendClose::None));

        let ending = Ending::from(BackendEvent::Vanished);
        assert_eq!((ending.for_client().unwrap().code, ending.for_backend()), (FAILED, BackendClose::None));
    }

    #[test]
    fn a_draining_daemon_closes_the_backend_as_going_away() {
        for last in [
            Incoming::Moved,
            Incoming::Disconnected { closed: true },
            Incoming::Disconnected { closed: false },
        ] {
            let BackendClose::Send(close) = Ending::of_client(last).for_backend() else { panic!("no close") };
            assert_eq!(close.code, GOING_AWAY);
        }
    }
}

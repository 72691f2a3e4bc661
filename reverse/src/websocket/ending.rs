//! How a WebSocket ends, and what each side is told of it.

use h8s_nats::Incoming;
use h8s_wire::Close;

use super::codec::Said;

/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;
const TOO_LARGE: u16 = 1009;
/// Not 1014, which says more, but which Chromium takes for a broken frame.
const FAILED: u16 = 1011;

/// The first of these that happens decides.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client has closed, or the gateway for it; 1006 if it vanished.
    Client(Close),
    /// The client said more than the backend is to get at once.
    ClientTooLarge,
    /// This daemon drains, or the way to the gateway is gone: the client has another close already.
    Gone,
    /// The backend has closed.
    Backend(Close),
    /// The backend's connection ended without a close frame.
    Vanished,
    /// The backend sent what is no WebSocket.
    Broken(tokio_websockets::Error),
    /// The backend said more than is taken at once.
    BackendTooLarge,
}

impl Ending {
    /// By what came from the client last.
    pub(crate) fn of_client(last: Incoming) -> Self {
        match last {
            Incoming::Close(close) => Self::Client(close),
            Incoming::Disconnected { .. } | Incoming::Moved | Incoming::Message { .. } => Self::Gone,
        }
    }

    /// What the client is told, if there is somebody to tell.
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

    /// What the backend is told.
    pub(crate) fn for_backend(&self) -> Farewell {
        match self {
            Self::Client(close) if close.code == Close::ABNORMAL => Farewell::None,
            Self::Client(close) => Farewell::Say(close.clone()),
            Self::ClientTooLarge => Farewell::Say(Close::new(TOO_LARGE, "the message is too large")),
            Self::Gone => Farewell::Say(Close::new(GOING_AWAY, "going away")),
            Self::Backend(_) | Self::Broken(_) | Self::BackendTooLarge => Farewell::Said,
            Self::Vanished => Farewell::None,
        }
    }
}

impl From<Said> for Ending {
    fn from(last: Said) -> Self {
        match last {
            Said::Close(close) => Self::Backend(close),
            Said::Broken(error) => Self::Broken(error),
            Said::TooLarge => Self::BackendTooLarge,
            Said::Vanished | Said::Message(_) => Self::Vanished,
        }
    }
}

/// The last frame for a backend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// This one.
    Say(Close),
    /// It is on its way already: an answer to the backend's own, or to what the backend did wrong.
    Said,
    /// There is none: the connection breaks off, as it did on the other side.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_goes_to_the_other_side_as_it_came() {
        let close = Close::new(4321, "enough");
        let ending = Ending::of_client(Incoming::Close(close.clone()));
        assert_eq!((ending.for_client(), ending.for_backend()), (None, Farewell::Say(close.clone())));

        let ending = Ending::from(Said::Close(close.clone()));
        assert_eq!((ending.for_client(), ending.for_backend()), (Some(close), Farewell::Said));
    }

    #[test]
    fn who_vanishes_has_no_last_word() {
        let ending = Ending::of_client(Incoming::Close(Close::new(Close::ABNORMAL, "")));
        assert_eq!((ending.for_client(), ending.for_backend()), (None, Farewell::None));

        let ending = Ending::from(Said::Vanished);
        assert_eq!((ending.for_client().unwrap().code, ending.for_backend()), (FAILED, Farewell::None));
    }

    #[test]
    fn a_daemon_that_leaves_says_so_to_the_backend() {
        for last in [
            Incoming::Moved,
            Incoming::Disconnected { closed: true },
            Incoming::Disconnected { closed: false },
        ] {
            let Farewell::Say(close) = Ending::of_client(last).for_backend() else { panic!("nothing said") };
            assert_eq!(close.code, GOING_AWAY);
        }
    }
}

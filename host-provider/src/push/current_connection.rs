//! The connection that a call is about.
//!
//! Before it is accepted, what is wanted of it is kept; while it is open, it is spoken to along its own exchange.

use h8s_nats::WebSocketSender;
use h8s_wire::push::{Group, Push};
use h8s_wire::{Close, ConnectionId, Message};

use crate::push::scope::SendingError;

/// What `on-open` may keep for later, in bytes: well within the window in which a connection needs no credit.
const KEPT_BYTES: usize = 256 << 10;

/// The same in number.
const KEPT_STEPS: usize = 64;

/// The connection that a call is about.
pub(crate) struct Own {
    pub(crate) id: ConnectionId,
    pub(crate) state: OwnState,
    /// What the guest wants it closed with, once the call has returned.
    pub(crate) close: Option<Close>,
}

/// What can be done with it now.
pub(crate) enum OwnState {
    /// Not accepted yet: what is wanted of it is kept.
    Opening(Kept),
    Open(WebSocketSender),
    Closed,
}

/// What `on-open` wanted of its own connection.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) steps: Vec<Step>,
    bytes: usize,
    /// And then, that it is closed.
    pub(crate) close: Option<Close>,
}

/// One such thing.
pub(crate) enum Step {
    Send(Message),
    Join(Group),
    Leave(Group),
}

impl From<Step> for Push {
    fn from(step: Step) -> Self {
        match step {
            Step::Send(message) => Self::Message(message),
            Step::Join(group) => Self::Join(group),
            Step::Leave(group) => Self::Leave(group),
        }
    }
}

impl Own {
    /// During `on-open`.
    pub(crate) fn opening(id: ConnectionId) -> Self {
        Self { id, state: OwnState::Opening(Kept::default()), close: None }
    }

    /// During `handle-message`.
    pub(crate) fn open(id: ConnectionId, sender: WebSocketSender) -> Self {
        Self { id, state: OwnState::Open(sender), close: None }
    }

    /// During `on-close`.
    pub(crate) fn closed(id: ConnectionId) -> Self {
        Self { id, state: OwnState::Closed, close: None }
    }
}

impl Kept {
    /// Keeps one thing more, of so many bytes.
    pub(crate) fn keep(&mut self, bytes: usize, step: Step) -> Result<(), SendingError> {
        let room = KEPT_BYTES - self.bytes;
        if self.steps.len() == KEPT_STEPS {
            return Err(SendingError::Unavailable(
                "on-open has sent as much as it may to its own connection",
            ));
        }
        if bytes > room {
            return Err(SendingError::TooLarge { limit_bytes: room });
        }
        self.bytes += bytes;
        self.steps.push(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(kept: &mut Kept, bytes: usize) -> Result<(), SendingError> {
        kept.keep(bytes, Step::Send(Message::binary(vec![0; bytes])))
    }

    #[test]
    fn what_is_kept_is_bounded_in_number() {
        let mut kept = Kept::default();
        (0..KEPT_STEPS).for_each(|_| send(&mut kept, 1).unwrap());
        assert!(matches!(send(&mut kept, 1), Err(SendingError::Unavailable(_))));
        assert_eq!(kept.steps.len(), KEPT_STEPS);
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let mut kept = Kept::default();
        send(&mut kept, KEPT_BYTES - 10).unwrap();
        let refused = send(&mut kept, 11);
        assert!(matches!(refused, Err(SendingError::TooLarge { limit_bytes: 10 })), "{refused:?}");
        send(&mut kept, 10).unwrap();
    }
}

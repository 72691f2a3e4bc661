//! The connection that a call is about.
//!
//! Until the connection is accepted, actions are queued; afterwards messages are sent in order over its exchange.

use h8s_nats::WebSocketSender;
use h8s_wire::push::{Group, Push};
use h8s_wire::{Close, ConnectionId, Message};

use crate::bindings::SenderError;

/// Bytes that `on-open` may queue: well within the window in which a connection needs no credit.
const PENDING_BYTES: usize = 256 << 10;

/// Actions that `on-open` may queue.
const PENDING_ACTIONS: usize = 64;

/// The connection that a call is about.
pub(crate) struct CurrentConnection {
    pub(crate) id: ConnectionId,
    pub(crate) state: ConnectionState,
    /// Close the connection with this once the call has returned.
    pub(crate) close: Option<Close>,
}

/// What can be done with the connection now.
pub(crate) enum ConnectionState {
    /// Not accepted yet: actions are queued.
    Opening(PendingActions),
    Open(WebSocketSender),
    Closed,
}

/// Actions that `on-open` requested for its own connection.
#[derive(Default)]
pub(crate) struct PendingActions {
    pub(crate) actions: Vec<Action>,
    bytes: usize,
    /// Close the connection after the actions.
    pub(crate) close: Option<Close>,
}

/// One requested action.
pub(crate) enum Action {
    Send(Message),
    Join(Group),
    Leave(Group),
}

impl From<Action> for Push {
    fn from(action: Action) -> Self {
        match action {
            Action::Send(message) => Self::Message(message),
            Action::Join(group) => Self::Join(group),
            Action::Leave(group) => Self::Leave(group),
        }
    }
}

impl CurrentConnection {
    /// During `on-open`.
    pub(crate) fn opening(id: ConnectionId) -> Self {
        Self { id, state: ConnectionState::Opening(PendingActions::default()), close: None }
    }

    /// During `handle-message`.
    pub(crate) fn open(id: ConnectionId, sender: WebSocketSender) -> Self {
        Self { id, state: ConnectionState::Open(sender), close: None }
    }

    /// During `on-close`.
    pub(crate) fn closed(id: ConnectionId) -> Self {
        Self { id, state: ConnectionState::Closed, close: None }
    }
}

impl PendingActions {
    /// Queues an action with a payload of `bytes` bytes.
    pub(crate) fn add(&mut self, bytes: usize, action: Action) -> Result<(), SenderError> {
        let room = PENDING_BYTES - self.bytes;
        if self.actions.len() == PENDING_ACTIONS {
            return Err(SenderError::Unavailable(
                "on-open has reached its limit of messages to its own connection",
            ));
        }
        if bytes > room {
            return Err(SenderError::TooLarge { limit_bytes: room });
        }
        self.bytes += bytes;
        self.actions.push(action);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(pending: &mut PendingActions, bytes: usize) -> Result<(), SenderError> {
        pending.add(bytes, Action::Send(Message::binary(vec![0; bytes])))
    }

    #[test]
    fn pending_actions_are_bounded_in_number() {
        let mut pending = PendingActions::default();
        (0..PENDING_ACTIONS).for_each(|_| send(&mut pending, 1).unwrap());
        assert!(matches!(send(&mut pending, 1), Err(SenderError::Unavailable(_))));
        assert_eq!(pending.actions.len(), PENDING_ACTIONS);
    }

    #[test]
    fn pending_actions_are_bounded_in_bytes() {
        let mut pending = PendingActions::default();
        send(&mut pending, PENDING_BYTES - 10).unwrap();
        let refused = send(&mut pending, 11);
        assert!(matches!(refused, Err(SenderError::TooLarge { limit_bytes: 10 })), "{refused:?}");
        send(&mut pending, 10).unwrap();
    }
}

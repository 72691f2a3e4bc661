//! `receiver`, as guests export it: one message from one connection.

use h8s_wire::{Message, MessageKind};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bindings::h8s::exported::receiver::{Frame, Origin};
use crate::component::exports::Receiver;
use crate::instance::{Call, GuestState};
use crate::push::original;

/// One message, for `handle-message`.
pub(crate) struct Receive {
    pub(crate) receiver: Receiver,
    pub(crate) from: Origin,
    pub(crate) message: Message,
}

impl Call for Receive {
    /// What the guest says about it.
    type Output = Result<(), String>;

    async fn run(self, store: &mut Store<GuestState>, instance: Instance) -> wasmtime::Result<Self::Output> {
        let Self { receiver, from, message } = self;
        match receiver {
            Receiver::Ours(indices) => {
                let guest = indices.load(&mut *store, &instance)?;
                guest.call_handle_message(store, &from, &frame(message)).await
            }
            Receiver::Original(indices) => {
                let guest = indices.load(&mut *store, &instance)?;
                let said = guest.call_handle_message(store, &original::received(from, message)).await?;
                Ok(said.map(|_| ()))
            }
        }
    }
}

fn frame(message: Message) -> Frame {
    match message.kind {
        // The gateway has closed connections that send anything else (RFC 6455 §8.1).
        MessageKind::Text => Frame::Text(String::from_utf8_lossy(&message.data).into_owned()),
        MessageKind::Binary => Frame::Binary(message.data.to_vec()),
    }
}

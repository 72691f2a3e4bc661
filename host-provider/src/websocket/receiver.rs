//! `receiver`, as guests export it: one message from one connection.

use h8s_wire::{Message, MessageKind, plain, push};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bindings::h8s::exported::receiver::{Frame, Origin};
use crate::bindings::original::imported::types::{KeyValue, Msg};
use crate::component::exports::Receiver;
use crate::instance::{Call, GuestState};

/// Marks a message that may have been handled before, in the original package.
const REPEATED: &str = "H8s-Repeated";

/// A call of `handle-message`.
pub(crate) struct Receive {
    pub(crate) receiver: Receiver,
    pub(crate) from: Origin,
    pub(crate) message: Message,
}

impl Call for Receive {
    /// The guest's result; an error is logged.
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
                let handled = guest.call_handle_message(store, &received(from, message)).await?;
                Ok(handled.map(|_| ()))
            }
        }
    }
}

fn frame(message: Message) -> Frame {
    match message.kind {
        // The gateway closes connections that send anything else (RFC 6455 §8.1).
        MessageKind::Text => Frame::Text(String::from_utf8_lossy(&message.data).into_owned()),
        MessageKind::Binary => Frame::Binary(message.data.to_vec()),
    }
}

/// A client's message, in the form that a plain subscriber receives.
fn received(from: Origin, message: Message) -> Msg {
    let kind = match message.kind {
        MessageKind::Text => "text",
        MessageKind::Binary => "binary",
    };
    let mut headers = vec![
        header(push::CONNECTION, &from.connection),
        header(push::FRAME, kind),
        header(plain::PUBLISH_SUBJECT, &from.subject),
    ];
    headers.extend(from.repeated.then(|| header(REPEATED, "true")));
    Msg { headers, data: message.data.to_vec(), reply: from.connection, subject: from.subject }
}

fn header(name: &str, value: &str) -> KeyValue {
    KeyValue { key: name.into(), value: vec![value.into()] }
}

//! `mattilsynet:h8s-provider`, the wasmCloud provider's package, in terms of ours.
//!
//! Everything is a `msg` there. A connection is named by its `reply`, which for guests is an opaque text; here it is
//! the connection's id.

use h8s_wire::plain::{self, train_case};
use h8s_wire::{ConnectionEntry, Message, MessageKind, push};

use crate::bindings::h8s::exported::receiver::Origin;
use crate::bindings::original::imported::sender::Host;
use crate::bindings::original::imported::types::{self, KeyValue, Msg};
use crate::http::msg::{self, grouped};
use crate::push::guest_sender::Sending;

/// What the provider says when a message has been sent.
const SENT: &str = "bytes sent";

/// On a message that may have been handled before.
const REPEATED: &str = "H8s-Repeated";

impl types::Host for Sending {}

impl Host for Sending {
    async fn get_connections(&mut self) -> wasmtime::Result<Result<Vec<Msg>, String>> {
        Ok(told(self.list().map(|entries| entries.iter().map(|entry| connection(entry)).collect())))
    }

    async fn get_connections_by_subject(
        &mut self,
        subject: String,
    ) -> wasmtime::Result<Result<Vec<Msg>, String>> {
        Ok(told(
            self.matching(&subject).map(|entries| entries.iter().map(|entry| connection(entry)).collect()),
        ))
    }

    async fn send(&mut self, conn: String, payload: Vec<u8>) -> wasmtime::Result<Result<String, String>> {
        Ok(told(self.send(&conn, Message::guess(payload.into())).await.map(|()| SENT.into())))
    }
}

fn told<T, E: ToString>(outcome: Result<T, E>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

/// A connection, as the control message that announced it.
fn connection(entry: &ConnectionEntry) -> Msg {
    let fields = entry.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<KeyValue> =
        grouped(fields).into_iter().map(|(name, value)| KeyValue { key: train_case(name), value }).collect();
    headers.push(header(plain::PUBLISH_SUBJECT, &entry.subject));
    Msg { headers, data: Vec::new(), reply: entry.connection.to_string(), subject: entry.subject.clone() }
}

/// A client's message, as a plain subscriber would have it.
pub(crate) fn received(from: Origin, message: Message) -> Msg {
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

pub(crate) fn to_guest(msg: msg::Msg) -> Msg {
    let headers = msg.headers.into_iter().map(|(key, value)| KeyValue { key, value });
    Msg { headers: headers.collect(), data: msg.data, reply: msg.reply, subject: msg.subject }
}

pub(crate) fn from_guest(msg: Msg) -> msg::Msg {
    let headers = msg.headers.into_iter().map(|field| (field.key, field.value));
    msg::Msg { headers: headers.collect(), data: msg.data, reply: msg.reply, subject: msg.subject }
}

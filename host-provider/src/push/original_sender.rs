//! `mattilsynet:h8s-provider/sender`, the wasmCloud provider's interface, on top of ours.
//!
//! Everything is a `msg` there. A connection is named by its `reply`, which is opaque to guests; here it is the
//! connection's id.

use h8s_wire::plain::{self, train_case};
use h8s_wire::{ConnectionEntry, Message};

use crate::bindings::fields::grouped;
use crate::bindings::original::imported::sender::Host;
use crate::bindings::original::imported::types::{self, KeyValue, Msg};
use crate::push::guest_sender::GuestSender;

/// What the provider returns for a sent message.
const SENT: &str = "bytes sent";

impl types::Host for GuestSender {}

impl Host for GuestSender {
    async fn get_connections(&mut self) -> wasmtime::Result<Result<Vec<Msg>, String>> {
        Ok(in_words(self.list().map(|entries| entries.iter().map(|entry| connection(entry)).collect())))
    }

    async fn get_connections_by_subject(
        &mut self,
        subject: String,
    ) -> wasmtime::Result<Result<Vec<Msg>, String>> {
        Ok(in_words(
            self.matching(&subject).map(|entries| entries.iter().map(|entry| connection(entry)).collect()),
        ))
    }

    async fn send(&mut self, conn: String, payload: Vec<u8>) -> wasmtime::Result<Result<String, String>> {
        Ok(in_words(self.send(&conn, Message::guess(payload.into())).await.map(|()| SENT.into())))
    }
}

/// The interface's errors are texts.
fn in_words<T, E: ToString>(outcome: Result<T, E>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

/// A connection, in the form of the control message that announced it.
fn connection(entry: &ConnectionEntry) -> Msg {
    let fields = entry.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<KeyValue> =
        grouped(fields).into_iter().map(|(name, value)| KeyValue { key: train_case(name), value }).collect();
    headers.push(KeyValue { key: plain::PUBLISH_SUBJECT.into(), value: vec![entry.subject.clone()] });
    Msg { headers, data: Vec::new(), reply: entry.connection.to_string(), subject: entry.subject.clone() }
}

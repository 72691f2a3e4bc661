//! `h8s:provider/sender`, as guests import it.

use h8s_wire::{Close, ConnectionEntry, Message};

use crate::bindings::SenderError;
use crate::bindings::fields::fields;
use crate::bindings::h8s::imported::sender::Host;
use crate::bindings::h8s::imported::types::{self, Connection, Error, Frame};
use crate::push::guest_sender::GuestSender;

impl types::Host for GuestSender {
    fn convert_error(&mut self, error: SenderError) -> wasmtime::Result<Error> {
        Ok(match error {
            SenderError::Unknown => Error::UnknownConnection,
            SenderError::Closed => Error::ClosedConnection,
            SenderError::Foreign => Error::ForeignConnection,
            SenderError::TooLarge { limit_bytes } => Error::TooLarge(limit_bytes as u64),
            SenderError::Invalid(why) => Error::Invalid(why.into()),
            SenderError::Unavailable(why) => Error::Unavailable(why.into()),
        })
    }
}

impl Host for GuestSender {
    async fn get_connections(&mut self) -> Result<Vec<Connection>, SenderError> {
        Ok(self.list()?.iter().map(|entry| connection(entry)).collect())
    }

    async fn get_connections_by_subject(&mut self, subject: String) -> Result<Vec<Connection>, SenderError> {
        Ok(self.matching(&subject)?.iter().map(|entry| connection(entry)).collect())
    }

    async fn send(&mut self, to: String, frame: Frame) -> Result<(), SenderError> {
        self.send(&to, message(frame)).await
    }

    async fn broadcast(&mut self, path: Option<String>, frame: Frame) -> Result<(), SenderError> {
        self.broadcast(path.as_deref(), message(frame)).await
    }

    async fn close(&mut self, connection: String, code: u16, reason: String) -> Result<(), SenderError> {
        self.close(&connection, Close::new(code, reason)).await
    }

    async fn join(&mut self, connection: String, group: String) -> Result<(), SenderError> {
        self.join(&connection, &group).await
    }

    async fn leave(&mut self, connection: String, group: String) -> Result<(), SenderError> {
        self.leave(&connection, &group).await
    }

    async fn broadcast_group(&mut self, group: String, frame: Frame) -> Result<(), SenderError> {
        self.broadcast_group(&group, message(frame)).await
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::text(text),
        Frame::Binary(bytes) => Message::binary(bytes),
    }
}

fn connection(entry: &ConnectionEntry) -> Connection {
    Connection {
        id: entry.connection.to_string(),
        host: entry.host.name().to_owned(),
        path: entry.path.clone(),
        query: entry.query.clone(),
        subject: entry.subject.clone(),
        protocol: entry.protocol.clone(),
        headers: fields(entry.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    }
}

//! The incoming half of an exchange whose bodies are messages: assembles parts to whole messages.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h8s_wire::{AbortCode, Close, Frame, Message, MessageKind};

use crate::exchange::failure::Failure;
use crate::exchange::flow_control::Reading;
use crate::exchange::handle::Exchange;
use crate::exchange::mailbox::Carries;

/// A received message or close, and the number of frames up to its end.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) item: Item,
    pub(crate) frames: u64,
}

#[derive(Debug)]
pub(crate) enum Item {
    Message { message: Message, redelivered: bool },
    Close(Close),
}

/// Why reading has ended.
#[derive(Debug)]
pub(crate) enum ReadError {
    Failed(Failure),
    /// A message exceeds this side's limit.
    TooLarge,
    /// The peer violated the protocol. It has been notified.
    Invalid(&'static str),
}

/// Reads messages; see the module.
pub(crate) struct MessageReader {
    exchange: Arc<Exchange>,
    reading: Reading,
    limit_bytes: usize,
    /// Frames read so far, including the peer's `HEAD`.
    taken: u64,
    partial: Option<Partial>,
}

struct Partial {
    kind: MessageKind,
    redelivered: bool,
    data: BytesMut,
}

impl MessageReader {
    /// `granted` is the credit that the peer has; its `HEAD` has been read.
    pub(crate) fn new(exchange: Arc<Exchange>, granted: u64, limit_bytes: usize) -> Self {
        Self {
            exchange,
            reading: Reading::new(Carries::Messages, granted),
            limit_bytes,
            taken: 1,
            partial: None,
        }
    }

    /// Reads frames until a message is complete. Reading grants credit.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Result<Received, ReadError>> {
        loop {
            let frame = ready!(self.exchange.mailbox.poll_frame(cx)).map_err(ReadError::Failed)?;
            self.taken += 1;
            self.grant(frame.len());
            if let Some(item) = self.take(frame)? {
                return Poll::Ready(Ok(Received { item, frames: self.taken }));
            }
        }
    }

    fn grant(&mut self, frame_bytes: usize) {
        if let Some(limit) = self.reading.take(frame_bytes) {
            let (limit, handled) = self.exchange.mailbox.grant(limit);
            self.exchange.send_soon(&Frame::Credit { limit, handled });
        }
    }

    fn take(&mut self, frame: Bytes) -> Result<Option<Item>, ReadError> {
        match Frame::decode(frame) {
            Ok(Frame::Message { flags, bytes, .. }) => {
                let kind = if flags.binary { MessageKind::Binary } else { MessageKind::Text };
                self.take_part(kind, flags.again, bytes, flags.more)
            }
            Ok(Frame::Close { code, reason, .. }) => {
                // A code beyond 16 bits has no meaning.
                let code = u16::try_from(code).unwrap_or(Close::NO_CODE);
                Ok(Some(Item::Close(Close::new(code, reason))))
            }
            Ok(_) => Err(self.refuse("a frame that belongs to no message")),
            Err(_) => Err(self.refuse("a frame that cannot be read")),
        }
    }

    fn take_part(
        &mut self,
        kind: MessageKind,
        redelivered: bool,
        bytes: Bytes,
        more: bool,
    ) -> Result<Option<Item>, ReadError> {
        let before = self.partial.as_ref().map_or(0, |partial| partial.data.len());
        if before + bytes.len() > self.limit_bytes {
            return Err(ReadError::TooLarge);
        }
        if self.partial.as_ref().is_some_and(|partial| partial.kind != kind) {
            return Err(self.refuse("parts of different kinds in one message"));
        }
        if !more && self.partial.is_none() {
            return self.whole(kind, redelivered, bytes).map(Some);
        }
        let partial =
            self.partial.get_or_insert_with(|| Partial { kind, redelivered, data: BytesMut::new() });
        partial.data.extend_from_slice(&bytes);
        partial.redelivered |= redelivered;
        match more {
            true => Ok(None),
            false => match self.partial.take() {
                Some(Partial { kind, redelivered, data }) => {
                    self.whole(kind, redelivered, data.freeze()).map(Some)
                }
                None => Ok(None),
            },
        }
    }

    fn whole(&self, kind: MessageKind, redelivered: bool, data: Bytes) -> Result<Item, ReadError> {
        let message = Message { kind, data };
        match message.is_valid() {
            true => Ok(Item::Message { message, redelivered }),
            false => Err(self.refuse("a text message that is not UTF-8")),
        }
    }

    fn refuse(&self, what: &'static str) -> ReadError {
        self.exchange.abort(AbortCode::Malformed, what.to_owned(), Failure::Closed);
        ReadError::Invalid(what)
    }
}

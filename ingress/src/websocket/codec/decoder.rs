//! Decodes a client's bytes, split anywhere, into parts of messages and control frames.

use bytes::{Bytes, BytesMut};
use h8s_wire::{Close, MessageKind};

use super::header::{Header, Opcode, Partial};
use super::mask::Mask;
use super::utf8::Utf8;
use super::{Violation, close};

/// The largest part: the payload of one wire-protocol frame (`PROTOCOL.md §5`).
pub(super) const MAX_PART_BYTES: usize = 64 << 10;
/// Smaller pieces are buffered, so that a message that arrives slowly costs a frame per 16 KiB and not per piece. Also the
/// maximum buffered per message.
const MIN_PART_BYTES: usize = 16 << 10;
/// Maximum in a row within one message. No client needs more than one; an endless row must end.
const MAX_EMPTY_FRAGMENTS: u16 = 1_000;

/// A decoded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part of a message; `more`: others follow.
    Part {
        kind: MessageKind,
        data: Bytes,
        more: bool,
    },
    /// To be answered with the same payload.
    Ping(Bytes),
    Pong,
    /// The last event.
    Close(Close),
}

/// One connection's state. Between messages it holds no buffer.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit_bytes: u64,
    stage: Stage,
    header: Partial,
    message: Option<Message>,
    /// Buffered bytes of the message: less than [`MIN_PART_BYTES`].
    waiting: BytesMut,
    /// Buffered bytes of a control frame, which may occur between a message's fragments.
    control: BytesMut,
}

#[derive(Debug)]
enum Stage {
    Header,
    Payload {
        opcode: Opcode,
        is_final: bool,
        left_bytes: u64,
        mask: Mask,
    },
    /// After a violation or a close frame all input is discarded.
    Over,
}

/// A message being received.
#[derive(Debug)]
struct Message {
    kind: MessageKind,
    /// Declared by its frames so far.
    bytes: u64,
    utf8: Utf8,
    empty_fragments: u16,
}

impl Decoder {
    /// For messages of at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes: limit_bytes as u64,
            stage: Stage::Header,
            header: Partial::default(),
            message: None,
            waiting: BytesMut::new(),
            control: BytesMut::new(),
        }
    }

    /// Takes the next event from the front of `input`. `None` once all of it is taken. After an error or [`Event::Close`] the
    /// rest is discarded.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Violation> {
        loop {
            let stepped = match &self.stage {
                Stage::Over => {
                    input.clear();
                    return Ok(None);
                }
                Stage::Header => match self.header.take(input) {
                    Ok(Some(header)) => self.begin(header).map(|()| None),
                    Ok(None) => return Ok(None),
                    Err(violation) => Err(violation),
                },
                Stage::Payload { left_bytes: 1.., .. } if input.is_empty() => return Ok(None),
                Stage::Payload { .. } => self.payload(input),
            };
            match stepped {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if matches!(event, Event::Close(_)) {
                        self.end(input);
                    }
                    return Ok(Some(event));
                }
                Err(violation) => {
                    self.end(input);
                    return Err(violation);
                }
            }
        }
    }

    fn end(&mut self, input: &mut BytesMut) {
        input.clear();
        *self = Self { stage: Stage::Over, ..Self::new(0) };
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let Header { is_final, opcode, payload_bytes, mask } = header;
        if !opcode.is_control() {
            self.begin_data(opcode, is_final, payload_bytes)?;
        }
        self.stage = Stage::Payload { opcode, is_final, left_bytes: payload_bytes, mask: Mask::new(mask) };
        Ok(())
    }

    /// RFC 6455 §5.4: a message is one frame that names its kind, and continuations up to the final one.
    fn begin_data(&mut self, opcode: Opcode, is_final: bool, bytes: u64) -> Result<(), Violation> {
        let message = match (opcode, self.message.as_mut()) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => {
                return Err(Violation::Protocol("continuation frame without a message"));
            }
            (_, Some(_)) => return Err(Violation::Protocol("data frame inside a fragmented message")),
            (opcode, None) => {
                let kind = if opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
                self.message.insert(Message { kind, bytes: 0, utf8: Utf8::default(), empty_fragments: 0 })
            }
        };
        message.bytes = message.bytes.saturating_add(bytes);
        if message.bytes > self.limit_bytes {
            return Err(Violation::TooLarge);
        }
        message.empty_fragments = if bytes > 0 || is_final { 0 } else { message.empty_fragments + 1 };
        if message.empty_fragments > MAX_EMPTY_FRAGMENTS { Err(Violation::Empty) } else { Ok(()) }
    }

    /// Takes the available part of a frame's payload.
    fn payload(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Violation> {
        let Stage::Payload { opcode, is_final, left_bytes, mask } = &mut self.stage else { return Ok(None) };
        let (opcode, is_final) = (*opcode, *is_final);
        let room = input.len().min(MAX_PART_BYTES - self.waiting.len());
        let here = usize::try_from(*left_bytes).unwrap_or(usize::MAX).min(room);
        let mut piece = input.split_to(here);
        mask.remove(&mut piece);
        *left_bytes -= here as u64;
        let is_whole = *left_bytes == 0;
        if is_whole {
            self.stage = Stage::Header;
        }
        match (opcode, is_whole) {
            (Opcode::Continuation | Opcode::Text | Opcode::Binary, _) => {
                self.data(piece, is_whole && is_final)
            }
            (_, false) => {
                self.control.extend_from_slice(&piece);
                Ok(None)
            }
            (opcode, true) => self.control_frame(opcode, piece).map(Some),
        }
    }

    fn control_frame(&mut self, opcode: Opcode, piece: BytesMut) -> Result<Event, Violation> {
        let payload = if self.control.is_empty() {
            piece.freeze()
        } else {
            let mut whole = std::mem::take(&mut self.control);
            whole.extend_from_slice(&piece);
            whole.freeze()
        };
        Ok(match opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Close => Event::Close(close::parse(&payload)?),
            _ => Event::Pong,
        })
    }

    /// A piece of the current message; `is_end`: its last.
    fn data(&mut self, piece: BytesMut, is_end: bool) -> Result<Option<Event>, Violation> {
        let message = self.message.as_mut().ok_or(Violation::Protocol("data frame without a message"))?;
        if message.kind == MessageKind::Text {
            message.utf8.check(&piece).map_err(|_| Violation::Utf8)?;
            if is_end && !message.utf8.is_whole() {
                return Err(Violation::Utf8);
            }
        }
        let kind = message.kind;
        if is_end {
            self.message = None;
        }
        Ok(self.part(piece, is_end).map(|data| Event::Part { kind, data, more: !is_end }))
    }

    /// The next part, if enough bytes are buffered.
    fn part(&mut self, piece: BytesMut, is_end: bool) -> Option<Bytes> {
        let is_enough = is_end || self.waiting.len() + piece.len() >= MIN_PART_BYTES;
        if self.waiting.is_empty() && is_enough {
            return Some(piece.freeze());
        }
        self.waiting.extend_from_slice(&piece);
        is_enough.then(|| std::mem::take(&mut self.waiting).freeze())
    }
}

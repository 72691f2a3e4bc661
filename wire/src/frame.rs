//! Frames of the native dialect (`PROTOCOL.md §5`): one per NATS message, with the kind in its first byte.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

mod code;
mod error;
mod head_frame;
mod kind;
mod sync;

pub use code::{AbortCode, RefusedCode};
pub use error::FrameError;
pub use head_frame::{HeadFrame, encode_head};
pub use kind::{Kind, Peek};
pub use sync::{Sync, SyncEntry};

use crate::head::{HeadError, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_INLINE_BYTES, fields};
use crate::varint;

/// The protocol version that this crate speaks. Every `HEAD` carries it (`PROTOCOL.md §7`).
pub const VERSION: u64 = 1;
/// The largest number of bytes in one `DATA` or `MESSAGE` frame: a frame less its kind, sequence and flags.
pub const MAX_DATA_BYTES: usize = MAX_FRAME_BYTES - 32;
/// Reasons are for logs; longer ones are truncated.
const MAX_REASON_BYTES: usize = 1024;
/// The cost of a frame beyond its bytes, so that credit also bounds queues that count messages.
const FRAME_OVERHEAD: u64 = 256;

/// The credit that a `DATA`, `MESSAGE` or `CLOSE` takes, where `bytes` is the size of the whole message. Other
/// kinds take none, including a `HEAD` with inline bytes.
///
/// ```
/// assert_eq!(h8s_wire::frame_cost(65_536), 65_792);
/// ```
pub const fn frame_cost(bytes: usize) -> u64 {
    bytes as u64 + FRAME_OVERHEAD
}

/// Flags of a `MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFlags {
    /// Binary; text otherwise.
    pub binary: bool,
    /// More parts of the same message follow.
    pub more: bool,
    /// Redelivered after the previous responder was lost; it may have been handled before.
    pub again: bool,
}

impl MessageFlags {
    fn bits(self) -> u64 {
        u64::from(self.binary) | u64::from(self.more) << 1 | u64::from(self.again) << 2
    }

    fn of(bits: u64) -> Self {
        Self { binary: bits & 1 != 0, more: bits & 2 != 0, again: bits & 4 != 0 }
    }
}

/// One frame.
///
/// ```
/// use bytes::Bytes;
/// use h8s_wire::{Frame, Peek};
///
/// let frame = Frame::Data { sequence: 5, bytes: Bytes::from_static(b"hola") };
/// let message = frame.encode()?;
/// assert_eq!(&message[..], b"\x02\x05hola");
/// assert_eq!(Peek::of(&message)?.sequence, Some(5));
/// assert_eq!(Frame::decode(message)?, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a direction of an exchange.
    Head(HeadFrame),
    /// Body bytes.
    Data {
        /// One more than that of the previous sequenced frame.
        sequence: u64,
        /// [`MAX_DATA_BYTES`] at most.
        bytes: Bytes,
    },
    /// This direction is complete.
    End {
        /// One more than that of the previous sequenced frame.
        sequence: u64,
        /// Often empty.
        trailers: HeaderMap,
    },
    /// This direction will not complete.
    Abort {
        /// The cause, for programs.
        code: AbortCode,
        /// The cause, for logs; 1 KiB at most.
        reason: String,
    },
    /// The other side may send more.
    Credit {
        /// The sum of frame costs that may be sent, counted from the start of the exchange.
        limit: u64,
        /// The number of sequenced frames handled so far.
        handled: u64,
    },
    /// The sender no longer reads the other direction: stop sending.
    Cancel,
    /// The exchange was refused before any work was done: try another responder.
    Refused(RefusedCode),
    /// The progress of the exchanges that two peers share.
    Sync(Sync),
    /// A WebSocket message, or a part of one.
    Message {
        /// One more than that of the previous sequenced frame.
        sequence: u64,
        /// Text or binary, and whether more parts follow.
        flags: MessageFlags,
        /// [`MAX_DATA_BYTES`] at most.
        bytes: Bytes,
    },
    /// The close of a WebSocket.
    Close {
        /// One more than that of the previous sequenced frame.
        sequence: u64,
        /// The close code (RFC 6455 §7.4).
        code: u64,
        /// 123 bytes at most towards the client.
        reason: String,
    },
    /// Frames of a WebSocket were lost: retransmit from this sequence number.
    Resend {
        /// The first missing sequence number.
        from: u64,
    },
}

impl Frame {
    /// Encodes the message.
    ///
    /// # Errors
    /// [`HeadError::TooLarge`] if the message exceeds [`MAX_FRAME_BYTES`] (possible with more than
    /// [`MAX_DATA_BYTES`] body bytes or [`Sync::MAX_ENTRIES`] entries); another [`HeadError`] if a head or its
    /// trailers cannot be encoded.
    pub fn encode(&self) -> Result<Bytes, HeadError> {
        let message = match self {
            Self::Head(head) => head.encode()?,
            Self::Data { sequence, bytes } => put_numbers(Kind::Data, &[*sequence], bytes),
            Self::End { sequence, trailers } => put_end(*sequence, trailers)?,
            Self::Abort { code, reason } => {
                put_numbers(Kind::Abort, &[code.number()], truncated(reason).as_bytes())
            }
            Self::Credit { limit, handled } => put_numbers(Kind::Credit, &[*limit, *handled], b""),
            Self::Cancel => Bytes::from_static(&[Kind::Cancel as u8]),
            Self::Refused(code) => put_numbers(Kind::Refused, &[code.number()], b""),
            Self::Sync(sync) => {
                let mut out = start(Kind::Sync, 16 + 32 * sync.entries.len());
                sync.put(&mut out);
                out.freeze()
            }
            Self::Message { sequence, flags, bytes } => {
                put_numbers(Kind::Message, &[*sequence, flags.bits()], bytes)
            }
            Self::Close { sequence, code, reason } => {
                put_numbers(Kind::Close, &[*sequence, *code], truncated(reason).as_bytes())
            }
            Self::Resend { from } => put_numbers(Kind::Resend, &[*from], b""),
        };
        if message.len() > MAX_FRAME_BYTES { Err(HeadError::TooLarge) } else { Ok(message) }
    }

    /// Decodes a message. Bodies and field values share its memory.
    ///
    /// # Errors
    /// [`FrameError`] if the message is not a valid frame. Arbitrary bytes never panic.
    pub fn decode(mut message: Bytes) -> Result<Self, FrameError> {
        let kind = Peek::of(&message)?.kind;
        let mut from = message.split_off(1);
        let mut number = || varint::get(&mut from).ok_or(FrameError::Truncated);
        Ok(match kind {
            Kind::Head => Self::Head(HeadFrame::get(from)?),
            Kind::Data => Self::Data { sequence: number()?, bytes: from },
            Kind::End => Self::End { sequence: number()?, trailers: fields::get(&mut from)? },
            Kind::Abort => Self::Abort { code: AbortCode::of(number()?), reason: get_reason(&from) },
            Kind::Credit => Self::Credit { limit: number()?, handled: number()? },
            Kind::Cancel => Self::Cancel,
            Kind::Refused => Self::Refused(RefusedCode::of(number()?)),
            Kind::Sync => Self::Sync(Sync::get(from)?),
            Kind::Message => {
                Self::Message { sequence: number()?, flags: MessageFlags::of(number()?), bytes: from }
            }
            Kind::Close => Self::Close { sequence: number()?, code: number()?, reason: get_reason(&from) },
            Kind::Resend => Self::Resend { from: number()? },
        })
    }
}

fn put_end(sequence: u64, trailers: &HeaderMap) -> Result<Bytes, HeadError> {
    let mut out = start(Kind::End, 64);
    varint::put(sequence, &mut out);
    fields::put(trailers, &mut out)?;
    Ok(out.freeze())
}

fn start(kind: Kind, capacity: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(capacity);
    out.put_u8(kind as u8);
    out
}

fn put_numbers(kind: Kind, numbers: &[u64], bytes: &[u8]) -> Bytes {
    let mut out = start(kind, 1 + 8 * numbers.len() + bytes.len());
    for number in numbers {
        varint::put(*number, &mut out);
    }
    out.put_slice(bytes);
    out.freeze()
}

fn truncated(reason: &str) -> &str {
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    &reason[..end]
}

fn get_reason(bytes: &[u8]) -> String {
    truncated(&String::from_utf8_lossy(bytes)).to_owned()
}

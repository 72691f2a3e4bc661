//! Frames of the native dialect (`PROTOCOL.md §5`): one per NATS message, kind first.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use crate::fields::{self, FieldError};
use crate::head::HeadError;
pub use crate::head::HeadKind;
use crate::sync::Sync;
use crate::varint;

/// The version this crate speaks, in every `HEAD`.
pub const VERSION: u64 = 1;
/// No frame is larger. Servers allow at least twice as much (`max_payload` ≥ 256 KiB).
pub const MAX_FRAME_BYTES: usize = 128 * 1024;
/// Body bytes that a `HEAD` may carry.
pub const MAX_INLINE_BYTES: usize = 64 * 1024;
/// With the most inline bytes and the fields before them, a head this large fills a frame.
pub const MAX_HEAD_BYTES: usize = MAX_FRAME_BYTES - MAX_INLINE_BYTES - 32;
/// Bytes of one `DATA` or `MESSAGE` frame: the frame less kind, sequence and flags.
pub const MAX_DATA_BYTES: usize = MAX_FRAME_BYTES - 32;
/// A reason is for people; longer ones are cut.
const MAX_REASON_BYTES: usize = 1024;
/// What a frame costs beyond its bytes, so that credit bounds queues that count messages, too.
const FRAME_OVERHEAD: u64 = 256;

/// Most browsers' heads fit: they are written in one piece.
const USUAL_HEAD_BYTES: usize = 1024;

/// Bit of a `HEAD`'s flags: nothing follows in this direction.
const HEAD_END: u64 = 1;

/// What a `DATA`, `END`, `MESSAGE` or `CLOSE` of `bytes` bytes, the whole message, takes from the credit window. Other
/// kinds take nothing, a `HEAD` with its inline bytes included.
pub const fn frame_cost(bytes: usize) -> u64 {
    bytes as u64 + FRAME_OVERHEAD
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message is empty, or ends before the frame does.
    #[error("the frame is cut short")]
    Truncated,
    /// Over 128 KiB.
    #[error("the frame is larger than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// A kind that this version does not know.
    #[error("frame kind {0} is unknown")]
    UnknownKind(u8),
    /// A version that this version does not know.
    #[error("protocol version {0} is unknown")]
    UnknownVersion(u64),
    /// See [`HeadError`].
    #[error(transparent)]
    Head(#[from] HeadError),
    /// See [`FieldError`].
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// The first byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "documented at the variants of Frame")]
pub enum Kind {
    Head = 1,
    Data = 2,
    End = 3,
    Abort = 4,
    Credit = 5,
    Cancel = 6,
    Refused = 7,
    Sync = 8,
    Message = 9,
    Close = 10,
    Resend = 11,
}

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Self; 11] = [
        Self::Head,
        Self::Data,
        Self::End,
        Self::Abort,
        Self::Credit,
        Self::Cancel,
        Self::Refused,
        Self::Sync,
        Self::Message,
        Self::Close,
        Self::Resend,
    ];

    fn of(byte: u8) -> Result<Self, FrameError> {
        let at = usize::from(byte).checked_sub(1);
        at.and_then(|at| Self::ALL.get(at)).copied().ok_or(FrameError::UnknownKind(byte))
    }

    /// Whether frames of this kind are numbered: a gap or repeat among them aborts the exchange, or is mended where it
    /// carries a WebSocket.
    pub const fn is_sequenced(self) -> bool {
        matches!(self, Self::Head | Self::Data | Self::End | Self::Message | Self::Close)
    }
}

/// What a demultiplexer needs of a frame, without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The kind.
    pub kind: Kind,
    /// The sequence number of a sequenced frame; a `HEAD` is number 0.
    pub sequence: Option<u64>,
}

impl Peek {
    /// Looks at the front of a message.
    ///
    /// # Errors
    /// An empty, cut or oversized message; an unknown kind.
    pub fn of(message: &[u8]) -> Result<Self, FrameError> {
        if message.len() > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge);
        }
        let (&first, rest) = message.split_first().ok_or(FrameError::Truncated)?;
        let kind = Kind::of(first)?;
        let sequence = match kind {
            Kind::Head => Some(0),
            _ if kind.is_sequenced() => Some(varint::peek(rest).ok_or(FrameError::Truncated)?.0),
            _ => None,
        };
        Ok(Self { kind, sequence })
    }
}

/// The `HEAD` frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadFrame {
    /// A request's or a response's.
    pub head: HeadKind,
    /// Nothing follows in this direction.
    pub end: bool,
    /// How much the other direction may send, as an absolute sum of frame costs.
    pub limit: u64,
    /// The first bytes of the body; they take nothing from the credit window.
    pub body: Bytes,
}

impl HeadFrame {
    /// The message.
    ///
    /// # Errors
    /// [`HeadError::TooLarge`] when head and body do not fit one frame.
    pub fn encode(&self) -> Result<Bytes, HeadError> {
        encode_head(&self.head, self.end, self.limit, &self.body)
    }

    /// Checks what [`encode`](Self::encode) keeps to: inline bytes are outside credit, so nothing else bounds them.
    fn get(mut from: Bytes) -> Result<Self, FrameError> {
        let frame_bytes = 1 + from.len();
        let mut number = || varint::get(&mut from).ok_or(FrameError::Truncated);
        let version = number()?;
        if version != VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        let (flags, limit) = (number()?, number()?);
        let head = HeadKind::get(&mut from)?;
        if frame_bytes - from.len() > MAX_HEAD_BYTES || from.len() > MAX_INLINE_BYTES {
            return Err(HeadError::TooLarge.into());
        }
        Ok(Self { head, end: flags & HEAD_END != 0, limit, body: from })
    }
}

/// A `HEAD` frame from borrowed parts: whoever may have to send the same head again keeps it.
///
/// # Errors
/// [`HeadError::TooLarge`] when head and body do not fit one frame.
pub fn encode_head(head: &HeadKind, end: bool, limit: u64, body: &[u8]) -> Result<Bytes, HeadError> {
    let mut out = BytesMut::with_capacity(USUAL_HEAD_BYTES + body.len());
    out.put_u8(Kind::Head as u8);
    varint::put(VERSION, &mut out);
    varint::put(if end { HEAD_END } else { 0 }, &mut out);
    varint::put(limit, &mut out);
    head.put(&mut out)?;
    if out.len() > MAX_HEAD_BYTES || body.len() > MAX_INLINE_BYTES {
        return Err(HeadError::TooLarge);
    }
    out.put_slice(body);
    Ok(out.freeze())
}

/// Flags of a `MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFlags {
    /// Binary; text otherwise.
    pub binary: bool,
    /// More parts of the same message follow.
    pub more: bool,
    /// Sent again after a responder was lost; it may have been handled before.
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

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal: $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// One that this version does not know.
            Other(u64),
        }

        impl $name {
            /// The number on the wire.
            pub const fn number(self) -> u64 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }

            /// The code of a number.
            pub const fn of(number: u64) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(number) => write!(f, "code {number}"),
                }
            }
        }
    };
}

codes! {
    /// Why a direction will not complete.
    AbortCode {
        /// The sender's own side failed.
        Failed = 1: "failed",
        /// Frames were lost, repeated or reordered on the way.
        Lost = 2: "frames lost",
        /// The sender knows no such exchange.
        Unknown = 3: "unknown exchange",
        /// A frame that the sender cannot read.
        Malformed = 4: "malformed frame",
        /// A frame kind or version that the sender does not speak.
        Unsupported = 5: "unsupported",
        /// More was sent than credit allowed.
        OverLimit = 6: "credit exceeded",
        /// Open the exchange again elsewhere.
        Moving = 7: "moving",
        /// The sender is shutting down and its grace period is over.
        Stopping = 8: "stopping",
    }
}

codes! {
    /// Why an exchange was refused before any work was done.
    RefusedCode {
        /// At a limit.
        Busy = 1: "busy",
        /// Shutting down.
        Draining = 2: "draining",
        /// What the sender passes exchanges on to cannot be reached.
        Unreachable = 3: "unreachable",
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a direction.
    Head(HeadFrame),
    /// Body bytes.
    Data {
        /// One more than the frame before.
        sequence: u64,
        /// At most [`MAX_DATA_BYTES`].
        bytes: Bytes,
    },
    /// This direction is complete.
    End {
        /// One more than the frame before.
        sequence: u64,
        /// Often empty.
        trailers: HeaderMap,
    },
    /// This direction will not complete.
    Abort {
        /// For programs.
        code: AbortCode,
        /// For people; at most 1 KiB.
        reason: String,
    },
    /// The other side may go on sending.
    Credit {
        /// Absolute sum of frame costs that may be sent.
        limit: u64,
        /// Sequenced frames handled so far.
        handled: u64,
    },
    /// The receiver of the other direction has gone: stop.
    Cancel,
    /// Not now or not here, and nothing was done: try elsewhere.
    Refused(RefusedCode),
    /// How far shared exchanges have come.
    Sync(Sync),
    /// A WebSocket message, or a part of one.
    Message {
        /// One more than the frame before.
        sequence: u64,
        /// Text or binary, and whether more follows.
        flags: MessageFlags,
        /// At most [`MAX_DATA_BYTES`].
        bytes: Bytes,
    },
    /// A WebSocket's close.
    Close {
        /// One more than the frame before.
        sequence: u64,
        /// RFC 6455 §7.4.
        code: u64,
        /// At most 123 bytes on the client's side.
        reason: String,
    },
    /// Frames of a WebSocket were lost: send them again, from this number on.
    Resend {
        /// The first that is missing.
        from: u64,
    },
}

impl Frame {
    /// The message.
    ///
    /// # Errors
    /// [`HeadError::TooLarge`] for whatever passes [`MAX_FRAME_BYTES`] (body bytes past [`MAX_DATA_BYTES`] may,
    /// and [`Sync`] entries past [`Sync::MAX_ENTRIES`]); a head that no head can say.
    pub fn encode(&self) -> Result<Bytes, HeadError> {
        let message = match self {
            Self::Head(head) => head.encode()?,
            Self::Data { sequence, bytes } => data(*sequence, bytes),
            Self::End { sequence, trailers } => end(*sequence, trailers)?,
            Self::Abort { code, reason } => {
                numbers_and(Kind::Abort, &[code.number()], cut(reason).as_bytes())
            }
            Self::Credit { limit, handled } => numbers_and(Kind::Credit, &[*limit, *handled], b""),
            Self::Cancel => Bytes::from_static(&[Kind::Cancel as u8]),
            Self::Refused(code) => numbers_and(Kind::Refused, &[code.number()], b""),
            Self::Sync(sync) => {
                let mut out = start(Kind::Sync, 16 + 32 * sync.entries.len());
                sync.put(&mut out);
                out.freeze()
            }
            Self::Message { sequence, flags, bytes } => {
                numbers_and(Kind::Message, &[*sequence, flags.bits()], bytes)
            }
            Self::Close { sequence, code, reason } => {
                numbers_and(Kind::Close, &[*sequence, *code], cut(reason).as_bytes())
            }
            Self::Resend { from } => numbers_and(Kind::Resend, &[*from], b""),
        };
        if message.len() > MAX_FRAME_BYTES { Err(HeadError::TooLarge) } else { Ok(message) }
    }

    /// Reads a message. Bodies and field values share its memory.
    ///
    /// # Errors
    /// See [`FrameError`]; nothing panics.
    pub fn decode(mut message: Bytes) -> Result<Self, FrameError> {
        let kind = Peek::of(&message)?.kind;
        let mut from = message.split_off(1);
        let mut number = || varint::get(&mut from).ok_or(FrameError::Truncated);
        Ok(match kind {
            Kind::Head => Self::Head(HeadFrame::get(from)?),
            Kind::Data => Self::Data { sequence: number()?, bytes: from },
            Kind::End => Self::End { sequence: number()?, trailers: fields::get(&mut from)? },
            Kind::Abort => Self::Abort { code: AbortCode::of(number()?), reason: text(&from) },
            Kind::Credit => Self::Credit { limit: number()?, handled: number()? },
            Kind::Cancel => Self::Cancel,
            Kind::Refused => Self::Refused(RefusedCode::of(number()?)),
            Kind::Sync => Self::Sync(Sync::get(from)?),
            Kind::Message => {
                Self::Message { sequence: number()?, flags: MessageFlags::of(number()?), bytes: from }
            }
            Kind::Close => Self::Close { sequence: number()?, code: number()?, reason: text(&from) },
            Kind::Resend => Self::Resend { from: number()? },
        })
    }
}

/// A `DATA` frame, without a [`Frame`] in between.
pub(crate) fn data(sequence: u64, bytes: &[u8]) -> Bytes {
    numbers_and(Kind::Data, &[sequence], bytes)
}

fn end(sequence: u64, trailers: &HeaderMap) -> Result<Bytes, HeadError> {
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

fn numbers_and(kind: Kind, numbers: &[u64], bytes: &[u8]) -> Bytes {
    let mut out = start(kind, 1 + 8 * numbers.len() + bytes.len());
    for number in numbers {
        varint::put(*number, &mut out);
    }
    out.put_slice(bytes);
    out.freeze()
}

fn cut(reason: &str) -> &str {
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    &reason[..end]
}

fn text(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(bytes)).to_owned()
}

//! The kind of a frame and its sequence number: all that a demultiplexer reads.

use super::{FrameError, MAX_FRAME_BYTES};
use crate::varint;

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
    /// Every kind, ordered by number.
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
        let index = usize::from(byte).checked_sub(1);
        index.and_then(|index| Self::ALL.get(index)).copied().ok_or(FrameError::UnknownKind(byte))
    }

    /// Whether frames of this kind have a sequence number. A gap or repeat among them aborts the exchange, or is
    /// repaired by retransmission if the exchange carries a WebSocket.
    pub const fn is_sequenced(self) -> bool {
        matches!(self, Self::Head | Self::Data | Self::End | Self::Message | Self::Close)
    }
}

/// The kind and sequence number of a frame, read without decoding the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The kind.
    pub kind: Kind,
    /// The sequence number of a sequenced frame; 0 for a `HEAD`.
    pub sequence: Option<u64>,
}

impl Peek {
    /// Reads the front of a message.
    ///
    /// # Errors
    /// [`FrameError::Truncated`], [`FrameError::TooLarge`] or [`FrameError::UnknownKind`].
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

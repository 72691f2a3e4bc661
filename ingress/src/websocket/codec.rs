//! RFC 6455 as a server speaks it, without a socket: bytes in, events out; messages in, bytes out.
//!
//! A message is handed on in parts while it arrives and is never held whole; what waits is at most a part. Whatever a
//! client does wrong is a [`Violation`] as soon as it can be told: from the declared length, the first wrong bit, the
//! first byte that no UTF-8 can have. No extension is ever negotiated, so the reserved bits are always wrong.

mod close;
mod decoder;
mod encode;
mod header;
mod mask;
mod utf8;

#[cfg(test)]
mod tests;

#[cfg(test)]
use decoder::MAX_PART_BYTES;
pub(crate) use decoder::{Decoder, Event};
pub(crate) use encode::{close, message, ping, push_pong};

/// What a client may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Not RFC 6455. Closes 1002.
    #[error("{0}")]
    Protocol(&'static str),
    /// Text, or a reason, that is not UTF-8 (RFC 6455 §8.1). Closes 1007.
    #[error("text is not UTF-8")]
    Utf8,
    /// Closes 1009.
    #[error("message is too large")]
    TooLarge,
    /// Frames without end and without content. Closes 1008.
    #[error("too many empty fragments")]
    Empty,
}

impl Violation {
    /// RFC 6455 §7.4.1.
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Utf8 => 1007,
            Self::TooLarge => 1009,
            Self::Empty => 1008,
        }
    }
}

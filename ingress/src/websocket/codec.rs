//! The server side of RFC 6455 without a socket: bytes in, events out; messages in, bytes out.
//!
//! A message is passed on in parts while it arrives and is never held whole; at most one part is buffered. A [`Violation`]
//! is detected as early as possible: at the declared length, the first wrong bit, or the first invalid byte of UTF-8. No
//! extension is negotiated, so the reserved bits must be 0.

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

/// A protocol violation by the client.
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
    /// Too many empty fragments in a row. Closes 1008.
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

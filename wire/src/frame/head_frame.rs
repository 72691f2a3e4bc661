//! The `HEAD` frame: the head and the first body bytes of one direction.

use bytes::{BufMut, Bytes, BytesMut};

use super::{FrameError, Kind, MAX_HEAD_BYTES, MAX_INLINE_BYTES, VERSION};
use crate::head::{HeadError, HeadKind};
use crate::varint;

/// Initial buffer capacity: the heads of most browsers fit without reallocation.
const TYPICAL_HEAD_BYTES: usize = 1024;

/// Flag bit 0: no frame follows in this direction.
const FLAG_END: u64 = 1;

/// The `HEAD` frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadFrame {
    /// A request head or a response head.
    pub head: HeadKind,
    /// Whether this direction is complete: no frame follows.
    pub end: bool,
    /// The credit limit of the other direction: the sum of frame costs that may be sent, counted from the start of
    /// the exchange.
    pub limit: u64,
    /// The first bytes of the body, [`MAX_INLINE_BYTES`] at most. They take no credit.
    pub body: Bytes,
}

impl HeadFrame {
    /// Encodes the message.
    ///
    /// # Errors
    /// [`HeadError::TooLarge`] if head and body do not fit one frame; another [`HeadError`] if the head is invalid.
    pub fn encode(&self) -> Result<Bytes, HeadError> {
        encode_head(&self.head, self.end, self.limit, &self.body)
    }

    /// Enforces the limits of [`encode`](Self::encode): nothing else bounds inline bytes, since they take no credit.
    pub(super) fn get(mut from: Bytes) -> Result<Self, FrameError> {
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
        Ok(Self { head, end: flags & FLAG_END != 0, limit, body: from })
    }
}

/// Encodes a `HEAD` frame from borrowed parts, for a caller that keeps the head for a retry.
///
/// # Errors
/// [`HeadError::TooLarge`] if head and body do not fit one frame; another [`HeadError`] if the head is invalid.
pub fn encode_head(head: &HeadKind, end: bool, limit: u64, body: &[u8]) -> Result<Bytes, HeadError> {
    let mut out = BytesMut::with_capacity(TYPICAL_HEAD_BYTES + body.len());
    out.put_u8(Kind::Head as u8);
    varint::put(VERSION, &mut out);
    varint::put(if end { FLAG_END } else { 0 }, &mut out);
    varint::put(limit, &mut out);
    head.put(&mut out)?;
    if out.len() > MAX_HEAD_BYTES || body.len() > MAX_INLINE_BYTES {
        return Err(HeadError::TooLarge);
    }
    out.put_slice(body);
    Ok(out.freeze())
}

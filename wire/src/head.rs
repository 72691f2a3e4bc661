//! HTTP heads of the native dialect: the control data and field section of RFC 9292, then extension fields
//! (`PROTOCOL.md §5`).

use bytes::{Bytes, BytesMut};

use crate::varint;

mod common_names;
mod error;
pub(crate) mod fields;
mod request;
mod response;

pub use error::HeadError;
pub use fields::FieldError;
pub(crate) use request::get_target;
pub use request::{ConnectionEpoch, RequestHead};
pub use response::ResponseHead;
pub(crate) use response::final_status;

/// The size limit of a frame. Servers must allow at least twice as much (`max_payload` ≥ 256 KiB).
pub const MAX_FRAME_BYTES: usize = 128 * 1024;
/// The size limit of the body bytes in a `HEAD`.
pub const MAX_INLINE_BYTES: usize = 64 * 1024;
/// The size limit of a `HEAD` before its body bytes: with the most inline bytes it still fits one frame.
pub const MAX_HEAD_BYTES: usize = MAX_FRAME_BYTES - MAX_INLINE_BYTES - 32;

/// Framing indicators of RFC 9292 §3.1: known-length request and known-length response.
const REQUEST: u64 = 0;
const RESPONSE: u64 = 1;

/// Ids of extension fields. A decoder skips unknown ones.
mod extension {
    /// Request: the `:protocol` of an extended CONNECT (RFC 8441).
    pub(super) const PROTOCOL: u64 = 1;
    /// Request: the client's address, 4 or 16 bytes.
    pub(super) const CLIENT: u64 = 2;
    /// Request: milliseconds until the gateway's response timeout expires.
    pub(super) const TIMEOUT: u64 = 3;
    /// Request: the WebSocket connection's id, 16 bytes, then its epoch.
    pub(super) const CONNECTION: u64 = 4;
    /// Response: the responder holds state for this WebSocket. No value.
    pub(super) const HOLDS_STATE: u64 = 1;
}

/// A request head or a response head, distinguished by the framing indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Sent by a gateway.
    Request(Box<RequestHead>),
    /// Sent by a responder.
    Response(ResponseHead),
}

impl HeadKind {
    pub(crate) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        match self {
            Self::Request(head) => head.put(out),
            Self::Response(head) => head.put(out),
        }
    }

    pub(crate) fn get(from: &mut Bytes) -> Result<Self, HeadError> {
        match varint::get(from).ok_or(HeadError::Truncated)? {
            REQUEST => RequestHead::get(from).map(|head| Self::Request(Box::new(head))),
            RESPONSE => ResponseHead::get(from).map(Self::Response),
            _ => Err(HeadError::Framing),
        }
    }
}

fn get_bytes(from: &mut Bytes) -> Result<Bytes, HeadError> {
    varint::get_bytes(from).ok_or(HeadError::Truncated)
}

fn put_extension(id: u64, value: &[u8], out: &mut BytesMut) {
    varint::put(id, out);
    varint::put_bytes(value, out);
}

fn put_extension_with(id: u64, out: &mut BytesMut, put_value: impl FnOnce(&mut BytesMut)) {
    varint::put(id, out);
    varint::put_section(out, put_value);
}

fn for_each_extension(
    from: &mut Bytes,
    mut each: impl FnMut(u64, Bytes) -> Result<(), HeadError>,
) -> Result<(), HeadError> {
    let mut section = get_bytes(from)?;
    while !section.is_empty() {
        let id = varint::get(&mut section).ok_or(HeadError::Truncated)?;
        each(id, get_bytes(&mut section)?)?;
    }
    Ok(())
}

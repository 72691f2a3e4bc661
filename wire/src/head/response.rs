use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::{HeadError, RESPONSE, extension, fields, for_each_extension, put_extension};
use crate::varint;

/// A response head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// A final status, 200 to 599. Interim responses do not cross NATS.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// Whether the responder that accepts a WebSocket with this head holds state for it, so that the connection
    /// cannot be reopened at another responder.
    pub holds_state: bool,
}

impl ResponseHead {
    pub(super) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        let status = final_status(self.status.as_u16().into())?;
        varint::put(RESPONSE, out);
        varint::put(status.as_u16().into(), out);
        fields::put(&self.headers, out)?;
        varint::put_section(out, |section| {
            if self.holds_state {
                put_extension(extension::HOLDS_STATE, b"", section);
            }
        });
        Ok(())
    }

    pub(super) fn get(from: &mut Bytes) -> Result<Self, HeadError> {
        let status = final_status(varint::get(from).ok_or(HeadError::Truncated)?)?;
        let headers = fields::get(from)?;
        let mut holds_state = false;
        for_each_extension(from, |id, _| {
            holds_state |= id == extension::HOLDS_STATE;
            Ok(())
        })?;
        Ok(Self { status, headers, holds_state })
    }
}

/// Accepts 200 to 599 (RFC 9110 §15).
pub(crate) fn final_status(number: u64) -> Result<StatusCode, HeadError> {
    let number = u16::try_from(number).ok().filter(|number| (200..600).contains(number));
    number.and_then(|number| StatusCode::from_u16(number).ok()).ok_or(HeadError::Status)
}

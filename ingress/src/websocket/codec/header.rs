//! A client frame's header (RFC 6455 §5.2), collected from whatever pieces it comes in.

use bytes::{Buf, BytesMut};

use super::Violation;

/// Two bytes, eight of an extended length, four of the mask.
const MAX_HEADER_BYTES: usize = 14;
/// RFC 6455 §5.5.
pub(super) const MAX_CONTROL_BYTES: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn of(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return Err(Violation::Protocol("reserved opcode")),
        })
    }
}

/// A header, whole and allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    pub(super) payload_bytes: u64,
    pub(super) mask: [u8; 4],
}

/// What has come of a header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Partial {
    bytes: [u8; MAX_HEADER_BYTES],
    seen: u8,
}

impl Partial {
    /// Takes what the header needs from `input`, and nothing more. `None` while some of it is missing.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Header>, Violation> {
        loop {
            let missing = self.needed_bytes().saturating_sub(self.seen.into());
            if missing == 0 {
                let header = self.parse();
                *self = Self::default();
                return header.map(Some);
            }
            let taken = missing.min(input.len());
            let seen = usize::from(self.seen);
            input.copy_to_slice(&mut self.bytes[seen..seen + taken]);
            self.seen += taken as u8;
            // The first two bytes are judged without waiting for the rest.
            if self.seen >= 2 {
                self.first_two()?;
            }
            if taken < missing {
                return Ok(None);
            }
        }
    }

    /// As far as is known yet.
    fn needed_bytes(&self) -> usize {
        match (self.seen, self.bytes[1] & 0x7F) {
            (0 | 1, _) => 2,
            (_, 127) => 14,
            (_, 126) => 8,
            _ => 6,
        }
    }

    fn first_two(&self) -> Result<(bool, Opcode), Violation> {
        let [first, second, ..] = self.bytes;
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("reserved bits are set"));
        }
        let (is_final, opcode) = (first & 0x80 != 0, Opcode::of(first & 0x0F)?);
        if opcode.is_control() && !is_final {
            return Err(Violation::Protocol("fragmented control frame"));
        }
        if opcode.is_control() && u64::from(second & 0x7F) > MAX_CONTROL_BYTES {
            return Err(Violation::Protocol("control frame of more than 125 bytes"));
        }
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("frame is not masked"));
        }
        Ok((is_final, opcode))
    }

    fn parse(&self) -> Result<Header, Violation> {
        let (is_final, opcode) = self.first_two()?;
        let mut rest = &self.bytes[2..self.seen.into()];
        // §5.2: the shortest form, and 63 bits.
        let (payload_bytes, shortest) = match self.bytes[1] & 0x7F {
            127 => (rest.get_u64(), 1 << 16),
            126 => (rest.get_u16().into(), 126),
            short => (short.into(), 0),
        };
        if payload_bytes < shortest || payload_bytes >> 63 != 0 {
            return Err(Violation::Protocol("malformed length"));
        }
        Ok(Header { is_final, opcode, payload_bytes, mask: rest.get_u32().to_be_bytes() })
    }
}

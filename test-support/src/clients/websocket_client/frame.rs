//! Frames on the wire (RFC 6455 §5.2).

use bytes::{Buf as _, BytesMut};

use super::MOST_BYTES;

/// The kind of a frame. Reserved opcodes are [`Other`](Self::Other).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A continuation of a message.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// Close.
    Close,
    /// Ping.
    Ping,
    /// Pong.
    Pong,
    /// Reserved by RFC 6455: 3 to 7, 11 to 15.
    Other(u8),
}

/// One frame: by default final, and masked, as a client's must be.
///
/// ```
/// # use h8s_test_support::websocket_client::{Frame, Opcode};
/// let wrong = Frame { rsv: 0b100, ..Frame::new(Opcode::Text, "compressed?") };
/// # assert_eq!(wrong.encode()[0], 0b1100_0001);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether the message ends with it.
    pub fin: bool,
    /// The three reserved bits, RSV1 first.
    pub rsv: u8,
    /// Its kind.
    pub opcode: Opcode,
    /// The masking key.
    pub mask: Option<[u8; 4]>,
    /// Its data, unmasked.
    pub payload: Vec<u8>,
}

impl Opcode {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
            Self::Other(number) => number & 0x0f,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            number => Self::Other(number),
        }
    }
}

impl Frame {
    /// A final frame with a random mask.
    pub fn new(opcode: Opcode, payload: impl AsRef<[u8]>) -> Self {
        let mask = Some(rand::random());
        Self { fin: true, rsv: 0, opcode, mask, payload: payload.as_ref().to_vec() }
    }

    /// The frame without FIN.
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The frame without a mask, which only servers may send.
    pub fn unmasked(self) -> Self {
        Self { mask: None, ..self }
    }

    /// The frame on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.head(self.payload.len() as u64);
        match self.mask {
            Some(mask) => {
                bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key))
            }
            None => bytes.extend_from_slice(&self.payload),
        }
        bytes
    }

    /// Its header alone, with any length: for a frame that never arrives completely.
    pub fn head(&self, length: u64) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode.number()];
        let masked = u8::from(self.mask.is_some()) << 7;
        match length {
            0..126 => bytes.push(masked | length as u8),
            126..=0xffff => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend(self.mask.into_iter().flatten());
        bytes
    }
}

/// The next frame of a server, if it is complete.
///
/// # Panics
///
/// When it is invalid for a server.
pub(super) fn decode(buffer: &mut BytesMut) -> Option<Frame> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, Opcode::of(first & 0x0f));
    assert!(second & 0x80 == 0, "a server masks nothing");
    assert!(rsv == 0 && !matches!(opcode, Opcode::Other(_)), "{first:#010b} begins no frame");
    let (at, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*buffer.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*buffer.get(2..)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    assert!(at == 2 || length >= if at == 4 { 126 } else { 0x1_0000 }, "a length of {length} in {at} bytes");
    let control = first & 0x08 != 0;
    assert!(!control || (fin && length < 126), "a control frame is short and whole: {length} bytes");
    let length = usize::try_from(length).ok().filter(|length| *length < MOST_BYTES);
    let length = length.expect("the frame exceeds the tests' limit");
    if buffer.len() < at + length {
        return None;
    }
    buffer.advance(at);
    Some(Frame { fin, rsv, opcode, mask: None, payload: buffer.split_to(length).to_vec() })
}

//! Frames as a server sends them: one per message, unmasked (RFC 6455 §5.1).

use bytes::{BufMut, Bytes, BytesMut};
use h8s_wire::{Close, MAX_CLOSE_REASON_BYTES, Message, MessageKind};

/// Two bytes and eight of an extended length.
const MAX_HEADER_BYTES: usize = 10;

/// A whole message.
pub(crate) fn message(message: &Message) -> Bytes {
    let opcode = match message.kind {
        MessageKind::Text => 0x1,
        MessageKind::Binary => 0x2,
    };
    let mut frame = BytesMut::with_capacity(MAX_HEADER_BYTES + message.data.len());
    frame.put_u8(0x80 | opcode);
    match message.data.len() {
        bytes @ 0..126 => frame.put_u8(bytes as u8),
        bytes @ 126..=0xFFFF => {
            frame.put_u8(126);
            frame.put_u16(bytes as u16);
        }
        bytes => {
            frame.put_u8(127);
            frame.put_u64(bytes as u64);
        }
    }
    frame.put_slice(&message.data);
    frame.freeze()
}

/// Asks whether the client is there.
pub(crate) fn ping() -> Bytes {
    Bytes::from_static(&[0x89, 0])
}

/// Answers a ping with its own payload, of at most 125 bytes.
pub(crate) fn push_pong(payload: &[u8], into: &mut Vec<u8>) {
    debug_assert!(payload.len() <= 125, "a ping's payload is a control frame's");
    into.extend([0x8A, payload.len() as u8]);
    into.extend_from_slice(payload);
}

/// A close frame. A code that no frame may carry, such as 1005, is omitted; a long reason is truncated.
pub(crate) fn close(close: &Close) -> Bytes {
    if !close.is_sendable() {
        return Bytes::from_static(&[0x88, 0]);
    }
    let reason = &close.reason[..close.reason.floor_char_boundary(MAX_CLOSE_REASON_BYTES)];
    let mut frame = BytesMut::with_capacity(4 + reason.len());
    frame.put_slice(&[0x88, 2 + reason.len() as u8]);
    frame.put_u16(close.code);
    frame.put_slice(reason.as_bytes());
    frame.freeze()
}

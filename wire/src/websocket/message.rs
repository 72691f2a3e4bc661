//! What travels in a WebSocket: whole messages, and the close at the end.

use bytes::Bytes;

/// What kind a message is. Text is valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A whole WebSocket message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Text or binary.
    pub kind: MessageKind,
    /// What is in it; valid UTF-8 where it is text.
    pub data: Bytes,
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: MessageKind::Text, data: Bytes::from(text.into()) }
    }

    /// A binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self { kind: MessageKind::Binary, data: data.into() }
    }

    /// Text where the bytes are UTF-8, else binary: what a sender means who says neither.
    pub fn guess(data: Bytes) -> Self {
        let kind = if std::str::from_utf8(&data).is_ok() { MessageKind::Text } else { MessageKind::Binary };
        Self { kind, data }
    }

    /// Whether a text message is text.
    pub fn is_valid(&self) -> bool {
        self.kind == MessageKind::Binary || std::str::from_utf8(&self.data).is_ok()
    }
}

/// A reason has room for so many bytes beside its code (RFC 6455 §5.5).
pub const MAX_CLOSE_REASON_BYTES: usize = 123;

/// How a WebSocket ends (RFC 6455 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// 1000 to 4999. 1005 (no code was given) and 1006 (it just broke off) are only ever told, never sent to a client.
    pub code: u16,
    /// At most [`MAX_CLOSE_REASON_BYTES`].
    pub reason: String,
}

impl Close {
    /// The client vanished, or the way to it did.
    pub const ABNORMAL: u16 = 1006;
    /// A close frame without a code.
    pub const NO_CODE: u16 = 1005;

    /// A reason that is too long is cut, at a character.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_CLOSE_REASON_BYTES));
        Self { code, reason }
    }

    /// Whether a close frame may say this code: the defined ones but 1004 to 1006 and 1015, and the 3000s and 4000s.
    pub fn is_sendable(&self) -> bool {
        matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let close = Close::new(4000, format!("{}é", "a".repeat(122)));
        assert_eq!(close.reason.len(), 122);
    }

    #[test]
    fn codes_that_may_be_sent() {
        let sendable = |code| Close::new(code, "").is_sendable();
        assert!([1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999].into_iter().all(sendable));
        assert!(![0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].into_iter().any(sendable));
    }

    #[test]
    fn what_is_not_text_is_binary() {
        assert_eq!(Message::guess(Bytes::from_static("é".as_bytes())).kind, MessageKind::Text);
        assert_eq!(Message::guess(Bytes::from_static(b"\xff")).kind, MessageKind::Binary);
    }
}

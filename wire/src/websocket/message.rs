//! WebSocket messages and closes.

use bytes::Bytes;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A whole WebSocket message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Text or binary.
    pub kind: MessageKind,
    /// The content; valid UTF-8 for a text message.
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

    /// A text message if the bytes are valid UTF-8, else a binary message. For senders that do not specify the kind.
    pub fn guess(data: Bytes) -> Self {
        let kind = if std::str::from_utf8(&data).is_ok() { MessageKind::Text } else { MessageKind::Binary };
        Self { kind, data }
    }

    /// Whether the content is valid: UTF-8 if the message is text.
    pub fn is_valid(&self) -> bool {
        self.kind == MessageKind::Binary || std::str::from_utf8(&self.data).is_ok()
    }
}

/// The size limit of a close reason: a control frame without its code (RFC 6455 §5.5).
pub const MAX_CLOSE_REASON_BYTES: usize = 123;

/// The close of a WebSocket (RFC 6455 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code, 1000 to 4999. 1005 (no code) and 1006 (abnormal closure) are only reported, never sent to a
    /// client.
    pub code: u16,
    /// At most [`MAX_CLOSE_REASON_BYTES`].
    pub reason: String,
}

impl Close {
    /// The connection to the client was lost.
    pub const ABNORMAL: u16 = 1006;
    /// The close frame had no code.
    pub const NO_CODE: u16 = 1005;

    /// A close with this code. A reason that is too long is truncated at a character boundary.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_CLOSE_REASON_BYTES));
        Self { code, reason }
    }

    /// Whether a close frame may carry this code: 1000 to 1003, 1007 to 1014 or 3000 to 4999.
    pub fn is_sendable(&self) -> bool {
        matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_truncated_at_a_character_boundary() {
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
    fn invalid_utf8_is_binary() {
        assert_eq!(Message::guess(Bytes::from_static("é".as_bytes())).kind, MessageKind::Text);
        assert_eq!(Message::guess(Bytes::from_static(b"\xff")).kind, MessageKind::Binary);
    }
}

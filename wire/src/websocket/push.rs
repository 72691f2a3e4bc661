//! WebSocket messages as NATS messages (`PROTOCOL.md §6`): from clients to plain responders, and from any permitted
//! sender to one client, to a group, or to all clients of a host.
//!
//! The payload is the message, and NATS headers describe it. Without headers, it is text if it is valid UTF-8, else
//! binary.

use bytes::Bytes;

use super::{Close, Message, MessageKind};
use crate::routing::PathPattern;

/// On a message from a client: the connection id.
pub const CONNECTION: &str = "X-H8s-Connection";
/// The kind of a message: `text` or `binary`; to a client also `close`, `join` or `leave`.
pub const FRAME: &str = "H8s-Frame";
/// With `close`: the close code. Default 1000.
pub const CLOSE_CODE: &str = "H8s-Close-Code";
/// With `close`: the close reason.
pub const CLOSE_REASON: &str = "H8s-Close-Reason";
/// With `join` and `leave`: the group. On a broadcast: only to this group.
pub const GROUP: &str = "H8s-Group";
/// On a broadcast: only to connections whose path this pattern covers, e.g. `/room/*`.
pub const PATH: &str = "H8s-Path";

const TEXT: &str = "text";
const BINARY: &str = "binary";
const CLOSE: &str = "close";
const JOIN: &str = "join";
const LEAVE: &str = "leave";

/// The size limit of a group name.
const MAX_GROUP_BYTES: usize = 128;

/// The name of a group: 1 to 128 bytes without control characters and without surrounding whitespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Box<str>);

impl Group {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Group {
    type Err = PushError;

    fn from_str(name: &str) -> Result<Self, PushError> {
        let fits = !name.is_empty() && name.len() <= MAX_GROUP_BYTES;
        if fits && name.trim() == name && !name.chars().any(char::is_control) {
            Ok(Self(name.into()))
        } else {
            Err(PushError::Group)
        }
    }
}

/// A message published to the push subject of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A message for the client.
    Message(Message),
    /// Closes the connection.
    Close(Close),
    /// Adds the connection to the group.
    Join(Group),
    /// Removes the connection from the group.
    Leave(Group),
}

/// The connections of a host that receive a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All connections of the host.
    All,
    /// Connections whose path this pattern covers.
    Path(PathPattern),
    /// Connections that joined this group.
    Group(Group),
}

/// Why a push or broadcast is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The kind is unknown, or not allowed in a broadcast.
    #[error("invalid {FRAME}: must be text, binary, close, join or leave; in a broadcast text or binary")]
    Frame,
    /// A text message is not valid UTF-8.
    #[error("the text message is not valid UTF-8")]
    NotUtf8,
    /// The close code is malformed or must not be sent.
    #[error("invalid {CLOSE_CODE}: must be 1000–1003, 1007–1014 or 3000–4999")]
    Close,
    /// The group is missing or its name is invalid.
    #[error(
        "invalid {GROUP}: must be 1 to {MAX_GROUP_BYTES} bytes without control characters and surrounding whitespace"
    )]
    Group,
    /// The path pattern is invalid.
    #[error("invalid {PATH}: must be a path pattern, e.g. /room/*")]
    Path,
}

/// Decodes a push. Header names match in any case; the first of repeated headers counts.
///
/// # Errors
/// [`PushError`] if a header or the payload is invalid.
pub fn decode_push<'a, I>(headers: I, payload: Bytes) -> Result<Push, PushError>
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
{
    let [frame, code, reason, group] = find(headers, [FRAME, CLOSE_CODE, CLOSE_REASON, GROUP]);
    let group = || group.unwrap_or_default().parse::<Group>();
    match frame {
        Some(kind) if kind.eq_ignore_ascii_case(CLOSE) => {
            close_of(code, reason.unwrap_or_default()).map(Push::Close)
        }
        Some(kind) if kind.eq_ignore_ascii_case(JOIN) => Ok(Push::Join(group()?)),
        Some(kind) if kind.eq_ignore_ascii_case(LEAVE) => Ok(Push::Leave(group()?)),
        kind => message_of(kind, payload).map(Push::Message),
    }
}

/// Decodes a broadcast. Header names match in any case; the first of repeated headers counts.
///
/// # Errors
/// [`PushError`] if a header or the payload is invalid.
pub fn decode_broadcast<'a, I>(headers: I, payload: Bytes) -> Result<(Audience, Message), PushError>
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
{
    let [frame, group, path] = find(headers, [FRAME, GROUP, PATH]);
    let audience = match (group, path) {
        (Some(group), _) => Audience::Group(group.parse()?),
        (None, Some(path)) => Audience::Path(path.parse().map_err(|_| PushError::Path)?),
        (None, None) => Audience::All,
    };
    Ok((audience, message_of(frame, payload)?))
}

/// Emits the headers of a push. Its payload is [`Push::payload`].
pub fn encode_push(push: &Push, mut emit: impl FnMut(&str, &str)) {
    match push {
        Push::Message(message) => emit(FRAME, kind_name(message.kind)),
        Push::Close(close) => {
            emit(FRAME, CLOSE);
            emit(CLOSE_CODE, &close.code.to_string());
            // A line break would start another header.
            let reason = close.reason.replace(char::is_control, " ");
            if !reason.trim().is_empty() {
                emit(CLOSE_REASON, reason.trim());
            }
        }
        Push::Join(group) => {
            emit(FRAME, JOIN);
            emit(GROUP, group.as_str());
        }
        Push::Leave(group) => {
            emit(FRAME, LEAVE);
            emit(GROUP, group.as_str());
        }
    }
}

/// Emits the headers of a broadcast. Its payload is the data of the message.
pub fn encode_broadcast(audience: &Audience, kind: MessageKind, mut emit: impl FnMut(&str, &str)) {
    emit(FRAME, kind_name(kind));
    match audience {
        Audience::All => {}
        // The original text may contain line breaks.
        Audience::Path(pattern) => emit(PATH, &pattern.canonical()),
        Audience::Group(group) => emit(GROUP, group.as_str()),
    }
}

impl Push {
    /// The payload of the NATS message.
    pub fn payload(&self) -> Bytes {
        match self {
            Self::Message(message) => message.data.clone(),
            Self::Close(_) | Self::Join(_) | Self::Leave(_) => Bytes::new(),
        }
    }
}

/// The value of [`FRAME`] for this kind.
pub const fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Text => TEXT,
        MessageKind::Binary => BINARY,
    }
}

fn message_of(kind: Option<&str>, data: Bytes) -> Result<Message, PushError> {
    let message = match kind {
        None => return Ok(Message::guess(data)),
        Some(kind) if kind.eq_ignore_ascii_case(TEXT) => Message { kind: MessageKind::Text, data },
        Some(kind) if kind.eq_ignore_ascii_case(BINARY) => Message { kind: MessageKind::Binary, data },
        Some(_) => return Err(PushError::Frame),
    };
    if message.is_valid() { Ok(message) } else { Err(PushError::NotUtf8) }
}

fn close_of(code: Option<&str>, reason: &str) -> Result<Close, PushError> {
    let code = code.unwrap_or("1000");
    // `parse` would also accept a sign.
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    let code = code.parse().ok().filter(|_| digits).ok_or(PushError::Close)?;
    let close = Close::new(code, reason);
    if close.is_sendable() { Ok(close) } else { Err(PushError::Close) }
}

fn find<'a, I, const N: usize>(headers: I, names: [&str; N]) -> [Option<&'a str>; N]
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
{
    let mut found = [None; N];
    for (name, value) in headers {
        if let Some(at) = names.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            found[at] = found[at].or(Some(value.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(headers: &[(&str, &str)], payload: &'static [u8]) -> Result<Push, PushError> {
        decode_push(headers.iter().copied(), Bytes::from_static(payload))
    }

    #[test]
    fn pushes_round_trip() {
        let group: Group = "room 1/é".parse().unwrap();
        for expected in [
            Push::Message(Message::text("hé")),
            Push::Message(Message::binary(&b"\xff"[..])),
            Push::Close(Close::new(4001, "go away")),
            Push::Join(group.clone()),
            Push::Leave(group),
        ] {
            let mut headers = Vec::new();
            encode_push(&expected, |name, value| headers.push((name.to_owned(), value.to_owned())));
            let read = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(decode_push(read, expected.payload()), Ok(expected));
        }
    }

    #[test]
    fn missing_headers_have_defaults() {
        assert_eq!(push(&[], b"hi"), Ok(Push::Message(Message::text("hi"))));
        assert_eq!(push(&[], b"\xff"), Ok(Push::Message(Message::binary(&b"\xff"[..]))));
        assert_eq!(push(&[("h8s-frame", "Close")], b"x"), Ok(Push::Close(Close::new(1000, ""))));
    }

    #[test]
    fn invalid_pushes_are_refused() {
        for (headers, payload, error) in [
            (&[("H8s-Frame", "ping")][..], &b""[..], PushError::Frame),
            (&[("H8s-Frame", "text")], b"\xff", PushError::NotUtf8),
            (&[("H8s-Frame", "close"), ("H8s-Close-Code", "1005")], b"", PushError::Close),
            (&[("H8s-Frame", "close"), ("H8s-Close-Code", "x")], b"", PushError::Close),
            (&[("H8s-Frame", "join")], b"", PushError::Group),
            (&[("H8s-Frame", "join"), ("H8s-Group", "a\u{7}b")], b"", PushError::Group),
        ] {
            assert_eq!(push(headers, payload), Err(error), "{headers:?}");
        }
        let path = decode_broadcast([("H8s-Path", "x")], Bytes::new());
        assert_eq!(path, Err(PushError::Path));
    }

    #[test]
    fn broadcasts_round_trip_with_their_audience() {
        for audience in
            [Audience::All, Audience::Path("/room/*".parse().unwrap()), Audience::Group("g".parse().unwrap())]
        {
            let mut headers = Vec::new();
            encode_broadcast(&audience, MessageKind::Binary, |name, value| {
                headers.push((name.to_owned(), value.to_owned()));
            });
            let read = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let decoded = decode_broadcast(read, Bytes::from_static(b"x"));
            assert_eq!(decoded, Ok((audience, Message::binary(&b"x"[..]))));
        }
    }
}

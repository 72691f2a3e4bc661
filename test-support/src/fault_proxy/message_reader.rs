//! Splits one direction of a NATS connection into messages, without changing a byte.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Longer than any line that a server accepts (4 KiB) or sends (`INFO`). A longer line is not NATS.
const LONGEST_LINE_BYTES: usize = 256 * 1024;
/// More than any server's `max_payload` (64 MiB), so that an invalid length cannot block the proxy.
const LARGEST_MESSAGE_BYTES: usize = 128 * 1024 * 1024;
/// The end of every payload.
const LINE_END_BYTES: usize = 2;

/// A part of the stream. All stretches in order are exactly the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// A complete `PUB`, `HPUB`, `MSG` or `HMSG`: line, headers, payload and line end.
    Message { subject: String, bytes: Bytes },
    /// Any other line; or any bytes after the stream stopped being NATS.
    Other(Bytes),
}

/// Buffers received bytes, and splits them into stretches.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    pub(super) buffer: BytesMut,
    /// How far the buffer has been searched for a line end.
    searched: usize,
    /// The length and the subject of the message at the beginning of the buffer.
    message: Option<(usize, String)>,
    /// The stream is not NATS, and is forwarded unparsed.
    lost: bool,
}

impl MessageReader {
    /// The incomplete rest.
    pub(super) fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// The next complete stretch, if any.
    pub(super) fn next(&mut self) -> Option<Stretch> {
        if self.buffer.is_empty() {
            return None;
        }
        if self.message.is_none() {
            let Some(line_bytes) = self.line_bytes() else { return self.all_if_lost() };
            match announced(&self.buffer[..line_bytes]) {
                Line::Message { subject, content_bytes } => {
                    self.message = Some((line_bytes + content_bytes + LINE_END_BYTES, subject));
                }
                Line::Other => return Some(Stretch::Other(self.take(line_bytes))),
                Line::NotNats => {
                    self.lost = true;
                    return self.all_if_lost();
                }
            }
        }
        let (length, subject) = self.message.take_if(|(length, _)| *length <= self.buffer.len())?;
        Some(Stretch::Message { subject, bytes: self.take(length) })
    }

    /// The length of the first line, including its end.
    fn line_bytes(&mut self) -> Option<usize> {
        if self.lost {
            return None;
        }
        if let Some(at) = memchr(b'\n', &self.buffer[self.searched..]) {
            return Some(self.searched + at + 1);
        }
        self.searched = self.buffer.len();
        self.lost = self.searched > LONGEST_LINE_BYTES;
        None
    }

    fn all_if_lost(&mut self) -> Option<Stretch> {
        self.lost.then(|| Stretch::Other(self.buffer.split().freeze()))
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.searched = 0;
        self.buffer.split_to(length).freeze()
    }
}

enum Line {
    Message { subject: String, content_bytes: usize },
    Other,
    NotNats,
}

/// The message that a line announces. The subject is the first argument and the length the last one of
/// `PUB subject [reply] length`, `HPUB subject [reply] headers length`, `MSG subject sid [reply] length` and
/// `HMSG subject sid [reply] headers length`.
fn announced(line: &[u8]) -> Line {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default();
    if ![&b"PUB"[..], b"HPUB", b"MSG", b"HMSG"].iter().any(|known| verb.eq_ignore_ascii_case(known)) {
        return Line::Other;
    }
    let (subject, length) = (words.next(), words.next_back());
    let length = length.and_then(|word| str::from_utf8(word).ok()?.parse().ok());
    match (subject, length) {
        (Some(subject), Some(content_bytes)) if content_bytes <= LARGEST_MESSAGE_BYTES => {
            Line::Message { subject: String::from_utf8_lossy(subject).into_owned(), content_bytes }
        }
        _ => Line::NotNats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, bytes: &'static str) -> Stretch {
        Stretch::Message { subject: subject.into(), bytes: Bytes::from_static(bytes.as_bytes()) }
    }

    fn other(bytes: &'static str) -> Stretch {
        Stretch::Other(Bytes::from_static(bytes.as_bytes()))
    }

    /// The stretches of an input that arrives in pieces of this size.
    fn read(input: &str, piece_bytes: usize) -> Vec<Stretch> {
        let mut reader = MessageReader::default();
        let mut found = Vec::new();
        for piece in input.as_bytes().chunks(piece_bytes) {
            reader.buffer.extend_from_slice(piece);
            found.extend(std::iter::from_fn(|| reader.next()));
        }
        assert!(reader.buffer.is_empty(), "the buffer is empty");
        found
    }

    #[test]
    fn messages_of_both_directions_are_found_for_any_piece_size() {
        let input = "CONNECT {}\r\nPING\r\nPUB a.b 3\r\nM\r\n\r\nhpub a.b re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n\
                     MSG x 9 0\r\n\r\nHMSG x 9 re 12 12\r\nNATS/1.0\r\n\r\n\r\n+OK\r\n";
        let expected = [
            other("CONNECT {}\r\n"),
            other("PING\r\n"),
            message("a.b", "PUB a.b 3\r\nM\r\n\r\n"),
            message("a.b", "hpub a.b re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
            message("x", "MSG x 9 0\r\n\r\n"),
            message("x", "HMSG x 9 re 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
            other("+OK\r\n"),
        ];

        for piece_bytes in 1..=input.len() {
            assert_eq!(read(input, piece_bytes), expected, "in pieces of {piece_bytes}");
        }
    }

    #[test]
    fn bytes_that_are_not_nats_are_forwarded() {
        assert_eq!(read("PUB a x\r\nPUB a 1\r\n", 100), [other("PUB a x\r\nPUB a 1\r\n")]);
        assert_eq!(read("MSG a 99999999999\r\n", 100), [other("MSG a 99999999999\r\n")]);
    }

    #[test]
    fn a_line_without_an_end_is_not_buffered_forever() {
        let endless = "x".repeat(LONGEST_LINE_BYTES + 1);

        let found = read(&endless, 1000);

        assert_eq!(found.len(), 1);
    }
}

//! Finds whole messages in one direction of a NATS connection, without changing a byte.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Longer than any line a server takes (4 KiB) or sends (an `INFO`): what has no end after so many bytes is not NATS.
const LONGEST_LINE_BYTES: usize = 256 * 1024;
/// More than any server's largest message (64 MiB), so that a wrong number cannot make the proxy wait for ever.
const LARGEST_MESSAGE_BYTES: usize = 128 * 1024 * 1024;
/// What follows every payload.
const LINE_END_BYTES: usize = 2;

/// A stretch of what one side says to the other; all of them in order are exactly what was said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// A whole `PUB`, `HPUB`, `MSG` or `HMSG`: line, headers, payload and line end.
    Message { subject: String, bytes: Bytes },
    /// Any other line; or anything, once something was said that is not NATS.
    Other(Bytes),
}

/// Collects what was read, and takes stretches from it.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    pub(super) buffer: BytesMut,
    /// How far the buffer was looked through for a line's end.
    searched: usize,
    /// How long the message at the buffer's beginning is, and its subject.
    message: Option<(usize, String)>,
    /// What is said is not understood any more, and passed on as it comes.
    lost: bool,
}

impl MessageReader {
    /// All that waits for its end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// The next whole stretch, if that much has been read.
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

    /// How long the line at the beginning is, with its end.
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

/// What a line says of what follows it. The subject is the first argument and the length the last one of
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

    /// What is found when the input comes in pieces of that size.
    fn read(input: &str, piece_bytes: usize) -> Vec<Stretch> {
        let mut reader = MessageReader::default();
        let mut found = Vec::new();
        for piece in input.as_bytes().chunks(piece_bytes) {
            reader.buffer.extend_from_slice(piece);
            found.extend(std::iter::from_fn(|| reader.next()));
        }
        assert!(reader.buffer.is_empty(), "all was taken");
        found
    }

    #[test]
    fn messages_of_both_sides_are_found_however_they_are_cut() {
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
    fn what_is_not_nats_goes_through_as_it_comes() {
        assert_eq!(read("PUB a x\r\nPUB a 1\r\n", 100), [other("PUB a x\r\nPUB a 1\r\n")]);
        assert_eq!(read("MSG a 99999999999\r\n", 100), [other("MSG a 99999999999\r\n")]);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let endless = "x".repeat(LONGEST_LINE_BYTES + 1);

        let found = read(&endless, 1000);

        assert_eq!(found.len(), 1);
    }
}

//! A response as it was sent.

use super::text;

/// Status line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHead {
    /// `HTTP/1.1`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// Names and values in their order and spelling, without the space around them.
    pub headers: Vec<(String, String)>,
}

/// A response, complete or truncated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawResponse {
    /// Its head.
    pub head: RawHead,
    /// The received body, without chunk framing and without a truncated chunk.
    pub body: Vec<u8>,
    /// Names and values that followed a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Whether the body is complete. A body that is delimited by the end of the connection always is.
    pub complete: bool,
}

/// How a body ends (RFC 9112 §6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl RawHead {
    /// The header's first value, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a header, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        let head = text(bytes);
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let (version, status) = (words.next(), words.next().and_then(|status| status.parse().ok()));
        let (Some(version), Some(status)) = (version.filter(|version| version.starts_with("HTTP/")), status)
        else {
            panic!("{first:?} is not a status line");
        };
        Self { version: version.to_owned(), status, headers: lines.map(field).collect() }
    }

    pub(super) fn framing(&self) -> Framing {
        if matches!(self.status, 100..200 | 204 | 304) {
            return Framing::None;
        }
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        match self.header("content-length") {
            Some(length) => Framing::Length(
                length.parse().unwrap_or_else(|error| panic!("Content-Length is {length:?}: {error}")),
            ),
            None => Framing::UntilClose,
        }
    }
}

impl RawResponse {
    /// The body as text.
    pub fn text(&self) -> String {
        text(&self.body)
    }
}

pub(super) fn field(line: &str) -> (String, String) {
    let Some((name, value)) = line.trim_end().split_once(':') else { panic!("{line:?} is not a header") };
    (name.to_owned(), value.trim().to_owned())
}

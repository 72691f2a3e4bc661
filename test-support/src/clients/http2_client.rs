//! HTTP/2 as frames: for frames that no library sends.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

/// Kinds of frames (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "the RFC's names")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM`; `ACK` of settings and pings.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 4;

/// One received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// See [`kind`].
    pub kind: u8,
    /// As the kind defines them.
    pub flags: u8,
    /// 0: the connection.
    pub stream: u32,
    /// What follows the frame's head.
    pub payload: Vec<u8>,
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a test's frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The field block of a `GET`, with further fields.
pub fn get_block(authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    // RFC 7541 appendix A: `:method: GET`, `:scheme: http`.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(":authority", authority), (":path", path)].iter().chain(fields) {
        block.extend(literal(name, value));
    }
    block
}

/// A literal field without indexing (RFC 7541 §6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A string's length, not Huffman-coded (RFC 7541 §5.1).
fn length(mut length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![length as u8];
    }
    let mut bytes = vec![127];
    length -= 127;
    while length >= 128 {
        bytes.push((length % 128) as u8 | 128);
        length /= 128;
    }
    bytes.push(length as u8);
    bytes
}

/// A complete request without a body.
pub fn get_frame(stream: u32, authority: &str, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get_block(authority, path, &[]))
}

/// `RST_STREAM` with `CANCEL`.
pub fn reset_frame(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// One connection, with the preface and the test's settings sent.
#[derive(Debug)]
pub struct Http2Client {
    /// The socket itself.
    pub stream: TcpStream,
    buffer: BytesMut,
    /// The error code of the peer's last `GOAWAY`.
    goaway: Option<u32>,
}

impl Http2Client {
    /// Connects to `127.0.0.1:8080` or `http://127.0.0.1:8080/whatever`; `settings` are pairs of identifier and value.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    pub async fn connect(address: &str, settings: &[(u16, u32)]) -> Self {
        let (stream, buffer) = crate::raw_client::RawClient::connect(address).await.into_parts();
        let mut client = Self { stream, buffer, goaway: None };
        let pairs =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        let settings = frame(kind::SETTINGS, 0, 0, &pairs.collect::<Vec<u8>>());
        client.send([PREFACE, &settings].concat()).await;
        client
    }

    /// Writes; returns whether the peer accepted it.
    ///
    /// # Panics
    ///
    /// When the peer accepts nothing within the deadline.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon(self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next frame. `None` when the connection has ended or was reset.
    ///
    /// # Panics
    ///
    /// When nothing is received within the deadline.
    pub async fn frame(&mut self) -> Option<RawFrame> {
        loop {
            if let Some(frame) = self.buffered() {
                if frame.kind == kind::GOAWAY {
                    self.goaway = frame.payload[4..].first_chunk().map(|code| u32::from_be_bytes(*code));
                }
                return Some(frame);
            }
            match soon(self.stream.read_buf(&mut self.buffer)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    fn buffered(&mut self) -> Option<RawFrame> {
        let [high, middle, low, kind, flags, stream @ ..] = *self.buffer.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if self.buffer.len() < HEAD_BYTES + length {
            return None;
        }
        self.buffer.advance(HEAD_BYTES);
        let payload = self.buffer.split_to(length).to_vec();
        Some(RawFrame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of a kind; others are skipped. `None` as for [`frame`](Self::frame).
    ///
    /// # Panics
    ///
    /// As [`frame`](Self::frame).
    pub async fn next(&mut self, kind: u8) -> Option<RawFrame> {
        loop {
            match self.frame().await {
                Some(frame) if frame.kind == kind => return Some(frame),
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// Waits until the peer has processed all sent frames; returns whether the connection is still open.
    ///
    /// # Panics
    ///
    /// As [`frame`](Self::frame).
    pub async fn round_trip(&mut self) -> bool {
        const TOKEN: [u8; 8] = *b"roundtri";
        self.send(frame(kind::PING, 0, 0, &TOKEN)).await;
        loop {
            match self.next(kind::PING).await {
                Some(pong) if pong.payload == TOKEN => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Reads to the end: the error code of the last `GOAWAY` (RFC 9113 §7), if any.
    ///
    /// # Panics
    ///
    /// As [`frame`](Self::frame).
    pub async fn goaway(&mut self) -> Option<u32> {
        while self.frame().await.is_some() {}
        self.goaway
    }
}

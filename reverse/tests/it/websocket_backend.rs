//! The server side of a WebSocket for these tests: it sees every frame, and can send any.

use std::net::SocketAddr;

use base64::Engine as _;
use bytes::{Buf as _, BytesMut};
use h8s_test_support::websocket_client::{Frame, Opcode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::websocket_fixture::within;

/// Hashed with every key (RFC 6455 §1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A listening backend.
pub(crate) struct Backend(TcpListener);

impl Backend {
    pub(crate) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The next connection, and the head of the request on it.
    pub(crate) async fn accept_request(&self) -> (String, Connection) {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = Connection { stream, buffer: BytesMut::new() };
        let end = |buffer: &[u8]| buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        loop {
            if let Some(at) = end(&connection.buffer) {
                let head = connection.buffer.split_to(at + 4);
                return (String::from_utf8(head.to_vec()).unwrap(), connection);
            }
            assert!(connection.more().await, "a whole head comes");
        }
    }

    /// The next connection, accepted with these fields.
    pub(crate) async fn accept_with(&self, fields: &str) -> Connection {
        let (head, mut connection) = self.accept_request().await;
        connection.raw(switching(&head, fields)).await;
        connection
    }

    pub(crate) async fn accept(&self) -> Connection {
        self.accept_with("").await
    }
}

/// A 101 to this request.
pub(crate) fn switching(head: &str, fields: &str) -> String {
    let accept = accept(field(head, "sec-websocket-key").expect("a key"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
}

fn accept(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(format!("{key}{ACCEPT_GUID}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.digest().bytes())
}

/// The first field of this name.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(field, value)| (field, value.trim()))
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// One connection, as HTTP or as a WebSocket.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    pub(crate) async fn frame(&mut self, frame: Frame) {
        self.raw(frame.unmasked().encode()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.frame(Frame::new(Opcode::Text, text)).await;
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        self.frame(Frame::new(Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())).await;
    }

    /// Writes until the peer stops reading. Returns the number of bytes.
    pub(crate) async fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        let pause = std::time::Duration::from_millis(500);
        let mut sent = 0;
        while sent < most {
            // Whole pieces or, at the end, a part of one: no frame follows.
            match tokio::time::timeout(pause, self.stream.write(&bytes[sent % bytes.len()..])).await {
                Ok(written) => sent += written.unwrap(),
                Err(_) => break,
            }
        }
        sent
    }

    /// The next frame. `None`: the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = decode(&mut self.buffer) {
                return Some(frame);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next message, whole.
    pub(crate) async fn message(&mut self) -> (Opcode, Vec<u8>) {
        let first = self.next().await.expect("a frame");
        let (opcode, mut data, mut fin) = (first.opcode, first.payload, first.fin);
        while !fin {
            let more = self.next().await.expect("the rest of a message");
            assert_eq!(more.opcode, Opcode::Continuation);
            data.extend(more.payload);
            fin = more.fin;
        }
        (opcode, data)
    }

    pub(crate) async fn receive_text(&mut self) -> String {
        let (opcode, data) = self.message().await;
        assert_eq!(opcode, Opcode::Text);
        String::from_utf8(data).unwrap()
    }

    /// The close frame's code (1005 without one) and reason. Waits for the end of the connection.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let frame = self.next().await.expect("a close frame");
        assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
        match frame.payload.split_first_chunk() {
            Some((code, reason)) => (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap()),
            None => (1005, String::new()),
        }
    }

    /// Says nothing more, and waits until the other side has ended the connection, too.
    pub(crate) async fn end(mut self) {
        let _ = self.stream.shutdown().await;
        assert_eq!(self.next().await, None, "nothing more comes");
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    async fn more(&mut self) -> bool {
        matches!(within(self.stream.read_buf(&mut self.buffer)).await, Ok(1..))
    }
}

/// The next frame of a client, if it is all there.
fn decode(buffer: &mut BytesMut) -> Option<Frame> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    assert!(second & 0x80 != 0, "a client masks everything");
    assert_eq!(first & 0x70, 0, "no extension was agreed upon");
    let (at, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(*buffer.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*buffer.get(2..)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let mask: [u8; 4] = *buffer.get(at..)?.first_chunk()?;
    let length = usize::try_from(length).unwrap();
    if buffer.len() < at + 4 + length {
        return None;
    }
    buffer.advance(at + 4);
    let masked = buffer.split_to(length);
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        other => panic!("opcode {other}"),
    };
    Some(Frame { fin: first & 0x80 != 0, rsv: 0, opcode, mask: Some(mask), payload })
}

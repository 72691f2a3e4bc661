//! A minimal client: requests and frames as bytes, on a blocking socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

/// Any key works; this is the one of RFC 6455.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Any mask works, but zeros would save the gateway its work.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// The upgrade request.
pub(crate) fn upgrade(address: SocketAddr, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// Reads the 101 response only.
pub(crate) fn upgraded(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

/// Echoes one message, over a WebSocket or as an HTTP request.
pub(crate) struct Echo {
    socket: TcpStream,
    request: Vec<u8>,
    body: Vec<u8>,
    buffer: Vec<u8>,
}

impl Echo {
    /// A WebSocket to an echo component.
    pub(crate) fn websocket(address: SocketAddr, path: &str, bytes: usize) -> Self {
        let mut socket = connect(address);
        socket.write_all(upgrade(address, path).as_bytes()).expect("the server takes a request");
        upgraded(&mut socket);
        let body = vec![b'x'; bytes];
        let mut request = head(0x82, 0x80, bytes);
        request.extend(MASK);
        request.extend(body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let answer = [head(0x82, 0, bytes), body].concat();
        Self { socket, request, body: answer, buffer: vec![0; 64 * 1024] }
    }

    /// An HTTP connection to an echo component.
    pub(crate) fn http(address: SocketAddr, path: &str, bytes: usize) -> Self {
        let body = vec![b'x'; bytes];
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {bytes}\r\n\r\n");
        let request = [head.as_bytes(), &body].concat();
        Self { socket: connect(address), request, body, buffer: vec![0; 64 * 1024] }
    }

    /// Sends a message and reads it back.
    pub(crate) fn exchange(&mut self) {
        self.socket.write_all(&self.request).expect("the server takes a request");
        let mut got = 0;
        while !self.is_whole(got) {
            let count = self.socket.read(&mut self.buffer[got..]).expect("the server answers");
            assert!(count > 0, "the server closed the connection");
            got += count;
        }
    }

    /// A response ends with the sent bytes, or with the last chunk.
    fn is_whole(&self, got: usize) -> bool {
        let got = &self.buffer[..got];
        got.ends_with(&self.body) || (got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(b"\r\n0\r\n\r\n"))
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// The header of a frame of less than 64 KiB.
pub(crate) fn head(first: u8, masked: u8, bytes: usize) -> Vec<u8> {
    match bytes {
        0..126 => vec![first, masked | bytes as u8],
        _ => [vec![first, masked | 126], u16::try_from(bytes).expect("it is short").to_be_bytes().to_vec()]
            .concat(),
    }
}

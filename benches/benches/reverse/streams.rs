//! Large bodies down and up, each byte looked at where it arrives.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use h8s_benches::{Clock, Used, answer};

use crate::backend;
use crate::contents::{self, Comparison};
use crate::stand::Chain;

pub(crate) const BODY_BYTES: u64 = 1_000_000_000;
/// Read or written at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes a second.
const TARGET_RATE: f64 = 200e6;

pub(crate) async fn measure() {
    let mut chain = Chain::start(backend::ROLE).await;
    chain.answers("/").await;
    println!("streams: {:.0} MB over HTTP/1.1, all of it compared at its end", BODY_BYTES as f64 / 1e6);
    let memory = chain.memory();
    let gateway = chain.gateway.address;
    for (name, transfer) in [("down", down as fn(SocketAddr)), ("up", up)] {
        let straight = tokio::task::block_in_place(|| timed(|| transfer(chain.backend)));
        let (clock, mut used) = (Clock::start(&chain.all()), Used::default());
        let chained = tokio::task::block_in_place(|| timed(|| transfer(gateway)));
        clock.stop(&mut used);
        println!(
            "  {name:4} {:5.0} MB/s   target {:.0}   straight to the backend {:5.0} MB/s   cpu for each MB {}",
            rate(chained) / 1e6,
            TARGET_RATE / 1e6,
            rate(straight) / 1e6,
            used.each(BODY_BYTES as usize / 1_000_000)
        );
    }
    memory.show();
}

fn rate(time: Duration) -> f64 {
    BODY_BYTES as f64 / time.as_secs_f64()
}

fn timed(transfer: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    transfer();
    begin.elapsed()
}

fn down(address: SocketAddr) {
    let mut download = Download::start(address, BODY_BYTES);
    while !download.is_whole() {
        download.read(BUFFER_BYTES);
    }
}

/// A large body on its way to a client.
pub(crate) struct Download {
    socket: TcpStream,
    buffer: Vec<u8>,
    comparison: Comparison,
    bytes: u64,
}

impl Download {
    /// Asks for it, and reads the head of the answer.
    pub(crate) fn start(address: SocketAddr, bytes: u64) -> Self {
        let mut socket = TcpStream::connect(address).expect("the server accepts");
        socket.write_all(answer::get(address, &format!("/{bytes}")).as_bytes()).expect("it takes a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("the server answers");
            head.push(byte[0]);
        }
        let length = answer::length(&head).map(|length| (length - head.len()) as u64);
        assert_eq!(length, Some(bytes), "the whole body is announced");
        Self { socket, buffer: vec![0; BUFFER_BYTES], comparison: Comparison::default(), bytes }
    }

    /// Reads what is there, but for no more than `most` bytes, and compares it.
    pub(crate) fn read(&mut self, most: usize) -> usize {
        let most = most.min(self.buffer.len());
        let count = self.socket.read(&mut self.buffer[..most]).expect("the server goes on");
        assert!(count > 0, "it ended after {} bytes", self.comparison.bytes());
        self.comparison.next(&self.buffer[..count]);
        count
    }

    pub(crate) fn is_whole(&self) -> bool {
        assert!(self.comparison.bytes() <= self.bytes, "more than was announced");
        self.comparison.bytes() == self.bytes
    }
}

/// The backend compares, and says how much it had.
fn up(address: SocketAddr) {
    let mut socket = TcpStream::connect(address).expect("the server accepts");
    socket.write_all(answer::post(address, "/", BODY_BYTES).as_bytes()).expect("it takes a request");
    let (mut position, mut buffer) = (0, vec![0; BUFFER_BYTES]);
    while position < BODY_BYTES {
        let next = (BUFFER_BYTES as u64).min(BODY_BYTES - position);
        let piece = &mut buffer[..next as usize];
        contents::fill(position, piece);
        socket.write_all(piece).expect("the server takes a body");
        position += next;
    }
    let mut got = Vec::new();
    while answer::length(&got).is_none_or(|length| got.len() < length) {
        let count = socket.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server has closed the connection");
        got.extend_from_slice(&buffer[..count]);
    }
    assert!(got.ends_with(format!("\r\n\r\n{BODY_BYTES}").as_bytes()), "the backend had all of it");
}

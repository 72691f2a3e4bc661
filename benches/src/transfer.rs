//! Large bodies: download, upload and echo, with every byte compared on arrival.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::answer;
use crate::contents::{self, Comparison};

/// The size of one read or write.
const BUFFER_BYTES: usize = 256 * 1024;
/// The size of one read of a slow client.
const SIP_BYTES: usize = 50_000;
/// The rate of a slow client, in bytes per second.
const SLOW_RATE: f64 = 1e6;
/// The environment variable with the seconds for which a client is slow.
const SLOW_SECONDS: &str = "H8S_BENCH_SLOW_SECONDS";

/// The time for which a client is slow: `H8S_BENCH_SLOW_SECONDS`, or `usual`.
pub fn slow_time(usual: Duration) -> Duration {
    let seconds = std::env::var(SLOW_SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(usual, Duration::from_secs)
}

/// Measures the duration of a transfer.
pub fn timed(transfer: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    transfer();
    begin.elapsed()
}

/// A large body in transit to a client.
#[derive(Debug)]
pub struct Download {
    socket: TcpStream,
    buffer: Vec<u8>,
    comparison: Comparison,
    bytes: u64,
    /// The thread that sends the echoed bytes.
    upload: Option<JoinHandle<()>>,
}

impl Download {
    /// Requests `bytes` bytes from `path`, and reads the response head.
    ///
    /// # Panics
    ///
    /// If the response declares another length.
    pub fn start(address: SocketAddr, path: &str, bytes: u64) -> Self {
        let mut socket = connect(address);
        socket.write_all(answer::get(address, path).as_bytes()).expect("it takes a request");
        let head = head(&mut socket);
        let body = answer::length(&head).map(|length| (length - head.len()) as u64);
        assert_eq!(body, Some(bytes), "the whole body is announced");
        Self::of(socket, bytes, None)
    }

    /// Sends `bytes` bytes to `path`, which echoes them.
    pub fn echo(address: SocketAddr, path: &str, bytes: u64) -> Self {
        let mut socket = connect(address);
        // The length of the response is not known in advance: for HTTP/1.0 it ends with the connection, without chunks
        // inside the compared bytes.
        let request = answer::post(address, path, bytes).replace("HTTP/1.1", "HTTP/1.0");
        socket.write_all(request.as_bytes()).expect("it takes a request");
        let mut writing = socket.try_clone().expect("a socket");
        let upload = thread::spawn(move || send(&mut writing, bytes));
        let head = String::from_utf8_lossy(&head(&mut socket)).to_lowercase();
        assert!(head.starts_with("http/1.0 200 ") || head.starts_with("http/1.1 200 "), "{head}");
        assert!(!head.contains("\r\ntransfer-encoding:"), "{head}");
        Self::of(socket, bytes, Some(upload))
    }

    fn of(socket: TcpStream, bytes: u64, upload: Option<JoinHandle<()>>) -> Self {
        Self { socket, buffer: vec![0; BUFFER_BYTES], comparison: Comparison::default(), bytes, upload }
    }

    /// Reads at most `most` bytes, and compares them.
    fn read(&mut self, most: usize) -> usize {
        let most = most.min(self.buffer.len());
        let count = self.socket.read(&mut self.buffer[..most]).expect("the server continues");
        assert!(count > 0, "it ended after {} bytes", self.comparison.bytes());
        self.comparison.next(&self.buffer[..count]);
        count
    }

    /// Reads 1 MB per second for this duration.
    ///
    /// # Panics
    ///
    /// As [`finish`](Self::finish).
    pub fn sip(&mut self, time: Duration) {
        let (begin, mut sipped) = (Instant::now(), 0);
        while begin.elapsed() < time {
            sipped += self.read(SIP_BYTES);
            let due = Duration::from_secs_f64(sipped as f64 / SLOW_RATE);
            thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }

    /// The number of received bytes.
    pub fn bytes(&self) -> u64 {
        self.comparison.bytes()
    }

    /// Reads the rest at full speed.
    ///
    /// # Panics
    ///
    /// If the body is shorter, longer or different.
    pub fn finish(mut self) {
        while self.bytes() < self.bytes {
            self.read(usize::MAX);
        }
        assert_eq!(self.bytes(), self.bytes, "more than was announced");
        if let Some(upload) = self.upload {
            upload.join().expect("all of it was sent");
            assert_eq!(self.socket.read(&mut self.buffer).ok(), Some(0), "more than was sent");
        }
    }
}

/// Sends `bytes` bytes to `path`, which compares and counts them.
///
/// # Panics
///
/// If the response is not their number.
pub fn upload(address: SocketAddr, path: &str, bytes: u64) {
    let mut socket = connect(address);
    socket.write_all(answer::post(address, path, bytes).as_bytes()).expect("it takes a request");
    send(&mut socket, bytes);
    let (mut got, mut buffer) = (Vec::new(), [0; 1024]);
    while answer::length(&got).is_none_or(|length| got.len() < length) {
        let count = socket.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server closed the connection");
        got.extend_from_slice(&buffer[..count]);
    }
    assert!(got.ends_with(format!("\r\n\r\n{bytes}").as_bytes()), "not all of it has come");
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("the server accepts")
}

/// Reads the head of a response.
fn head(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    head
}

fn send(socket: &mut TcpStream, bytes: u64) {
    let (mut position, mut buffer) = (0, vec![0; BUFFER_BYTES]);
    while position < bytes {
        let next = (BUFFER_BYTES as u64).min(bytes - position);
        let piece = &mut buffer[..next as usize];
        contents::fill(position, piece);
        socket.write_all(piece).expect("the server takes a body");
        position += next;
    }
}

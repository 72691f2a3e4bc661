//! Clients that keep their connections and ask again as soon as they are answered, all in one thread.
//!
//! As cheap as clients can be, for in life they are on other machines: a request is bytes, and of an answer its status
//! and its body are compared, and nothing else is read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::answer;

/// Sockets looked at after one wait.
const EVENTS: usize = 256;
/// Larger than any answer.
const BUFFER_BYTES: usize = 16 * 1024;

/// Open connections, all to one server and with one request.
#[derive(Debug)]
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// What has come of an answer.
    got: Vec<u8>,
    asked: Instant,
}

impl Load {
    /// `count` connections to `address`, which send `request`, and get `body` with a 200.
    ///
    /// # Panics
    ///
    /// When the server does not accept so many.
    pub fn open(address: SocketAddr, request: Vec<u8>, body: &[u8], count: usize) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
        let connections: Vec<_> = (0..count).map(|_| Connection::open(address)).collect();
        for (number, connection) in connections.iter().enumerate() {
            epoll::add(&epoll, &connection.socket, EventData::new_u64(number as u64), EventFlags::IN)
                .expect("epoll takes a socket");
        }
        Self { epoll, connections, request, body: body.to_vec() }
    }

    /// Asks for so long, and waits for the last answers. The time that each request took.
    ///
    /// # Panics
    ///
    /// When an answer is another one, or none comes any more.
    pub fn round(&mut self, time: Duration) -> Vec<Duration> {
        let end = Instant::now() + time;
        let mut times = Vec::new();
        for connection in &mut self.connections {
            connection.ask(&self.request);
        }
        let mut asking = self.connections.len();
        let (mut ready, mut buffer) = (Vec::with_capacity(EVENTS), vec![0; BUFFER_BYTES]);
        while asking > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut ready), None).expect("epoll waits");
            for event in ready.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.is_answered(&mut buffer, &self.body) {
                    continue;
                }
                let now = Instant::now();
                times.push(now - connection.asked);
                if now < end {
                    connection.ask(&self.request);
                } else {
                    asking -= 1;
                }
            }
        }
        times
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_nodelay(true).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        Self { socket, got: Vec::new(), asked: Instant::now() }
    }

    fn ask(&mut self, request: &[u8]) {
        self.asked = Instant::now();
        // No more than one request is ever in the socket, which has room for it.
        self.socket.write_all(request).expect("the server takes a request");
    }

    /// Reads what is there. Was that the rest of an answer?
    fn is_answered(&mut self, buffer: &mut [u8], body: &[u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(0) => panic!("the server has closed a connection"),
            Ok(count) => self.got.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a connection has failed: {error}"),
        }
        let is_whole = answer::is_whole(&self.got, body);
        if is_whole {
            self.got.clear();
        }
        is_whole
    }
}

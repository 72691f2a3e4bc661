//! Keep-alive clients in one thread that send the next request as soon as a response has arrived.
//!
//! The clients are as cheap as possible, since in production they run on other machines: a request is bytes, and of a
//! response only status and body are compared.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::answer;

/// The number of events per wait.
const EVENTS: usize = 256;
/// Connections opened before they are used: few, since servers accept at their own pace, and wait only for a limited time
/// for a first request.
const BATCH: usize = 64;
/// Larger than any response.
const BUFFER_BYTES: usize = 16 * 1024;

/// Open connections, all to one server.
#[derive(Debug)]
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    address: SocketAddr,
    /// The requests, sent in turn.
    requests: Vec<Vec<u8>>,
    turn: usize,
    body: Vec<u8>,
    /// The number of concurrent requests.
    concurrency: usize,
    /// Idle connections, by number, in the order of use: the last to become idle is the last to be used.
    idle: VecDeque<usize>,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// The received bytes of a response.
    got: Vec<u8>,
    asked: Instant,
}

impl Load {
    /// Opens `count` connections to `address`, which send `request` and expect a 200 with `body`.
    ///
    /// # Panics
    ///
    /// If the server does not accept the connections.
    pub fn open(address: SocketAddr, request: Vec<u8>, body: &[u8], count: usize) -> Self {
        Self::open_in_turn(address, vec![request], body, count)
    }

    /// The same with several requests, which take turns and all get `body`.
    ///
    /// # Panics
    ///
    /// If the server does not accept the connections.
    pub fn open_in_turn(address: SocketAddr, requests: Vec<Vec<u8>>, body: &[u8], count: usize) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
        let (connections, idle) = (Vec::new(), VecDeque::new());
        let mut load = Self {
            epoll,
            connections,
            address,
            requests,
            turn: 0,
            body: body.to_vec(),
            concurrency: count,
            idle,
        };
        (0..count).for_each(|_| load.connect());
        load
    }

    /// Opens `count` more connections and uses each once. The number of concurrent requests stays the same, and the
    /// connections take turns.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open) and [`round`](Self::round).
    #[must_use]
    pub fn with_more(mut self, count: usize) -> Self {
        let (concurrency, mut idle) = (self.concurrency, std::mem::take(&mut self.idle));
        for first in (0..count).step_by(BATCH) {
            self.concurrency = BATCH.min(count - first);
            (0..self.concurrency).for_each(|_| self.connect());
            self.ask_while(|_| false);
            idle.append(&mut self.idle);
        }
        Self { concurrency, idle, ..self }
    }

    fn connect(&mut self) {
        let (number, connection) = (self.connections.len(), Connection::open(self.address));
        epoll::add(&self.epoll, &connection.socket, EventData::new_u64(number as u64), EventFlags::IN)
            .expect("epoll takes a socket");
        self.connections.push(connection);
        self.idle.push_back(number);
    }

    /// Sends requests for this duration, and waits for the last responses. Returns the time of each request.
    ///
    /// # Panics
    ///
    /// If a response differs, or does not arrive.
    pub fn round(&mut self, time: Duration) -> Vec<Duration> {
        let end = Instant::now() + time;
        let mut times = Vec::new();
        self.ask_while(|asked| {
            let now = Instant::now();
            times.push(now - asked);
            now < end
        });
        times
    }

    /// Keeps `concurrency` requests in flight. `goes_on` receives the start time of each completed request, and returns
    /// whether another request follows.
    fn ask_while(&mut self, mut goes_on: impl FnMut(Instant) -> bool) {
        (0..self.concurrency).for_each(|_| self.ask_next());
        let mut asking = self.concurrency;
        let (mut ready, mut buffer) = (Vec::with_capacity(EVENTS), vec![0; BUFFER_BYTES]);
        while asking > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut ready), None).expect("epoll waits");
            for event in ready.drain(..) {
                let number = event.data.u64() as usize;
                let connection = &mut self.connections[number];
                if !connection.is_answered(&mut buffer, &self.body) {
                    continue;
                }
                let asked = connection.asked;
                self.idle.push_back(number);
                if goes_on(asked) {
                    self.ask_next();
                } else {
                    asking -= 1;
                }
            }
        }
    }

    fn ask_next(&mut self) {
        let number =
            self.idle.pop_front().expect("there are at least as many connections as concurrent requests");
        self.connections[number].ask(&self.requests[self.turn]);
        self.turn = (self.turn + 1) % self.requests.len();
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
        // The socket never holds more than one request, and has room for it.
        self.socket.write_all(request).expect("the server takes a request");
    }

    /// Reads available bytes. Returns whether the response is complete.
    fn is_answered(&mut self, buffer: &mut [u8], body: &[u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(count) => self.got.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a connection failed: {error}"),
        }
        let is_whole = answer::is_whole(&self.got, body);
        if is_whole {
            self.got.clear();
        }
        is_whole
    }
}

//! Clients that keep their connections and ask again as soon as they are answered, all in one thread.
//!
//! As cheap as clients can be, for in life they are on other machines: a request is bytes, and of an answer its status
//! and its body are compared, and nothing else is read.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::answer;

/// Sockets looked at after one wait.
const EVENTS: usize = 256;
/// Connections that are made before they are used: few, since servers accept at their own pace, and wait for a first
/// request for so long only.
const BATCH: usize = 64;
/// Larger than any answer.
const BUFFER_BYTES: usize = 16 * 1024;

/// Open connections, all to one server.
#[derive(Debug)]
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    address: SocketAddr,
    /// Sent in turn.
    requests: Vec<Vec<u8>>,
    turn: usize,
    body: Vec<u8>,
    /// Requests under way at once.
    lanes: usize,
    /// Connections without one, by number; who was answered last is the last to ask again.
    idle: VecDeque<usize>,
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
        Self::open_in_turn(address, vec![request], body, count)
    }

    /// The same with several requests, which take turns, and are all answered with `body`.
    ///
    /// # Panics
    ///
    /// When the server does not accept so many.
    pub fn open_in_turn(address: SocketAddr, requests: Vec<Vec<u8>>, body: &[u8], count: usize) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
        let (connections, idle) = (Vec::new(), VecDeque::new());
        let mut load =
            Self { epoll, connections, address, requests, turn: 0, body: body.to_vec(), lanes: count, idle };
        (0..count).for_each(|_| load.connect());
        load
    }

    /// `count` connections more, each of which is used once: no more requests than before are under way at once, and
    /// connections take turns.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open) and [`round`](Self::round).
    #[must_use]
    pub fn with_more(mut self, count: usize) -> Self {
        let (lanes, mut idle) = (self.lanes, std::mem::take(&mut self.idle));
        for first in (0..count).step_by(BATCH) {
            self.lanes = BATCH.min(count - first);
            (0..self.lanes).for_each(|_| self.connect());
            self.ask_while(|_| false);
            idle.append(&mut self.idle);
        }
        Self { lanes, idle, ..self }
    }

    fn connect(&mut self) {
        let (number, connection) = (self.connections.len(), Connection::open(self.address));
        epoll::add(&self.epoll, &connection.socket, EventData::new_u64(number as u64), EventFlags::IN)
            .expect("epoll takes a socket");
        self.connections.push(connection);
        self.idle.push_back(number);
    }

    /// Asks for so long, and waits for the last answers. The time that each request took.
    ///
    /// # Panics
    ///
    /// When an answer is another one, or none comes any more.
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

    /// Sends as many requests as there are lanes. `goes_on` is told of each answer when it was asked for, and says
    /// whether another request is to follow.
    fn ask_while(&mut self, mut goes_on: impl FnMut(Instant) -> bool) {
        (0..self.lanes).for_each(|_| self.ask_next());
        let mut asking = self.lanes;
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
        let number = self.idle.pop_front().expect("there are no more lanes than connections");
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

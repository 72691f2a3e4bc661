//! Many cheap clients in a separate process: one thread that polls all sockets and counts bytes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use h8s_benches::usage::raise_descriptors;
use h8s_test_support::process::{Process, program};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::PATIENCE;
use crate::client;

/// The argument that selects the clients role.
pub(crate) const ROLE: &str = "--readers";

/// The number of clients that connect at the same time.
const OPENERS: usize = 8;
/// The interval, in clients, at which the number of open clients is printed.
const TOLD: usize = 500;
/// The number of events per wait.
const EVENTS: usize = 1024;
/// The polling interval. A client that waits for its socket is woken by each write, which costs the writer as much as
/// the write; real clients are on other machines.
const PAUSE: Duration = Duration::from_millis(1);

/// The task of the clients.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) address: SocketAddr,
    pub(crate) count: usize,
    /// The path of the WebSocket; plain TCP if `None`.
    pub(crate) path: Option<String>,
    /// The number of bytes, over all clients, that ends a round.
    pub(crate) round_bytes: usize,
}

/// Open clients.
pub(crate) struct Readers {
    process: Process,
    rounds: usize,
}

impl Readers {
    /// Starts the clients, and returns when all are open.
    pub(crate) async fn start(order: &Order) -> Self {
        let mut command = program(std::env::current_exe().expect("a program knows its file"));
        command.arg(ROLE).args([
            order.address.to_string(),
            order.count.to_string(),
            order.round_bytes.to_string(),
        ]);
        let mut process = Process::start(command.args(&order.path));
        for open in (TOLD..=order.count).step_by(TOLD) {
            process.wait_for_line(&format!("{open} are open")).await;
        }
        process.wait_for_line("all are open").await;
        Self { process, rounds: 0 }
    }

    /// Waits until the clients have received all bytes of a round.
    pub(crate) async fn round(&mut self) {
        self.rounds += 1;
        self.process.wait_for_line(&format!("round {} is over", self.rounds)).await;
    }

    /// Kills the clients without closing their connections.
    pub(crate) async fn end(mut self) {
        self.process.kill().await;
    }
}

impl Order {
    pub(crate) fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut next = || arguments.next().expect("readers have their order");
        let address = next().parse().expect("an address");
        let mut number = || next().parse().expect("a number");
        let (count, round_bytes) = (number(), number());
        Self { address, count, round_bytes, path: arguments.next() }
    }
}

/// Returns only if the server closes a connection.
pub(crate) fn run(order: &Order) {
    raise_descriptors();
    let sockets = open(order);
    println!("all are open");
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    for (number, socket) in sockets.iter().enumerate() {
        socket.set_nonblocking(true).expect("a socket");
        epoll::add(&epoll, socket, EventData::new_u64(number as u64), EventFlags::IN)
            .expect("epoll takes a socket");
    }
    let (mut ready, mut buffer) = (Vec::with_capacity(EVENTS), vec![0; 64 * 1024]);
    let (mut bytes, mut rounds) = (0, 0);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut ready), None).expect("epoll waits");
        if ready.len() < EVENTS {
            thread::sleep(PAUSE);
        }
        for event in ready.drain(..) {
            match (&sockets[event.data.u64() as usize]).read(&mut buffer) {
                Ok(0) => panic!("the server closed a connection"),
                Ok(count) => bytes += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("a connection failed: {error}"),
            }
        }
        while bytes >= (rounds + 1) * order.round_bytes {
            rounds += 1;
            println!("round {rounds} is over");
        }
    }
}

fn open(order: &Order) -> Vec<TcpStream> {
    let mut sockets = Vec::with_capacity(order.count);
    thread::scope(|scope| {
        let (sender, opened) = std::sync::mpsc::sync_channel(OPENERS);
        for opener in 0..OPENERS {
            let sender = sender.clone();
            scope.spawn(move || {
                for _ in (opener..order.count).step_by(OPENERS) {
                    sender.send(open_one(order)).expect("the receiver is alive");
                }
            });
        }
        drop(sender);
        for socket in opened {
            sockets.push(socket);
            if sockets.len() % TOLD == 0 {
                println!("{} are open", sockets.len());
            }
        }
    });
    sockets
}

fn open_one(order: &Order) -> TcpStream {
    let mut socket = TcpStream::connect(order.address).expect("the server accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    if let Some(path) = &order.path {
        socket
            .write_all(client::upgrade(order.address, path).as_bytes())
            .expect("the server takes a request");
        client::upgraded(&mut socket);
    }
    socket
}

//! Small requests at a fixed rate, independent of previous responses. Times count from when each was due.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Spread;
use crate::answer;

/// Connections take turns, so that one late response delays few requests.
const CONNECTIONS: u32 = 8;

/// A running load.
#[derive(Debug)]
pub struct OpenLoopLoad {
    is_over: Arc<AtomicBool>,
    connections: Vec<JoinHandle<Vec<Duration>>>,
}

impl OpenLoopLoad {
    /// Sends `rate` requests per second until it is stopped.
    pub fn start(address: SocketAddr, path: &str, rate: u32) -> Self {
        let (begin, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let request = answer::get(address, path);
        let connection = |number: u32| {
            let (request, is_over) = (request.clone(), Arc::clone(&is_over));
            let first = begin + Duration::from_secs(1) * number / rate;
            let every = Duration::from_secs(1) * CONNECTIONS / rate;
            thread::spawn(move || ask(address, request.as_bytes(), first, every, &is_over))
        };
        let connections = (0..CONNECTIONS).map(connection).collect();
        Self { is_over, connections }
    }

    /// Sends `rate` requests per second for this duration.
    ///
    /// # Panics
    ///
    /// As [`stop`](Self::stop).
    pub fn run(address: SocketAddr, path: &str, rate: u32, time: Duration) -> Spread {
        let steady = Self::start(address, path, rate);
        thread::sleep(time);
        steady.stop()
    }

    /// Stops, and waits for outstanding responses.
    ///
    /// # Panics
    ///
    /// If a response is not a 200, or does not arrive.
    pub fn stop(self) -> Spread {
        self.is_over.store(true, Ordering::Relaxed);
        let times = self.connections.into_iter().map(|thread| thread.join().expect("all are answered"));
        Spread::of(times.flatten().collect())
    }
}

fn ask(
    address: SocketAddr,
    request: &[u8],
    first: Instant,
    every: Duration,
    is_over: &AtomicBool,
) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_nodelay(true).expect("a socket");
    let (mut times, mut due, mut buffer) = (Vec::new(), first, vec![0; 4096]);
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        socket.write_all(request).expect("the server takes a request");
        let mut got = 0;
        while answer::length(&buffer[..got]).is_none_or(|length| got < length) {
            let count = socket.read(&mut buffer[got..]).expect("the server answers");
            assert!(count > 0, "the server closed the connection");
            got += count;
        }
        times.push(due.elapsed());
        due += every;
    }
    times
}

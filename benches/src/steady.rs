//! Small requests at a fixed rate, whatever becomes of those before: times are from when each was due.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Spread;
use crate::answer;

/// Connections that take turns, so that one late answer delays few requests.
const CONNECTIONS: u32 = 8;

/// Requests that are being sent.
#[derive(Debug)]
pub struct Steady {
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<Vec<Duration>>>,
}

impl Steady {
    /// `rate` a second, until it is stopped.
    pub fn start(address: SocketAddr, path: &str, rate: u32) -> Self {
        let (begin, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let request = answer::get(address, path);
        let lane = |number: u32| {
            let (request, is_over) = (request.clone(), Arc::clone(&is_over));
            let first = begin + Duration::from_secs(1) * number / rate;
            let every = Duration::from_secs(1) * CONNECTIONS / rate;
            thread::spawn(move || ask(address, request.as_bytes(), first, every, &is_over))
        };
        let lanes = (0..CONNECTIONS).map(lane).collect();
        Self { is_over, lanes }
    }

    /// `rate` a second for so long.
    ///
    /// # Panics
    ///
    /// As [`stop`](Self::stop).
    pub fn run(address: SocketAddr, path: &str, rate: u32, time: Duration) -> Spread {
        let steady = Self::start(address, path, rate);
        thread::sleep(time);
        steady.stop()
    }

    /// Waits for the answers to what has been sent.
    ///
    /// # Panics
    ///
    /// When one of them was no 200, or did not come.
    pub fn stop(self) -> Spread {
        self.is_over.store(true, Ordering::Relaxed);
        let times = self.lanes.into_iter().map(|lane| lane.join().expect("all are answered"));
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
            assert!(count > 0, "the server has closed the connection");
            got += count;
        }
        times.push(due.elapsed());
        due += every;
    }
    times
}

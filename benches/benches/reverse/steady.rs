//! Small requests at a fixed rate, whatever becomes of those before: times are from when each was due.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use h8s_benches::{Spread, answer};

/// Connections that take turns, so that one late answer delays few requests.
const CONNECTIONS: u32 = 8;

/// Requests that are being sent.
pub(crate) struct Steady(Vec<JoinHandle<Vec<Duration>>>);

impl Steady {
    /// `rate` a second for so long.
    pub(crate) fn start(address: SocketAddr, path: &str, rate: u32, time: Duration) -> Self {
        let begin = Instant::now();
        let request = answer::get(address, path);
        let one = |number: u32| {
            let (request, first) = (request.clone(), begin + Duration::from_secs(1) * number / rate);
            let (every, end) = (Duration::from_secs(1) * CONNECTIONS / rate, begin + time);
            thread::spawn(move || ask(address, request.as_bytes(), first, every, end))
        };
        Self((0..CONNECTIONS).map(one).collect())
    }

    /// Waits for the last one.
    pub(crate) fn join(self) -> Spread {
        let times = self.0.into_iter().map(|thread| thread.join().expect("all are answered"));
        Spread::of(times.flatten().collect())
    }
}

fn ask(address: SocketAddr, request: &[u8], first: Instant, every: Duration, end: Instant) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_nodelay(true).expect("a socket");
    let (mut times, mut due, mut buffer) = (Vec::new(), first, vec![0; 4096]);
    while due < end {
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

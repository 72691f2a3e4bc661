//! The load: requests at a fixed rate, whatever becomes of those before. Times are from when each was due.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use h8s_benches::Spread;

/// Requests a second, of all connections.
const RATE: u32 = 2_000;
/// They take turns, so that one late answer delays few requests.
const CONNECTIONS: u32 = 16;
/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure; what is due meanwhile is late.
const PAUSE: Duration = Duration::from_millis(10);

/// Requests that are being sent.
pub(crate) struct Steady {
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<Lane>>,
}

/// What came of them.
pub(crate) struct Served {
    /// Of those that were answered with 200.
    pub(crate) times: Spread,
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    /// The first of them.
    pub(crate) why: Option<String>,
}

#[derive(Default)]
struct Lane {
    times: Vec<Duration>,
    failed: usize,
    why: Option<String>,
}

impl Steady {
    /// Asks for `path` until it is stopped.
    pub(crate) fn start(address: SocketAddr, path: &str) -> Self {
        let (begin, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench/1\r\n\r\n");
        let lane = |number: u32| {
            let (request, is_over) = (request.clone(), Arc::clone(&is_over));
            let first = begin + Duration::from_secs(1) * number / RATE;
            thread::spawn(move || ask_on(address, request.as_bytes(), first, &is_over))
        };
        let lanes = (0..CONNECTIONS).map(lane).collect();
        Self { is_over, lanes }
    }

    /// So long, and then no longer.
    pub(crate) async fn run(address: SocketAddr, path: &str, time: Duration) -> Served {
        let steady = Self::start(address, path);
        tokio::time::sleep(time).await;
        steady.stop()
    }

    /// Waits for the answers to what has been sent.
    pub(crate) fn stop(self) -> Served {
        self.is_over.store(true, Ordering::Relaxed);
        let lanes = self.lanes.into_iter().map(|lane| lane.join().expect("a lane counts its failures"));
        let mut all = Lane::default();
        for lane in lanes {
            all.times.extend(lane.times);
            all.failed += lane.failed;
            all.why = all.why.or(lane.why);
        }
        let answered = all.times.len();
        Served { times: Spread::of(all.times), answered, failed: all.failed, why: all.why }
    }
}

fn ask_on(address: SocketAddr, request: &[u8], first: Instant, is_over: &AtomicBool) -> Lane {
    let (mut lane, mut connection, mut due) = (Lane::default(), None, first);
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match ask(&mut connection, address, request) {
            Ok(()) => lane.times.push(due.elapsed()),
            Err(error) => {
                connection = None;
                lane.failed += 1;
                lane.why.get_or_insert(error.to_string());
                thread::sleep(PAUSE);
            }
        }
        due += Duration::from_secs(1) * CONNECTIONS / RATE;
    }
    lane
}

fn ask(connection: &mut Option<TcpStream>, address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let socket = match connection {
        Some(socket) => socket,
        None => connection.insert(connect(address)?),
    };
    socket.write_all(request)?;
    let (mut buffer, mut got) = ([0; 8192], 0);
    loop {
        match socket.read(&mut buffer[got..])? {
            0 => return Err(io::Error::other("the server has closed the connection")),
            count => got += count,
        }
        if is_whole(&buffer[..got])? {
            return Ok(());
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether it is all of an answer: the head says how long it is.
fn is_whole(answer: &[u8]) -> io::Result<bool> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let status = text.lines().next().unwrap_or_default();
    if !status.starts_with("http/1.1 200") {
        return Err(io::Error::other(status));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => Ok(answer.len() >= head + 4 + length),
        // What a component answers has no length.
        None => Ok(answer.ends_with(b"\r\n0\r\n\r\n")),
    }
}
